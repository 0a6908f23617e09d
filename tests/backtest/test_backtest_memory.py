from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.backtest.past_promises import BINANCE, COINBASE, Filled, PastPromises

from pricewatch.backtest.memory import MemoryPast
from pricewatch.domain.market import Candle
from pricewatch.domain.model import Activation, BarScore, Forecast
from pricewatch.ports.preview import Past, PlacedQuote
from pricewatch.ports.ticks import Sequenced


class InMemory:
    def __init__(self) -> None:
        self.memory = MemoryPast([BINANCE, COINBASE])
        self.past: Past = self.memory

    async def trades(self, trades: Sequence[Sequenced]) -> None:
        self.memory.add_trades(trades)

    async def quotes(self, quotes: Sequence[PlacedQuote]) -> None:
        self.memory.add_quotes(quotes)

    async def candles(self, candles: Sequence[Candle]) -> None:
        self.memory.add_candles(candles)

    async def scores(self, scores: Sequence[BarScore]) -> None:
        self.memory.add_scores(scores)

    async def forecasts(self, pairs: Sequence[tuple[Activation, Forecast]]) -> None:
        self.memory.add_forecasts(pairs)

    async def rolled_up(self) -> None:
        """Nothing is ever behind."""


class TestMemoryPast(PastPromises):
    @pytest.fixture
    def filled(self) -> Filled:
        return InMemory()
