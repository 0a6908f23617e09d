"""What is stored, for people, training and restarts, from PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.time import HOUR, MINUTE, SECOND
from pricewatch.ports.ticks import Mark, Sequenced
from pricewatch.store.pool import Database, Row
from pricewatch.store.sql import load
from pricewatch.store.ticklog import sequenced

SQL = load("market")


class PostgresHistory:
    """Keeps `History` and `CandleImport`."""

    def __init__(self, ticks: Database, steps: Mapping[int, int]) -> None:
        """`ticks` is a pool made with `Database.for_ticks`; `steps` as the catalog keeps them."""
        self._ticks = ticks
        self._steps = steps

    async def marks(self, markets: Sequence[int]) -> Mapping[int, Mark]:
        """The watermark of each market that has a stored trade, with holes among its newest 5,000 keys.

        Markets whose keys are hashes have no holes; their mark is at their newest trade.
        """
        rows = await self._ticks.fetch(SQL["marks"], list(markets))
        return {
            row["id"]: Mark(
                market=row["id"],
                key=row["trade_id"],
                at=self._floor(row["id"], row["ts"]),
                missing=tuple(zip(row["firsts"] or (), row["lasts"] or (), strict=True)),
            )
            for row in rows
        }

    async def last(self, upto: int) -> Mapping[int, Sequenced]:
        """Per market the newest trade in the order with `seen <= upto` (no history, no suspect).

        Looked for among the market's 256 newest by the venue's time.
        """
        found = [sequenced(row, self._steps) for row in await self._ticks.fetch(SQL["last"], upto)]
        return {one.trade.market: one for one in found}

    async def recent(self, markets: Sequence[int], limit: int) -> Mapping[int, Sequence[Sequenced]]:
        """Each market's `limit` newest trades by the venue's time, in their order; nothing for one without any."""
        found: dict[int, list[Sequenced]] = {}
        for row in await self._ticks.fetch(SQL["recent"], list(markets), limit):
            one = sequenced(row, self._steps)
            found.setdefault(one.trade.market, []).append(one)
        return found

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        """Trades with `start <= at < end`, oldest first."""
        step = self._steps.get(market, 1)
        first, beyond = (-(-edge // step) * step for edge in (start, end))
        rows = await self._ticks.fetch(SQL["trades"], market, first, beyond, limit)
        return [sequenced(row, self._steps) for row in rows]

    async def candles(self, market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        """Candles of a second, a minute or an hour with `start <= at < end`, oldest first; `Invalid` for other spans.

        Own trades first; minutes without own trades are filled from imported venue candles. Seconds are counted anew
        from the stored trades of the whole span: ask for hours of them at most.
        """
        if span == SECOND:
            first = -(-start // SECOND) * SECOND
            beyond = -(-end // SECOND) * SECOND
            rows = await self._ticks.fetch(SQL["candles_1s"], market, first, beyond, limit, self._steps.get(market, 1))
            return [_candle(market, row) for row in rows]
        if span == MINUTE:
            return await self._minutes(market, start, end, limit)
        if span != HOUR:
            raise Invalid("span", f"{span} is not had; ask for {SECOND} (a second), {MINUTE} or {HOUR}")
        first = -(-start // HOUR) * HOUR
        border = await self._ticks.fetchval(SQL["whole_hours_upto"], market, first, end)
        settled = first if border is None else max(first, border - border % HOUR)
        rows = await self._ticks.fetch(SQL["candles_1h"], market, first, settled, limit)
        hours = [_candle(market, row) for row in rows]
        if len(hours) < limit and settled < end:
            room = limit - len(hours)
            minutes = await self._minutes(market, settled, -(-end // HOUR) * HOUR, 60 * room)
            hours += _in_hours(minutes)[:room]
        return hours

    async def import_candles(self, candles: Sequence[Candle]) -> int:
        """Store one-minute candles; those already there are kept. Returns how many were new."""
        columns = [
            [one.market for one in candles],
            [one.at for one in candles],
            [one.open for one in candles],
            [one.high for one in candles],
            [one.low for one in candles],
            [one.close for one in candles],
            [one.volume for one in candles],
            [one.trades for one in candles],
        ]
        tag = await self._ticks.execute(SQL["import_candles"], *columns)
        return int(tag.rpartition(" ")[2])

    async def _minutes(self, market: int, start: int, end: int, limit: int) -> list[Candle]:
        step = self._steps.get(market, 1)
        first = -(-start // MINUTE) * MINUTE
        rows = await self._ticks.fetch(SQL["candles_1m"], market, first, end, limit, step)
        return [_candle(market, row) for row in rows]

    def _floor(self, market: int, ts: int) -> int:
        return ts - ts % self._steps.get(market, 1)


def _candle(market: int, row: Row) -> Candle:
    return Candle(market, *row)


def _in_hours(minutes: Sequence[Candle]) -> list[Candle]:
    """Whole hours out of minutes in order."""
    hours: list[Candle] = []
    for one in minutes:
        at = one.at - one.at % HOUR
        if not hours or hours[-1].at != at:
            hours.append(Candle(one.market, at, one.open, one.high, one.low, one.close, one.volume, one.trades))
            continue
        so_far = hours[-1]
        hours[-1] = Candle(
            market=one.market,
            at=at,
            open=so_far.open,
            high=max(so_far.high, one.high),
            low=min(so_far.low, one.low),
            close=one.close,
            volume=so_far.volume + one.volume,
            trades=so_far.trades + one.trades,
        )
    return hours
