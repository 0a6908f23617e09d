"""`session`, `sessions` and `tickets`: logging in and out, and letting WebSockets in."""

from __future__ import annotations

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.auth import COOKIE, Door, Identity, refuse_key_in_url
from pricewatch.gateway.logins import Logins
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import (
    Access,
    Docs,
    Endpoint,
    Public,
    document,
    identifier,
    limit,
    no_content,
)
from pricewatch.ports.accounts import Sessions
from pricewatch.ports.clock import Clock
from pricewatch.wire.people import (
    AccountDocument,
    Login,
    SessionAnswer,
    SessionPage,
    TicketDocument,
    account,
    session,
)


class BrowserSessions:
    """Cookies of browsers, and tickets of pages."""

    def __init__(self, door: Door, logins: Logins, sessions: Sessions, clock: Clock) -> None:
        self._door = door
        self._logins = logins
        self._sessions = sessions
        self._clock = clock

    def public(self) -> list[Public]:
        """None of these needs an identity."""
        return [
            Public("GET", "/session", self.who, Docs(SessionAnswer, query=(), also=(401,))),
            Public("POST", "/session", self.log_in, Docs(AccountDocument, body=Login, query=(), also=(401, 403, 429))),
            Public("DELETE", "/session", self.log_out, Docs(status=204, query=(), also=(403,))),
        ]

    def endpoints(self) -> list[Endpoint]:
        """One's own sessions, and tickets for one's WebSockets."""
        return [
            Endpoint("GET", "/sessions", self.listing, docs=Docs(SessionPage, query=("cursor", "limit"))),
            Endpoint("DELETE", "/sessions/{id}", self.end, Access.OWN, Docs(status=204, query=())),
            Endpoint("POST", "/tickets", self.ticket, docs=Docs(TicketDocument, 201, query=(), is_secret=True)),
        ]

    async def who(self, request: web.Request) -> web.Response:
        """The account behind the cookie (or key), null for none: a page may ask without causing an error."""
        if COOKIE not in request.cookies and not {"Authorization", "X-API-Key"} & set(request.headers):
            return reply(SessionAnswer(None))
        try:
            identity = await self._door.admit(request)
        except Denied as error:
            if error.status != 401:
                raise
            return reply(SessionAnswer(None))
        return reply(SessionAnswer(account(identity.account)))

    async def log_in(self, request: web.Request) -> web.Response:
        """A name and password, or a key, for a cookie that scripts cannot read and other sites cannot use."""
        refuse_key_in_url(request)
        self._door.check_origin(request)
        login = await document(request, Login)
        if login.key is not None and login.name is None and login.password is None:
            entered = await self._logins.by_key(request, login.key.strip())
        elif login.key is None and login.name is not None and login.password is not None:
            entered = await self._logins.by_password(request, login.name, login.password)
        else:
            raise Invalid("", 'send {"name": "...", "password": "..."}, or {"key": "pw_..."}, and not both')
        answer = reply(account(entered.account))
        self._logins.set_cookie(request, answer, entered.cookie)
        return answer

    async def log_out(self, request: web.Request) -> web.Response:
        """Forget the session and the cookie; its open sockets are closed."""
        self._door.check_origin(request)
        await self._logins.log_out(request)
        answer = no_content()
        answer.del_cookie(COOKIE, path="/")
        return answer

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """One's own open sessions, in order of creation."""
        found = await self._sessions.listing(who.account.id, self._clock.now())
        page, follow = cursor.page(request, "sessions", found, limit(request))
        return reply(SessionPage([session(one, who.credential) for one in page], follow))

    async def end(self, request: web.Request, who: Identity) -> web.Response:
        """Log one of one's own browsers out; its open sockets are closed within 2 s."""
        await self._sessions.end(who.account.id, identifier(request))
        return no_content()

    async def ticket(self, _: web.Request, who: Identity) -> web.Response:
        """A ticket that lets one WebSocket in, once, within 30 s."""
        issued = await self._door.issue_ticket(who)
        return reply(TicketDocument(issued.text, rfc3339(issued.ticket.expires)), 201)
