"""`forecast/{symbol}` and `forecasts`: outlooks, each beside the random walk's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.market import Market
from pricewatch.domain.model import Outlook
from pricewatch.domain.time import DAY, parse_span
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, required
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import Watchlists
from pricewatch.ports.registry import Registry
from pricewatch.wire.models import OutlookDocument, OutlookPage, outlook

OUTLOOKS = ("outlook", "range", "volume", "spread")
_MOST_SYMBOLS = 200
_DEFAULT_LEVEL = 0.95


class Wanted(msgspec.Struct, frozen=True):
    """What a request asks of each outlook."""

    kind: str
    level: float | None
    """None for 0.95, or else the widest there is."""
    reach: int


class Forecasts:
    """The same for every account."""

    def __init__(self, registry: Registry, lists: Watchlists, board: Board, clock: Clock) -> None:
        self._lists = lists
        self._registry = registry
        self._board = board
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        some = ("horizon", "level", "kind")
        return [
            Endpoint("GET", "/forecast/{symbol}", self.one, docs=Docs(OutlookDocument, query=some, also=(404,))),
            Endpoint(
                "GET",
                "/forecasts",
                self.many,
                docs=Docs(OutlookPage, query=("symbols", "watchlist", *some), optional=("symbols",)),
            ),
        ]

    async def one(self, request: web.Request, _: Identity) -> web.Response:
        """The outlook of a market, or of the first market of a symbol that has one."""
        wanted = _wanted(request)
        markets = self._markets(request.match_info["symbol"], "symbol")
        found = await self._registry.outlooks([market.id for market in markets], wanted.kind)
        if not found:
            names = ", ".join(market.key for market in markets)
            raise NotFound(
                f"there is no {wanted.kind} of {names} yet: it takes two weeks of hours; import them, or see /status"
            )
        return reply(self._document(_first(markets, found), wanted))

    async def many(self, request: web.Request, who: Identity) -> web.Response:
        """The outlooks of several symbols, or of those on one of your watchlists, and which have none."""
        wanted = _wanted(request)
        if "watchlist" in request.query:
            return await self._on_list(request, who, wanted)
        names = [name for name in required(request, "symbols", "BTC-USD,ETH-USD").split(",") if name.strip()]
        if not 0 < len(names) <= _MOST_SYMBOLS:
            raise Invalid("symbols", f"{len(names)} symbols; name 1 to {_MOST_SYMBOLS}")
        return await self._outlooks({name.strip(): self._markets(name, "symbols") for name in names}, wanted)

    async def _on_list(self, request: web.Request, who: Identity, wanted: Wanted) -> web.Response:
        if "symbols" in request.query:
            raise Invalid("watchlist", "is another way to say which symbols; leave one of the two out")
        text = request.query["watchlist"]
        found = await self._lists.find(who.account.id, text)
        if found is None:
            raise Invalid("watchlist", f"you have no watchlist {text[:64]!r}; GET /api/v1/watchlists shows yours")
        by_symbol: dict[str, list[Market]] = {symbol: [] for symbol in found.symbols}
        for market in self._board.everything():
            if market.symbol in by_symbol:
                by_symbol[market.symbol].append(market)
        return await self._outlooks(by_symbol, wanted)

    async def _outlooks(self, by_name: Mapping[str, Sequence[Market]], wanted: Wanted) -> web.Response:
        ids = sorted({market.id for markets in by_name.values() for market in markets})
        found = await self._registry.outlooks(ids, wanted.kind)
        here = {name: _first(markets, found) for name, markets in by_name.items() if _have(markets, found)}
        forecasts = [self._document(one, wanted) for one in here.values()]
        return reply(OutlookPage(forecasts, [name for name in by_name if name not in here]))

    def _markets(self, text: str, field: str) -> Sequence[Market]:
        name = self._board.named(text)
        if name is None:
            near = ", ".join(self._board.nearest(text))
            raise Invalid(field, f"there is no market {text[:64]!r}" + (f"; did you mean {near}?" if near else ""))
        ids = self._board.resolve(frozenset({name}))
        return [market for market in self._board.everything() if market.id in ids]

    def _document(self, one: Outlook, wanted: Wanted) -> OutlookDocument:
        level = wanted.level if wanted.level is not None else _usual(one.levels)
        if level not in one.levels:
            known = ", ".join(f"{100 * known:g}" for known in one.levels)
            raise Invalid("level", f"{100 * level:g} is not calibrated here; there are {known}")
        market = next(market for market in self._board.everything() if market.id == one.market)
        return outlook(market.key, one, level=level, reach=wanted.reach, now=self._clock.now())


def _wanted(request: web.Request) -> Wanted:
    kind = request.query.get("kind", "outlook")
    if kind not in OUTLOOKS:
        raise Invalid("kind", f"{kind[:40]!r} is none; write {', '.join(OUTLOOKS)}")
    reach = parse_span(request.query.get("horizon", "5d"), field="horizon")
    if not 0 < reach <= 5 * DAY:
        raise Invalid("horizon", f"{request.query['horizon'][:40]!r} must be above zero and at most '5d'")
    return Wanted(kind, _level(request.query.get("level")), reach)


def _level(text: str | None) -> float | None:
    """A coverage as a share or in per cent."""
    if text is None:
        return None
    try:
        number = float(text.removesuffix("%")) if len(text) <= 20 else 0.0
    except ValueError:
        number = 0.0
    level = number / 100 if number >= 1 else number
    if not 0 < level < 1:
        raise Invalid("level", f"{text[:40]!r} is no coverage; write for example 95")
    return round(level, 6)


def _usual(levels: Sequence[float]) -> float:
    return _DEFAULT_LEVEL if _DEFAULT_LEVEL in levels else levels[-1]


def _have(markets: Sequence[Market], found: Sequence[Outlook]) -> bool:
    return any(one.market == market.id for market in markets for one in found)


def _first(markets: Sequence[Market], found: Sequence[Outlook]) -> Outlook:
    by_market = {one.market: one for one in found}
    return next(by_market[market.id] for market in markets if market.id in by_market)
