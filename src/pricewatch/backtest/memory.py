"""Trades and candles held in memory, read like stored ones: what files bring along."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from operator import attrgetter

from pricewatch.domain.market import Candle, Flag, Market
from pricewatch.domain.model import Activation, BarScore, Forecast
from pricewatch.domain.time import MINUTE
from pricewatch.ports.preview import Minute, PlacedQuote
from pricewatch.ports.ticks import Sequenced

_SUSPECT = int(Flag.SUSPECT)


class MemoryPast:
    """Keeps `Past`. What is added must be added before it is asked for."""

    def __init__(self, markets: Sequence[Market]) -> None:
        self._markets = list(markets)
        self._trades: dict[int, list[Sequenced]] = {}
        self._quotes: dict[int, list[PlacedQuote]] = {}
        self._candles: dict[int, dict[int, Candle]] = {}
        self._scores: list[BarScore] = []
        self._forecasts: list[tuple[Activation, Forecast]] = []

    def add_market(self, market: Market) -> None:
        """One more."""
        self._markets.append(market)

    def add_trades(self, trades: Iterable[Sequenced]) -> None:
        """Trades with their places in the order."""
        for one in trades:
            self._trades.setdefault(one.trade.market, []).append(one)
        for found in self._trades.values():
            found.sort(key=lambda one: (one.trade.at, one.trade.key))

    def add_quotes(self, quotes: Iterable[PlacedQuote]) -> None:
        """Quotes with theirs."""
        for one in quotes:
            self._quotes.setdefault(one.quote.market, []).append(one)
        for found in self._quotes.values():
            found.sort(key=lambda one: (one.quote.at, one.seen))

    def add_candles(self, candles: Iterable[Candle]) -> None:
        """One-minute candles; the first of a minute counts."""
        for one in candles:
            self._candles.setdefault(one.market, {}).setdefault(one.at, one)

    def add_scores(self, scores: Iterable[BarScore]) -> None:
        """Scores of bars."""
        self._scores = sorted([*self._scores, *scores], key=attrgetter("at"))

    def add_forecasts(self, forecasts: Iterable[tuple[Activation, Forecast]]) -> None:
        """Forecasts with their activations."""
        self._forecasts = sorted([*self._forecasts, *forecasts], key=lambda pair: pair[0].from_seen)

    # -- Past ---------------------------------------------------------------------------------------------------------

    async def markets(self) -> Sequence[Market]:
        """All there are."""
        return self._markets

    async def first(self, market: int) -> int | None:
        """When the oldest trade was made."""
        found = self._trades.get(market)
        return found[0].trade.at if found else None

    async def minutes(self, market: int, start: int, end: int) -> list[Minute]:
        """Every minute with a trade that is no suspect."""
        found: dict[int, Minute] = {}
        for one in self._between(market, start, end):
            if one.trade.flags & _SUSPECT:
                continue
            price, at = one.trade.price, one.trade.at - one.trade.at % MINUTE
            known = found.get(at)
            found[at] = Minute(
                at, *((price, price) if known is None else (min(known.low, price), max(known.high, price)))
            )
        return list(found.values())

    async def trades(self, market: int, start: int, end: int, *, batch: int = 20_000) -> AsyncIterator[list[Sequenced]]:
        """All trades, ascending by time."""
        found = self._between(market, start, end)
        for begin in range(0, len(found), batch):
            yield found[begin : begin + batch]

    async def quotes(
        self, market: int, start: int, end: int, *, batch: int = 20_000
    ) -> AsyncIterator[list[PlacedQuote]]:
        """All quotes, ascending by time."""
        found = [one for one in self._quotes.get(market, ()) if start <= one.quote.at < end]
        for begin in range(0, len(found), batch):
            yield found[begin : begin + batch]

    async def candles(self, market: int, start: int, end: int, *, span: int = MINUTE) -> list[Candle]:
        """Of own trades, where there are none those given."""
        found = dict(self._candles.get(market, {}))
        groups: dict[int, list[Sequenced]] = {}
        for one in self._between(market, start, end):
            if not one.trade.flags & _SUSPECT:
                groups.setdefault(one.trade.at - one.trade.at % MINUTE, []).append(one)
        found |= {at: _candle(market, at, group) for at, group in groups.items()}
        minutes = [found[at] for at in sorted(found) if start <= at < end]
        return minutes if span == MINUTE else _wider(minutes, span)

    async def scores(self, market: int, start: int, end: int) -> list[BarScore]:
        """Of this market's bars."""
        return [one for one in self._scores if one.market == market and start <= one.at < end]

    async def forecasts(self, market: int, start: int, end: int) -> list[tuple[Activation, Forecast]]:
        """The one in force at `start`, and the later ones."""
        mine = [pair for pair in self._forecasts if pair[0].market == market and pair[0].from_seen < end]
        before = [pair for pair in mine if pair[0].from_seen <= start]
        return before[-1:] + mine[len(before) :]

    def _between(self, market: int, start: int, end: int) -> list[Sequenced]:
        found = self._trades.get(market, [])
        low, high = (bisect_left(found, edge, key=lambda one: one.trade.at) for edge in (start, end))
        return found[low:high]


def _wider(minutes: Sequence[Candle], span: int) -> list[Candle]:
    """Candles put together."""
    found: dict[int, Candle] = {}
    for one in minutes:
        at = one.at - one.at % span
        held = found.get(at)
        found[at] = (
            Candle(one.market, at, one.open, one.high, one.low, one.close, one.volume, one.trades)
            if held is None
            else Candle(
                one.market, at, held.open, max(held.high, one.high), min(held.low, one.low), one.close,
                held.volume + one.volume, held.trades + one.trades,
            )
        )  # fmt: skip
    return list(found.values())


def _candle(market: int, at: int, group: Sequence[Sequenced]) -> Candle:
    prices = [one.trade.price for one in group]
    volume = sum(one.trade.size for one in group)
    return Candle(market, at, prices[0], max(prices), min(prices), prices[-1], volume, len(group))
