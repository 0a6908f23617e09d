"""`watchlists` and `audit`."""

from __future__ import annotations

import uuid

import msgspec
from aiohttp import web

from pricewatch.domain.account import Scope
from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.quotas import Quotas
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, document, identifier, limit, no_content
from pricewatch.ports.records import AuditLog, Watchlists
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.rules.listed import check_symbols, listings
from pricewatch.wire.people import AuditPage, WatchlistBody, WatchlistPage, WatchlistRecord, audit, watchlist

_PAGE = 500


class Desk:
    """Watchlists of one's own, and who did what."""

    def __init__(
        self,
        lists: Watchlists,
        log: AuditLog,
        quotas: Quotas,
        *,
        book: RuleBook,
        changes: RuleChanges,
        board: Board,
    ) -> None:
        self._board = board
        self._book = book
        self._lists = lists
        self._changes = changes
        self._log = log
        self._quotas = quotas

    def endpoints(self) -> list[Endpoint]:
        """Reading for everybody, writing for users; an administrator sees all of the audit log."""
        page = ("cursor", "limit")
        write = Docs(WatchlistRecord, body=WatchlistBody, query=())
        return [
            Endpoint("GET", "/watchlists", self.listing, docs=Docs(WatchlistPage, query=page)),
            Endpoint("POST", "/watchlists", self.create, Access.WRITE, write._replace(status=201)),
            Endpoint("GET", "/watchlists/{id}", self.get, docs=Docs(WatchlistRecord, query=())),
            Endpoint("PUT", "/watchlists/{id}", self.change, Access.WRITE, write._replace(also=(409,))),
            Endpoint("DELETE", "/watchlists/{id}", self.delete, Access.WRITE, Docs(status=204, query=(), also=(409,))),
            Endpoint("GET", "/audit", self.audit, docs=Docs(AuditPage, query=("account", *page))),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """One's own watchlists, in order of id."""
        after, wanted = cursor.read_id(request, "watchlists"), limit(request)
        page = await self._lists.page(who.account.id, after=after, limit=wanted)
        follow = cursor.write("watchlists", page[-1].id) if len(page) == wanted else None
        return reply(WatchlistPage([watchlist(one) for one in page], follow))

    async def create(self, request: web.Request, who: Identity) -> web.Response:
        """A new watchlist."""
        wish = await document(request, WatchlistBody)
        await self._quotas.check_watchlists(who.account.id)
        made = await self._lists.create(who.account.id, wish.name, self._symbols(wish))
        self._changes.rules_changed()
        return reply(watchlist(made), 201, {"Location": f"/api/v1/watchlists/{made.id}"})

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """One of one's own watchlists."""
        return reply(watchlist(await self._lists.get(who.account.id, identifier(request))))

    async def change(self, request: web.Request, who: Identity) -> web.Response:
        """Replace its name and symbols; rules over it follow. One that is used keeps its name."""
        number, wish = identifier(request), await document(request, WatchlistBody)
        if (known := await self._lists.get(who.account.id, number)).name != wish.name:
            await self._check_unused(who, known.name)
        changed = await self._lists.change(who.account.id, number, wish.name, self._symbols(wish))
        self._changes.rules_changed()
        return reply(watchlist(changed))

    async def delete(self, request: web.Request, who: Identity) -> web.Response:
        """It is gone; 409 while rules are over it, for they would watch nothing."""
        number = identifier(request)
        await self._check_unused(who, (await self._lists.get(who.account.id, number)).name)
        await self._lists.delete(who.account.id, number)
        self._changes.rules_changed()
        return no_content()

    async def audit(self, request: web.Request, who: Identity) -> web.Response:
        """Who did what, newest first: what one did oneself and what was done to one's own; all for administrators."""
        before, wanted = cursor.read_number(request, "audit"), limit(request)
        page = await self._log.page(_whose(request, who), before=before, limit=wanted)
        follow = cursor.write("audit", page[-1].number) if len(page) == wanted else None
        return reply(AuditPage([audit(one) for one in page], follow))

    async def _check_unused(self, who: Identity, name: str) -> None:
        after = None
        while page := await self._book.page(who.account.id, after=after, limit=_PAGE):
            for rule in page:
                symbols = msgspec.json.decode(rule.document).get("symbols")
                if isinstance(symbols, dict) and symbols.get("watchlist") == name:
                    problem = f"rule {rule.id} is over the list {name!r} and would watch nothing"
                    raise Denied(409, "in_use", f"{problem}; change or delete it first")
            after = page[-1].id

    def _symbols(self, wish: WatchlistBody) -> list[str]:
        """Those there are: a rule over a list would wait for a misspelt one for ever."""
        symbols = list(dict.fromkeys(wish.symbols))
        check_symbols(symbols, listings(self._board.everything()))
        return symbols


def _whose(request: web.Request, who: Identity) -> uuid.UUID | None:
    text = request.query.get("account")
    if text is None:
        return None if who.may(Scope.ADMIN) else who.account.id
    try:
        wanted = uuid.UUID(text)
    except ValueError as error:
        raise Invalid("account", f"{text[:40]!r} is not an account's id") from error
    if wanted != who.account.id and not who.may(Scope.ADMIN):
        raise Denied(403, "admin_only", "only an administrator sees what others did")
    return wanted
