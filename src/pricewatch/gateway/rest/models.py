"""`models`: versions of baselines, compared, promoted and rolled back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound, Refused
from pricewatch.domain.model import Baseline, Pointer
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.rest.endpoint import Access, Endpoint, identifier, integer, json_body, limit, only, required
from pricewatch.ports.registry import ModelDesk, Registry
from pricewatch.wire.models import BaselineDocument, baseline, event

KINDS = ("price", "range", "volume", "outlook")
T = TypeVar("T")


class _Promotion(msgspec.Struct, forbid_unknown_fields=True):
    pinned: bool = True


class _RollBack(msgspec.Struct, forbid_unknown_fields=True):
    market: str
    kind: str
    pinned: bool = True


class Models:
    """Anybody may look; only administrators change what is in use, and all they do is written down."""

    def __init__(self, registry: Registry, desk: ModelDesk, board: Board) -> None:
        self._registry = registry
        self._desk = desk
        self._board = board

    def endpoints(self) -> list[Endpoint]:
        """Fixed paths before those with a version in them."""
        return [
            Endpoint("GET", "/models", self.listing),
            Endpoint("GET", "/models/history", self.history),
            Endpoint("GET", "/models/compare", self.compare),
            Endpoint("POST", "/models/rollback", self.rollback, Access.ADMIN),
            Endpoint("GET", "/models/{version}", self.get),
            Endpoint("POST", "/models/{version}/promote", self.promote, Access.ADMIN),
        ]

    async def listing(self, request: web.Request, _: Identity) -> web.Response:
        """Newest first, below place `before`; `in_use=true` for those in use alone."""
        only(request, "market", "kind", "in_use", "before", "limit")
        market, kind = self._market(request.query.get("market")), _kind(request.query.get("kind"))
        if request.query.get("in_use") == "true":
            found = await self._in_use(market, kind, limit(request))
        else:
            before = integer(request, "before", None)
            found = await self._registry.baselines(market=market, kind=kind, before=before, limit=limit(request))
        pointers = await self._pointers()
        return reply({"models": [self._document(one, pointers) for one in found]})

    async def get(self, request: web.Request, _: Identity) -> web.Response:
        """One version, by its own id or by that of a forecast's rows (what signals name)."""
        only(request)
        return reply(self._document(await self._baseline(identifier(request, "version")), await self._pointers()))

    async def history(self, request: web.Request, _: Identity) -> web.Response:
        """What happened, newest first, below id `before`."""
        only(request, "market", "kind", "before", "limit")
        rows = await self._registry.events(
            market=self._market(request.query.get("market")),
            kind=_kind(request.query.get("kind")),
            before=integer(request, "before", None),
            limit=limit(request),
        )
        return reply({"events": [event(self._key(row.market), row) for row in rows]})

    async def compare(self, request: web.Request, _: Identity) -> web.Response:
        """Two versions of one kind, with what differs between them."""
        only(request, "a", "b")
        first, second = [await self._baseline(_version(request, name)) for name in ("a", "b")]
        if first.kind != second.kind:
            raise Invalid("b", f"is a version of {second.kind}, `a` of {first.kind}; they have no common measure")
        return reply(compared(first, second, [self._document(one, await self._pointers()) for one in (first, second)]))

    async def promote(self, request: web.Request, who: Identity) -> web.Response:
        """Put a version in use. `{"pinned": false}` lets the next better refit replace it."""
        only(request)
        wish = await _body(request, _Promotion, '{"pinned": true}') if request.can_read_body else _Promotion()
        version = identifier(request, "version")
        return reply(await self._pointed(self._desk.promote(version, actor=who.account.name, pinned=wish.pinned)))

    async def rollback(self, request: web.Request, who: Identity) -> web.Response:
        """Go back to the version in use before the present one."""
        only(request)
        wish = await _body(request, _RollBack, '{"market": "coinbase:BTC-USD", "kind": "price"}')
        market, kind = self._market(wish.market), _kind(wish.kind)
        assert market is not None  # noqa: S101 - a text was given
        assert kind is not None  # noqa: S101 - as above
        actor = who.account.name
        return reply(await self._pointed(self._desk.rollback(market, kind, actor=actor, pinned=wish.pinned)))

    async def _pointed(self, move: Awaitable[Pointer]) -> dict[str, Any]:
        try:
            pointer = await move
        except Refused as error:
            raise Denied(409, "artefact_refused", str(error)) from error
        return {
            "market": self._key(pointer.market),
            "kind": pointer.kind,
            "version": pointer.version,
            "since": rfc3339(pointer.since),
            "pinned": pointer.pinned,
        }

    async def _in_use(self, market: int | None, kind: str | None, most: int) -> list[Baseline]:
        pointers = [
            one for one in await self._registry.pointers() if market in {None, one.market} and kind in {None, one.kind}
        ]
        found = [await self._registry.baseline(one.version) for one in pointers[:most]]
        return [one for one in found if one is not None]

    async def _baseline(self, version: uuid.UUID) -> Baseline:
        found = await self._registry.baseline(version)
        if found is None:
            raise NotFound(f"there is no version {version}")
        return found

    async def _pointers(self) -> Mapping[tuple[int, str], Pointer]:
        return {(one.market, one.kind): one for one in await self._registry.pointers()}

    def _document(self, one: Baseline, pointers: Mapping[tuple[int, str], Pointer]) -> BaselineDocument:
        return baseline(self._key(one.market) or "", one, pointers.get((one.market, one.kind)))

    def _key(self, number: int | None) -> str | None:
        return next((market.key for market in self._board.everything() if market.id == number), None)

    def _market(self, text: str | None) -> int | None:
        if text is None:
            return None
        market = self._board.market(text)
        if market is None:
            near = ", ".join(name for name in self._board.nearest(text) if ":" in name)
            raise Invalid("market", f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        return market.id


def compared(first: Baseline, second: Baseline, documents: list[BaselineDocument]) -> dict[str, Any]:
    """Both documents, which one did better, and whether on the same window."""
    losses = [one.metrics.get("loss") for one in (first, second)]
    windows = [(one.metrics.get("held_from"), one.metrics.get("held_to")) for one in (first, second)]
    better = None
    if losses[0] is not None and losses[1] is not None and losses[0] != losses[1]:
        better = "a" if losses[0] < losses[1] else "b"
    return {
        "a": documents[0],
        "b": documents[1],
        "better": better,
        "same_window": windows[0] == windows[1],
        "loss": {"a": losses[0], "b": losses[1]},
        "parameters_differ": sorted(
            name
            for name in {*first.parameters, *second.parameters}
            if first.parameters.get(name) != second.parameters.get(name)
        ),
    }


def _kind(text: str | None) -> str | None:
    if text is not None and text not in KINDS:
        raise Invalid("kind", f"{text[:40]!r} is none; write {', '.join(KINDS)}")
    return text


def _version(request: web.Request, name: str) -> uuid.UUID:
    text = required(request, name, "0b2f7c1e-…")
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise Invalid(name, f"{text[:40]!r} is no version") from error


async def _body(request: web.Request, kind: type[T], example: str) -> T:
    try:
        return msgspec.json.decode(await json_body(request), type=kind)
    except msgspec.ValidationError as error:
        raise Invalid("", f"{error}; send for example {example}") from error
    except msgspec.DecodeError as error:
        raise Invalid("", f"not JSON: {error}") from error
