"""What every keeper of `Past` promises."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Protocol

from tests.backtest.conftest import START, M, S, trade

from pricewatch.domain.market import Candle, Flag, Market, Quote
from pricewatch.domain.model import Activation, BarScore, Forecast, ForecastRow
from pricewatch.ports.preview import Minute, Past, PlacedQuote
from pricewatch.ports.ticks import Sequenced

BINANCE = Market(1, "binance", "BTC-USDT", "BTCUSDT", 1_000)
COINBASE = Market(2, "coinbase", "BTC-USD", "BTC-USD", 1)


class Filled(Protocol):
    """A keeper that can be filled."""

    past: Past

    async def trades(self, trades: Sequence[Sequenced]) -> None: ...
    async def quotes(self, quotes: Sequence[PlacedQuote]) -> None: ...
    async def candles(self, candles: Sequence[Candle]) -> None: ...
    async def scores(self, scores: Sequence[BarScore]) -> None: ...
    async def forecasts(self, pairs: Sequence[tuple[Activation, Forecast]]) -> None: ...
    async def rolled_up(self) -> None: ...


def candle(market: int, at: int, price: float) -> Candle:
    return Candle(market, at, price, price + 1, price - 1, price, 2.0, 3)


async def gathered(stream: Any) -> list[list[Any]]:
    return [batch async for batch in stream]


def forecast(market: int, number: int) -> Forecast:
    rows = [ForecastRow(START, 100.0, 99.0, 101.0)]
    return Forecast(uuid.UUID(int=number), market, "prophet", START, START, 10, 0.95, M, START + 60 * M, rows)


class PastPromises:
    async def test_markets_and_first(self, filled: Filled) -> None:
        assert await filled.past.markets() == [BINANCE, COINBASE]
        assert await filled.past.first(1) is None
        await filled.trades([trade(1_999, START + 5_000, 100.0), trade(1_998, START + 9_000, 100.0)])
        assert await filled.past.first(1) == START + 5_000
        assert await filled.past.first(2) is None

    async def test_trades_come_by_time_whole_and_each_once_in_batches_of_any_size(self, filled: Filled) -> None:
        # Many at one instant, places out of order, far apart days; a market of milliseconds.
        given = [
            trade(
                key,
                START + (key // 5) * 1_000 + day * 1_440 * M,
                100.0 + key,
                seen=START + 10_000 - key + day * 1_440 * M,
            )
            for day in range(2)
            for key in range(1 + 40 * day, 40 + 40 * day)
        ]
        await filled.trades([*given, trade(7, START, 5.0, market=2)])
        for size in (1, 7, 20_000):
            batches = await gathered(filled.past.trades(1, START, START + 2_000 * M, batch=size))
            assert all(0 < len(batch) <= size for batch in batches)
            found = [one for batch in batches for one in batch]
            assert sorted(found, key=lambda one: one.trade.key) == given
            assert [one.trade.at for one in found] == sorted(one.trade.at for one in found)
        inside = await gathered(filled.past.trades(1, START + 1_000, START + 2_000))
        assert {one.trade.key for batch in inside for one in batch} == {5, 6, 7, 8, 9}
        assert await gathered(filled.past.trades(1, START + M, START + 2 * M)) == []

    async def test_minutes_tell_the_extremes_before_and_after_the_roll_up(self, filled: Filled) -> None:
        first = [
            trade(1, START + S, 100.0),
            trade(2, START + 2 * S, 90.0, flags=Flag.SUSPECT),
            trade(3, START + 59 * S, 99.0, flags=Flag.HISTORY),
            trade(4, START + 3 * M, 101.0, flags=Flag.SUSPECT),
            trade(5, START + 5 * M, 50.0),
            trade(6, START + 5 * M, 1.0, market=2),
        ]
        await filled.trades(first)
        wanted = [Minute(START, 99.0, 100.0), Minute(START + 5 * M, 50.0, 50.0)]
        assert await filled.past.minutes(1, START, START + 6 * M) == wanted
        await filled.rolled_up()
        assert await filled.past.minutes(1, START, START + 6 * M) == wanted
        assert await filled.past.minutes(1, START + M, START + 5 * M) == []
        # A refill into a minute that had been counted, stored since.
        await filled.trades([trade(7, START + 30 * S, 120.0, seen=START + 6 * M, flags=Flag.LATE)])
        assert await filled.past.minutes(1, START, START + M) == [Minute(START, 99.0, 120.0)]

    async def test_candles_fill_up_what_trades_leave_out_however_many(self, filled: Filled) -> None:
        await filled.candles([candle(1, START - number * M, 100.0) for number in range(12_000)])
        await filled.trades([trade(1, START + S, 50.0)])
        found = await filled.past.candles(1, START - 11_999 * M, START + M)
        assert len(found) == 12_000
        assert [one.at for one in found] == sorted(one.at for one in found)
        assert found[-1] == Candle(1, START, 50.0, 50.0, 50.0, 50.0, 1.0, 1)
        assert await filled.past.candles(2, START, START + M) == []

    async def test_candles_of_hours_are_made_of_those_of_minutes(self, filled: Filled) -> None:
        given = [candle(1, START + number * M, 100.0 + number) for number in range(90)]
        await filled.candles(given)
        hours = await filled.past.candles(1, START, START + 120 * M, span=60 * M)
        assert [(one.at, one.open, one.high, one.low, one.close, one.volume) for one in hours] == [
            (START, 100.0, 160.0, 99.0, 159.0, 120.0),
            (START + 60 * M, 160.0, 190.0, 159.0, 189.0, 60.0),
        ]

    async def test_quotes(self, filled: Filled) -> None:
        given = [
            PlacedQuote(START + number * S, Quote(1, START + number // 4 * M, 99.0, 1.0, 101.0, 2.0, START))
            for number in range(12)
        ]
        await filled.quotes(given)
        for size in (5, 100):
            batches = await gathered(filled.past.quotes(1, START, START + 2 * M, batch=size))
            assert [one for batch in batches for one in batch] == given[:8]

    async def test_scores_and_forecasts(self, filled: Filled) -> None:
        scores = [BarScore(market, START + number * M, 1.5, "m@1", START) for market in (1, 2) for number in range(3)]
        await filled.scores(scores)
        assert await filled.past.scores(2, START + M, START + 3 * M) == scores[4:]
        pairs = [(Activation(1, uuid.UUID(int=n), START + n * M), forecast(1, n)) for n in range(1, 5)]
        await filled.forecasts([*pairs, (Activation(2, uuid.UUID(int=9), START), forecast(2, 9))])
        assert await filled.past.forecasts(1, START + 2 * M + 5, START + 4 * M) == pairs[1:3]
        assert await filled.past.forecasts(1, START, START + 2 * M) == pairs[:1]
