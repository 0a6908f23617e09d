"""The channel `features`: price, returns, anomaly score and band of a market, looked up in a steady rhythm."""

from __future__ import annotations

import msgspec
import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.gateway.board import Board, Selection
from pricewatch.gateway.feed.seats import Reader, Seats
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ModelStore
from pricewatch.ports.ticks import History
from pricewatch.wire.features import FeaturesDocument, FeaturesSnapshot, features, features_frame
from pricewatch.wire.feed import encode

log = structlog.get_logger(__name__)

_SCORES = 3
"""Minutes back that are looked at for the newest score."""


class Features:
    """A `Desk`. `flush` is called in its rhythm by the gateway."""

    def __init__(self, board: Board, history: History, models: ModelStore, clock: Clock) -> None:
        self.seats = Seats(board)
        self._board = board
        self._history = history
        self._models = models
        self._clock = clock
        self._told: dict[int, FeaturesDocument] = {}

    def select(self, reader: Reader, selection: Selection) -> None:
        """Its markets are looked up from now on."""
        self.seats.select(reader, selection)

    async def snapshot(self, selection: Selection) -> bytes:
        """All markets of the selection, as they are now."""
        markets = self.seats.named(self.seats.markets_of(selection))
        return encode(FeaturesSnapshot(data=[await self._look_up(market, name) for market, name in markets]))

    async def flush(self) -> None:
        """What changed, to everybody who reads it."""
        documents: dict[tuple[int, int], bytes] = {}
        wanted = self.seats.markets()
        self._told = {market: told for market, told in self._told.items() if market in wanted}
        try:
            for market, name in self.seats.named(wanted):
                found = await self._look_up(market, name)
                if not _is_same(found, self._told.get(market)):
                    self._told[market] = found
                    documents[market, 0] = msgspec.json.encode(found)
        except Unavailable as error:
            log.info("gateway.features_later", error=str(error))
        self.seats.deliver(documents, features_frame)

    async def _look_up(self, market: int, name: str) -> FeaturesDocument:
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
        )

    async def _score(self, market: int, minute: int) -> tuple[int, float] | None:
        for at in range(minute, minute - _SCORES * MINUTE, -MINUTE):
            score = await self._models.bar_score(market, at)
            if score is not None:
                return at, score
        return None


def _is_same(found: FeaturesDocument, told: FeaturesDocument | None) -> bool:
    """Nothing but the time is different."""
    return told is not None and msgspec.structs.replace(found, at=told.at) == told
