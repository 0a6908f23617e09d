"""`me`, `accounts`, `deliveries` and the browser's `session`."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import COOKIE, Door, Identity, refuse_key_in_url
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.rest.endpoint import Access, Endpoint, json_body, limit, only
from pricewatch.ports.accounts import Accounts
from pricewatch.ports.outbox import DeliveryState, Outbox
from pricewatch.wire.rest import account, delivery


class People:
    """Accounts as they see themselves."""

    def __init__(self, accounts: Accounts, outbox: Outbox) -> None:
        self._accounts = accounts
        self._outbox = outbox

    def endpoints(self) -> list[Endpoint]:
        """`accounts` is for administrators."""
        return [
            Endpoint("GET", "/me", self.me),
            Endpoint("GET", "/deliveries", self.deliveries),
            Endpoint("GET", "/accounts", self.accounts, Access.ADMIN),
        ]

    async def me(self, request: web.Request, who: Identity) -> web.Response:
        """Whose key this is."""
        only(request)
        return reply(account(who.account))

    async def deliveries(self, request: web.Request, who: Identity) -> web.Response:
        """The account's deliveries, newest first."""
        only(request, "state", "limit")
        rows = await self._outbox.listing(who.account.id, state=_state(request), limit=limit(request))
        return reply({"deliveries": [delivery(row) for row in rows]})

    async def accounts(self, request: web.Request, _: Identity) -> web.Response:
        """All accounts in order of creation."""
        only(request)
        return reply({"accounts": [account(one) for one in await self._accounts.everyone()]})


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    key: str


class Sessions:
    """Logging in and out by cookie; none of these needs an identity."""

    def __init__(self, door: Door, lifetime: float) -> None:
        self._door = door
        self._lifetime = round(lifetime)

    async def who(self, request: web.Request) -> web.Response:
        """The account behind the cookie (or key), null for none: a page may ask without causing an error."""
        try:
            identity = await self._door.admit(request)
        except Denied as error:
            if error.status != 401:
                raise
            return reply({"account": None})
        return reply({"account": account(identity.account)})

    async def log_in(self, request: web.Request) -> web.Response:
        """A key for a cookie that scripts cannot read and other sites cannot use."""
        refuse_key_in_url(request)
        try:
            login = msgspec.json.decode(await json_body(request), type=_Login)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Invalid("key", 'send {"key": "pw_..."}') from error
        who, cookie = await self._door.log_in(request, login.key.strip())
        answer = reply(account(who))
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=self._lifetime,
            httponly=True,
            samesite="Strict",
            secure=self._door.cookie_is_secure(request),
            path="/",
        )
        return answer

    async def log_out(self, request: web.Request) -> web.Response:
        """Forget the session and the cookie."""
        self._door.log_out(request)
        answer = web.Response(status=204, headers={"Cache-Control": "no-store"})
        answer.del_cookie(COOKIE, path="/")
        return answer


def _state(request: web.Request) -> DeliveryState | None:
    text = request.query.get("state")
    if text is None:
        return None
    try:
        return DeliveryState(text)
    except ValueError as error:
        known = ", ".join(state.value for state in DeliveryState)
        raise Invalid("state", f"{text[:40]!r} is none; known: {known}") from error
