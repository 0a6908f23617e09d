"""`users`: everybody's accounts, for administrators; and taking one's own data along."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import msgspec
from aiohttp import web

from pricewatch.domain.account import Account
from pricewatch.domain.errors import NotFound
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.logins import Logins
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, document, identifier, limit, no_content
from pricewatch.ports.accounts import Accounts, Change
from pricewatch.ports.records import Dossiers
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.wire.people import AccountDocument, AccountPage, NewUser, UserChange, account

_TAKEN_UP = 2.0
"""Seconds the engine may take to let go of the rules of somebody who goes."""


class Users:
    """All accounts."""

    def __init__(
        self, accounts: Accounts, logins: Logins, dossiers: Dossiers, rules: RuleBook, changes: RuleChanges
    ) -> None:
        self._accounts = accounts
        self._logins = logins
        self._dossiers = dossiers
        self._rules = rules
        self._changes = changes

    def endpoints(self) -> list[Endpoint]:
        """Everything but one's own export is for administrators."""
        return [
            Endpoint("GET", "/users", self.listing, Access.ADMIN, Docs(AccountPage, query=("cursor", "limit"))),
            Endpoint("POST", "/users", self.create, Access.ADMIN, Docs(AccountDocument, 201, NewUser, query=())),
            Endpoint("GET", "/users/{id}", self.get, Access.ADMIN, Docs(AccountDocument, query=())),
            Endpoint("PATCH", "/users/{id}", self.change, Access.ADMIN, Docs(AccountDocument, 200, UserChange, ())),
            Endpoint("DELETE", "/users/{id}", self.erase, Access.ADMIN, Docs(status=204, query=(), also=(422,))),
            Endpoint("GET", "/me/export", self.export, docs=Docs(query=(), media="application/x-ndjson")),
        ]

    async def listing(self, request: web.Request, _: Identity) -> web.Response:
        """All accounts in order of creation."""
        found = await self._accounts.everyone()
        page, follow = cursor.page(request, "users", found, limit(request))
        return reply(AccountPage([account(one) for one in page], follow))

    async def create(self, request: web.Request, who: Identity) -> web.Response:
        """A new account; without a password it gets in by keys made at the command line."""
        wish = await document(request, NewUser)
        draft = Account(id=who.account.id, name=wish.name, email=wish.email, role=wish.role, created=0)
        hashed = await self._logins.hash_for(draft, wish.password) if wish.password is not None else None
        made = await self._accounts.create(wish.name, wish.email, wish.role, by=who.account.id)
        if hashed is not None:
            await self._accounts.set_password(made.id, hashed, by=who.account.id)
        return reply(account(made), 201, {"Location": f"/api/v1/users/{made.id}"})

    async def get(self, request: web.Request, _: Identity) -> web.Response:
        """One account."""
        return reply(account(await self._found(identifier(request))))

    async def change(self, request: web.Request, who: Identity) -> web.Response:
        """Change address, role or password, or shut somebody out. Shut out, his sockets are closed within 2 s."""
        number = identifier(request)
        wish = await document(request, UserChange)
        found = await self._found(number)
        hashed = await self._logins.hash_for(found, wish.password) if wish.password is not None else None
        if (wish.email, wish.role, wish.disabled) != (None, None, None):
            change = Change(email=wish.email, role=wish.role, disabled=wish.disabled)
            found = await self._accounts.change(number, change, by=who.account.id)
            self._logins.forget(number)
        if hashed is not None:
            await self._accounts.set_password(number, hashed, by=who.account.id)
        return reply(account(found))

    async def erase(self, request: web.Request, who: Identity) -> web.Response:
        """Everything of this account goes: rules, signals, deliveries, keys, sessions. There is no way back."""
        number = identifier(request)
        await self._found(number)
        await let_go(self._rules, number, self._changes.rules_changed)
        await self._dossiers.erase(number, by=who.account.id)
        self._logins.forget(number)
        return no_content()

    async def export(self, request: web.Request, who: Identity) -> web.StreamResponse:
        """Everything stored of the caller, a JSON document a line, each with its `kind`."""
        answer = web.StreamResponse(
            headers={
                "Content-Type": "application/x-ndjson",
                "Cache-Control": "no-store",
                "Content-Disposition": 'attachment; filename="pricewatch-export.ndjson"',
            }
        )
        try:
            async for kind, what in self._dossiers.export(who.account):
                if not answer.prepared:
                    await answer.prepare(request)
                await answer.write(msgspec.json.encode({"kind": kind, **what}) + b"\n")
            await answer.write_eof()
        except BaseException:
            if answer.prepared and request.transport is not None:
                request.transport.abort()  # it must not look whole
            raise
        return answer

    async def _found(self, number: uuid.UUID) -> Account:
        found = await self._accounts.get(number)
        if found is None:
            raise NotFound("there is no such account")
        return found


async def let_go(rules: RuleBook, account: uuid.UUID, tell: Callable[[], None]) -> int:
    """Delete an account's rules, and give the engine a moment to let go of them. Returns how many there were."""
    count = 0
    while page := await rules.page(account, limit=500):
        for rule in page:
            await rules.delete(account, rule.id)
        count += len(page)
    tell()
    loop = asyncio.get_running_loop()
    until = loop.time() + _TAKEN_UP
    while loop.time() < until and any(rule.account_id == account for rule in await rules.pending()):  # noqa: ASYNC110 - in the table
        await asyncio.sleep(0.05)
    return count
