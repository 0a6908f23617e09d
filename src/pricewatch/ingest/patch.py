"""Candles in place of trades that nobody can give any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Market
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.candles import is_sound
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import CandleImport

log = structlog.get_logger(__name__)

_LATENESS = 5 * SECOND
"""After a minute's end its candle is taken for final."""


class Patcher:
    """One venue's candles for declared holes."""

    def __init__(
        self,
        settings: VenueSettings,
        *,
        history: VenueHistory | None,
        candles: CandleImport | None,
        clock: Clock,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._history = history
        self._candles = candles
        self._clock = clock
        self._pause = pause

    async def patch(self, market: Market, from_at: int, to_at: int) -> bool:
        """Import the minutes that touch `[from_at, to_at]` once the last has ended; False when they cannot be had."""
        if self._history is None or self._candles is None:
            return False
        start, end = from_at // MINUTE * MINUTE, (to_at // MINUTE + 1) * MINUTE
        await self._pause(max(0, end + _LATENESS - self._clock.now()) / SECOND)
        waited, attempt = 0.0, 0
        while True:
            try:
                found = await self._history.candles(market, start, end)
                sound = [candle for candle in found if is_sound(candle)]
                await self._candles.import_candles(sound)
            except Unavailable as error:
                if waited >= self._settings.refill_deadline:
                    log.warning("candles.missing", market=market.key, error=str(error))
                    return False
            except Refused as error:
                log.warning("candles.missing", market=market.key, error=str(error))
                return False
            else:
                return bool(sound)  # none at all may mean that the venue reaches less far back
            wait = doubled(self._settings.refill_backoff, self._settings.refill_backoff_cap, attempt)
            await self._pause(wait)
            waited += wait
            attempt += 1
