"""`me`, `me/password`, `keys`: what everybody has of his own."""

from __future__ import annotations

from aiohttp import web

from pricewatch.accounts.policy import abilities
from pricewatch.accounts.tokens import mint
from pricewatch.domain.account import EVERY_SCOPE
from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.credentials import KeyRing
from pricewatch.gateway.logins import Logins
from pricewatch.gateway.problems import reply
from pricewatch.gateway.quotas import Quotas
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import (
    Access,
    Docs,
    Endpoint,
    document,
    identifier,
    limit,
    moment,
    no_content,
)
from pricewatch.ports.accounts import Accounts
from pricewatch.ports.clock import Clock
from pricewatch.wire.people import (
    AccountDocument,
    KeyDocument,
    KeyPage,
    NewKey,
    PasswordChange,
    account,
    api_key,
)


class Keys:
    """One's own account, password and API keys."""

    def __init__(self, accounts: Accounts, logins: Logins, ring: KeyRing, quotas: Quotas, clock: Clock) -> None:
        self._accounts = accounts
        self._logins = logins
        self._ring = ring
        self._quotas = quotas
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """A key that only reads changes none of it."""
        return [
            Endpoint("GET", "/me", self.me, docs=Docs(AccountDocument, query=())),
            Endpoint("PUT", "/me/password", self.password, Access.OWN, Docs(status=204, body=PasswordChange, query=())),
            Endpoint("GET", "/keys", self.listing, docs=Docs(KeyPage, query=("cursor", "limit"))),
            Endpoint(
                "POST", "/keys", self.create, Access.OWN, Docs(KeyDocument, 201, NewKey, query=(), is_secret=True)
            ),
            Endpoint("DELETE", "/keys/{id}", self.revoke, Access.OWN, Docs(status=204, query=())),
        ]

    async def me(self, _: web.Request, who: Identity) -> web.Response:
        """Whose key or session this is."""
        return reply(account(who.account))

    async def password(self, request: web.Request, who: Identity) -> web.Response:
        """Change one's own password; all other sessions end."""
        wish = await document(request, PasswordChange)
        await self._logins.set_password(who, wish.current, wish.new)
        return no_content()

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """One's own keys, in order of creation, without their secrets."""
        found = await self._accounts.keys(who.account.id)
        page, follow = cursor.page(request, "keys", found, limit(request))
        return reply(KeyPage([api_key(one) for one in page], follow))

    async def create(self, request: web.Request, who: Identity) -> web.Response:
        """A new key, shown now and never again. It may do no more than who makes it."""
        wish = await document(request, NewKey)
        now, scopes = self._clock.now(), frozenset(wish.scopes)
        beyond = sorted(scopes - abilities(who.account, who.scopes))
        if beyond:
            raise Invalid("scopes", f"{beyond[0].value!r} is more than you may do yourself; leave it out")
        if not wish.title.isprintable():
            raise Invalid("title", "must not contain control characters or broken Unicode")
        expires = moment(wish.expires, "expires") if wish.expires is not None else None
        if expires is not None and not now < expires < 2**62:
            raise Invalid("expires", f"{wish.expires!r} is not in the future")
        await self._quotas.check_keys(who.account.id)
        made = mint(who.account.id, now=now, expires=expires, title=wish.title, scopes=scopes & EVERY_SCOPE)
        await self._accounts.add_key(made.key, by=who.account.id)
        return reply(api_key(made.key, made.text), 201)

    async def revoke(self, request: web.Request, who: Identity) -> web.Response:
        """It counts no more, nor do sessions made with it; open sockets are closed within 2 s."""
        number = identifier(request)
        await self._accounts.revoke_key(who.account.id, number, self._clock.now(), by=who.account.id)
        for key in await self._accounts.keys(who.account.id):
            if key.id == number:
                self._ring.forget(key.digest)
        return no_content()
