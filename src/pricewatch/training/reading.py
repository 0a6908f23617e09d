"""A market's candles as a fit takes them: read in one piece, and looked at by nobody on the way."""

from __future__ import annotations

from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import PackedHistory, Spreads
from pricewatch.ports.ticks import RecentTrades
from pricewatch.training.refit import Candles


class Reader:
    """Closed candles before the market's newest trade, or before now where there is none."""

    def __init__(self, recent: RecentTrades, columns: PackedHistory, spreads: Spreads, clock: Clock) -> None:
        self._recent = recent
        self._columns = columns
        self._spreads = spreads
        self._clock = clock

    async def minutes(self, market: int, count: int) -> Candles:
        """The last `2 * count` minutes: one in two may be missing. Raises `Unavailable`."""
        return await self._read(market, MINUTE, 2 * count)

    async def hours(self, market: int, count: int, least: int) -> Candles:
        """The last `count` hours; minutes instead, while there are fewer hours than `least`. Raises `Unavailable`."""
        found = await self._read(market, HOUR, count + count // 2)
        return found if len(found.packed) >= least else await self._read(market, MINUTE, 5 * count)

    async def spreads(self, market: int, count: int) -> Candles:
        """The last `count` hours of spreads, where there were quotes. Raises `Unavailable`."""
        until = await self._closed(market, HOUR)
        await self._spreads.count_spreads(market, until)
        return Candles(await self._columns.spreads(market, until - (count + count // 2) * HOUR, until), HOUR, until)

    async def _read(self, market: int, span: int, count: int) -> Candles:
        until = await self._closed(market, span)
        return Candles(await self._columns.candles(market, until - count * span, until, span=span), span, until)

    async def _closed(self, market: int, span: int) -> int:
        recent = await self._recent.recent([market], 1)
        newest = recent[market][-1].trade.at if market in recent else self._clock.now()
        return newest - newest % span
