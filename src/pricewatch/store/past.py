"""Stored inputs of the evaluator, from PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pricewatch.domain.market import Candle, Market, Quote, Trade
from pricewatch.domain.model import Activation, BarScore, Forecast
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.ports.preview import Minute, PlacedQuote
from pricewatch.ports.ticks import History, Sequenced
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.pool import Database, Row
from pricewatch.store.sql import load

SQL = load("past")

_PATIENCE = 60.0
_LEAST = -(2**63)


class PostgresPast:
    """Keeps `Past`."""

    def __init__(self, ticks: Database, history: History, models: PostgresModelStore) -> None:
        """`ticks` is a pool made with `Database.for_ticks`, which reads `by_index`."""
        self._ticks = ticks
        self._history = history
        self._models = models
        self._steps: dict[int, int] = {}

    async def markets(self) -> Sequence[Market]:
        """All there are."""
        found = [Market(*row) for row in await self._fetch("instruments")]
        self._steps = {market.id: market.step for market in found}
        return found

    async def first(self, market: int) -> int | None:
        """When the oldest stored trade was made; None without any."""
        rows = await self._fetch("first", market)
        first: int | None = rows[0][0]
        return None if first is None else first - first % await self._step(market)

    async def minutes(self, market: int, start: int, end: int) -> list[Minute]:
        """Every minute with a stored trade that is no suspect: from candles, the newest from the trades themselves."""
        settled = (await self._fetch("settled"))[0][0]
        touched = [row[0] for row in await self._fetch("unsettled", market, settled or 0, start, end)]
        found = _minutes((await self._fetch("minutes", market, start, end))[0])
        if not touched:
            return found
        counted = {minute.at: minute for minute in found}
        for begin, beyond in _ranges(touched):
            counted |= {
                minute.at: minute for minute in _minutes((await self._fetch("recount", market, begin, beyond))[0])
            }
        return [counted[at] for at in sorted(counted)]

    async def trades(self, market: int, start: int, end: int, *, batch: int = 20_000) -> AsyncIterator[list[Sequenced]]:
        """All trades, ascending by time, in batches."""
        step = await self._step(market)
        async for rows in self._pages(
            "trades", market, -(-start // step) * step, -(-end // step) * step, batch, "trade_id"
        ):
            yield [
                Sequenced(
                    seen,
                    Trade(market, at - at % step, price, size, side, key, received, flags, ref),
                )
                for at, seen, price, size, side, key, received, flags, ref in rows
            ]

    async def quotes(
        self, market: int, start: int, end: int, *, batch: int = 20_000
    ) -> AsyncIterator[list[PlacedQuote]]:
        """All stored quotes, ascending by time, in batches."""
        async for rows in self._pages("quotes", market, start, end, batch, "seen"):
            yield [_quote(row) for row in rows]

    async def candles(self, market: int, start: int, end: int, *, span: int = MINUTE) -> list[Candle]:
        """Candles of a minute, or an hour: of own trades, where there are none the venue's; ascending."""
        found: list[Candle] = []
        room = 10_000
        while True:
            more = await self._history.candles(market, start, end, span=span, limit=room)
            found += more
            if len(more) < room:
                return found
            start = more[-1].at + span

    async def scores(self, market: int, start: int, end: int) -> list[BarScore]:
        """The scores of one-minute bars, ascending."""
        return [BarScore(*row) for row in await self._fetch("scores", market, start, end)]

    async def forecasts(self, market: int, start: int, end: int) -> list[tuple[Activation, Forecast]]:
        """The forecast in force at `start` of our order and those put into force until `end`."""
        activations = [Activation(*row) for row in await self._fetch("activations", market, start, end)]
        forecasts = await self._models.forecasts({one.version for one in activations})
        return [(one, forecasts[one.version]) for one in activations]

    async def _step(self, market: int) -> int:
        if market not in self._steps:
            await self.markets()
        return self._steps.get(market, 1)

    async def _pages(
        self, name: str, market: int, start: int, end: int, batch: int, key: str
    ) -> AsyncIterator[list[Row]]:
        """Page by page in the order of the identity index."""
        after = _LEAST
        while rows := await self._fetch(name, market, start, end, after, batch):
            yield rows
            if len(rows) < batch:
                return
            start, after = rows[-1]["ts"], rows[-1][key]

    async def _fetch(self, name: str, *args: Any) -> list[Row]:
        return await self._ticks.call(lambda connection: connection.fetch(SQL[name], *args), within=_PATIENCE)


def _minutes(row: Row) -> list[Minute]:
    """Minutes that came as three columns: a month of them as rows would cost more than all trades that are read."""
    starts, lows, highs = row
    return [] if starts is None else list(map(Minute, [at * SECOND for at in starts], lows, highs))


def _ranges(minutes: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending minutes as stretches of neighbours."""
    found: list[tuple[int, int]] = []
    for at in minutes:
        if found and found[-1][1] == at:
            found[-1] = found[-1][0], at + MINUTE
        else:
            found.append((at, at + MINUTE))
    return found


def _quote(row: Row) -> PlacedQuote:
    ts, seen, market, bid, bid_size, ask, ask_size, received = row
    return PlacedQuote(seen, Quote(market, ts, bid, bid_size, ask, ask_size, received))
