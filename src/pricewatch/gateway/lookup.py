"""What is known of a market now, looked up: for the channel `features` and for REST."""

from __future__ import annotations

from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.gateway.board import Board
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ModelStore
from pricewatch.ports.ticks import History
from pricewatch.wire.features import FeaturesDocument, features

_SCORES = 3
"""Minutes back that are looked at for the newest score."""


class Lookup:
    """Prices from memory, the rest from storage."""

    def __init__(self, board: Board, history: History, models: ModelStore, clock: Clock) -> None:
        self._board = board
        self._history = history
        self._models = models
        self._clock = clock

    async def market(self, market: int, name: str) -> FeaturesDocument:
        """Of the market of that id and key; raises `Unavailable`."""
        now = self._clock.now()
        minute = now - now % MINUTE
        candles = await self._history.candles(market, minute - 2 * HOUR - 2 * MINUTE, minute, span=MINUTE)
        return features(
            name,
            now=now,
            price=self._board.price(market),
            candles=candles,
            score=await self._score(market, minute),
            forecast=await self._models.forecast(market),
            spread=self._board.spread(market),
            closed=await self._models.features(market),
        )

    async def _score(self, market: int, minute: int) -> tuple[int, float] | None:
        for at in range(minute, minute - _SCORES * MINUTE, -MINUTE):
            score = await self._models.bar_score(market, at)
            if score is not None:
                return at, score
        return None
