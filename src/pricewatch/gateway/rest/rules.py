"""`rules`: raw documents in, parsed before they are stored."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Access, Endpoint, identifier, json_body, limit, only
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.wire.rest import rule

Parse = Callable[[bytes], object]
"""Checks a rule's document; raises `Invalid` naming the field and the fix."""


class Rules:
    """One account's rules."""

    def __init__(self, book: RuleBook, changes: RuleChanges, board: Board, parse: Parse) -> None:
        self._book = book
        self._changes = changes
        self._board = board
        self._parse = parse

    def endpoints(self) -> list[Endpoint]:
        """Reading for everybody, writing for users."""
        return [
            Endpoint("GET", "/rules", self.listing),
            Endpoint("POST", "/rules", self.create, Access.WRITE),
            Endpoint("GET", "/rules/{id}", self.get),
            Endpoint("PUT", "/rules/{id}", self.revise, Access.WRITE),
            Endpoint("DELETE", "/rules/{id}", self.delete, Access.WRITE),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """A page in order of id; `next` goes into `after` for the following page."""
        only(request, "after", "limit")
        wanted = limit(request)
        page = await self._book.page(who.account.id, after=_after(request), limit=wanted)
        follow = page[-1].id if len(page) == wanted else None
        return reply({"rules": [rule(one) for one in page], "next": follow})

    async def create(self, request: web.Request, who: Identity) -> web.Response:
        """201 with the stored rule."""
        only(request)
        stored = await self._book.create(who.account.id, await self._document(request))
        self._changes.rules_changed()
        return reply(rule(stored), 201, {"Location": f"/api/v1/rules/{stored.id}"})

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """The newest version."""
        only(request)
        return reply(rule(await self._book.get(who.account.id, identifier(request))))

    async def revise(self, request: web.Request, who: Identity) -> web.Response:
        """A new version."""
        only(request)
        rule_id = identifier(request)
        stored = await self._book.revise(who.account.id, rule_id, await self._document(request))
        self._changes.rules_changed()
        return reply(rule(stored))

    async def delete(self, request: web.Request, who: Identity) -> web.Response:
        """204; its signals stay."""
        only(request)
        await self._book.delete(who.account.id, identifier(request))
        self._changes.rules_changed()
        return web.Response(status=204, headers={"Cache-Control": "no-store"})

    async def _document(self, request: web.Request) -> bytes:
        body = await json_body(request)
        self._parse(body)
        self._check_symbols(msgspec.json.decode(body))
        return body

    def _check_symbols(self, document: Any) -> None:
        """A rule on a misspelt symbol would wait in silence for ever."""
        symbols = document.get("symbols") if isinstance(document, dict) else None
        known = {market.symbol for market in self._board.everything()}
        if not isinstance(symbols, list) or not known:
            return
        for place, symbol in enumerate(symbols):
            if symbol not in known:
                near = ", ".join(name for name in self._board.nearest(str(symbol)) if name in known)
                hint = f"; did you mean {near}?" if near else "; GET /api/v1/symbols lists them"
                raise Invalid(f"symbols[{place}]", f"no venue here lists {str(symbol)[:64]!r}{hint}")


def _after(request: web.Request) -> uuid.UUID | None:
    text = request.query.get("after")
    if text is None:
        return None
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise Invalid("after", f"{text[:40]!r} is not a rule's id") from error
