"""`models`: versions of baselines, compared, promoted and rolled back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Mapping, Sequence

from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound, Refused
from pricewatch.domain.model import Baseline, Pointer
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, document, identifier, limit, required
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import AuditLog
from pricewatch.ports.registry import ModelDesk, Registry
from pricewatch.wire.models import (
    BaselineDocument,
    Comparison,
    ModelEventPage,
    ModelPage,
    PointerDocument,
    Promotion,
    RollBack,
    baseline,
    compared,
    event,
)

KINDS = ("price", "range", "volume", "spread", "outlook")
_ANSWERS: Mapping[str, bool] = {"true": True, "false": False}
Pointers = Mapping[tuple[int, str], Pointer]


class Models:
    """Anybody may look; only administrators change what is in use, and all they do is written down."""

    def __init__(self, registry: Registry, desk: ModelDesk, board: Board, audit: AuditLog, clock: Clock) -> None:
        self._registry = registry
        self._desk = desk
        self._board = board
        self._audit = audit
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Fixed paths before those with a version in them."""
        some = ("symbol", "kind", "cursor", "limit")
        pointed = Docs(PointerDocument, body=Promotion, also=(409,))
        back = Docs(PointerDocument, body=RollBack, also=(404, 409))
        return [
            Endpoint("GET", "/models", self.listing, docs=Docs(ModelPage, query=(*some, "in_use"))),
            Endpoint("GET", "/models/history", self.history, docs=Docs(ModelEventPage, query=some)),
            Endpoint("GET", "/models/compare", self.compare, docs=Docs(Comparison, query=("a", "b"), also=(404,))),
            Endpoint("POST", "/models/rollback", self.rollback, Access.ADMIN, docs=back),
            Endpoint("GET", "/models/{version}", self.get, docs=Docs(BaselineDocument, query=())),
            Endpoint("POST", "/models/{version}/promote", self.promote, Access.ADMIN, docs=pointed),
        ]

    async def listing(self, request: web.Request, _: Identity) -> web.Response:
        """Versions of baselines, newest first."""
        markets, kind, wanted = self._markets(request), _kind(request.query.get("kind")), limit(request)
        pointers = await self._pointers()
        if _flag(request, "in_use"):
            found, follow = await self._in_use(pointers, markets, kind), None
        else:
            before = cursor.read_number(request, "models")
            found = await self._registry.baselines(markets=markets, kind=kind, before=before, limit=wanted)
            follow = cursor.write("models", found[-1].place) if len(found) == wanted else None
        return reply(ModelPage([self._document(one, pointers) for one in found], follow))

    async def get(self, request: web.Request, _: Identity) -> web.Response:
        """One version, by its own id or by that of a forecast's rows (which signals name)."""
        return reply(self._document(await self._baseline(identifier(request, "version")), await self._pointers()))

    async def history(self, request: web.Request, _: Identity) -> web.Response:
        """What became of versions, newest first: the models' own audit log."""
        wanted = limit(request)
        rows = await self._registry.events(
            markets=self._markets(request),
            kind=_kind(request.query.get("kind")),
            before=cursor.read_number(request, "model events"),
            limit=wanted,
        )
        follow = cursor.write("model events", rows[-1].id) if len(rows) == wanted else None
        return reply(ModelEventPage([event(self._key(row.market), row) for row in rows], follow))

    async def compare(self, request: web.Request, _: Identity) -> web.Response:
        """Two versions of one kind side by side, and which one did better."""
        first, second = [await self._baseline(_version(request, name)) for name in ("a", "b")]
        if first.kind != second.kind:
            raise Invalid("b", f"is a version of {second.kind}, `a` of {first.kind}; they have no common measure")
        pointers = await self._pointers()
        return reply(compared(self._document(first, pointers), self._document(second, pointers)))

    async def promote(self, request: web.Request, who: Identity) -> web.Response:
        """Put a version in use; its artefact is verified first. A service takes it up within a minute."""
        wish = await document(request, Promotion)
        version = identifier(request, "version")
        move = self._desk.promote(version, actor=who.account.name, pinned=wish.pinned)
        return reply(await self._pointed("model.promote", move, who))

    async def rollback(self, request: web.Request, who: Identity) -> web.Response:
        """Go back to the version in use before the present one."""
        wish = await document(request, RollBack)
        market = self._board.market(wish.market)
        if market is None:
            near = ", ".join(name for name in self._board.nearest(wish.market) if ":" in name)
            hint = f"; did you mean {near}?" if near else ""
            raise Invalid("market", f"there is no market {wish.market[:64]!r}{hint}")
        kind = _kind(wish.kind) or wish.kind
        move = self._desk.rollback(market.id, kind, actor=who.account.name, pinned=wish.pinned)
        return reply(await self._pointed("model.rollback", move, who))

    async def _pointed(self, what: str, move: Awaitable[Pointer], who: Identity) -> PointerDocument:
        try:
            pointer = await move
        except Refused as error:
            await self._audit.note(f"{what}.refused", str(error), at=self._clock.now(), by=who.account.id)
            raise Denied(409, "artefact_refused", str(error)) from error
        await self._audit.note(what, str(pointer.version), at=self._clock.now(), by=who.account.id)
        key = self._key(pointer.market) or ""
        return PointerDocument(key, pointer.kind, pointer.version, rfc3339(pointer.since), pointer.pinned)

    async def _in_use(self, pointers: Pointers, markets: Sequence[int] | None, kind: str | None) -> list[Baseline]:
        found = [
            await self._registry.baseline(one.version)
            for one in pointers.values()
            if (markets is None or one.market in markets) and kind in {None, one.kind}
        ]
        return [one for one in found if one is not None]

    async def _baseline(self, version: uuid.UUID) -> Baseline:
        found = await self._registry.baseline(version)
        if found is None:
            raise NotFound(f"there is no version {version}")
        return found

    async def _pointers(self) -> Pointers:
        return {(one.market, one.kind): one for one in await self._registry.pointers()}

    def _document(self, one: Baseline, pointers: Pointers) -> BaselineDocument:
        return baseline(self._key(one.market) or "", one, pointers.get((one.market, one.kind)))

    def _key(self, number: int | None) -> str | None:
        return next((market.key for market in self._board.everything() if market.id == number), None)

    def _markets(self, request: web.Request) -> Sequence[int] | None:
        text = request.query.get("symbol")
        if text is None:
            return None
        name = self._board.named(text)
        if name is None:
            near = ", ".join(self._board.nearest(text))
            raise Invalid("symbol", f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        return sorted(self._board.resolve(frozenset({name})))


def _kind(text: str | None) -> str | None:
    if text is not None and text not in KINDS:
        raise Invalid("kind", f"{text[:40]!r} is none; write {', '.join(KINDS)}")
    return text


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in _ANSWERS:
        raise Invalid(name, f"{text[:40]!r} is neither true nor false")
    return _ANSWERS[text]


def _version(request: web.Request, name: str) -> uuid.UUID:
    text = required(request, name, "0b2f7c1e-…")
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise Invalid(name, f"{text[:40]!r} is no version") from error
