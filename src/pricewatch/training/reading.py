"""A market's candles read page by page, so that nobody waits while many are turned into numbers."""

from __future__ import annotations

import asyncio

from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import Spreads
from pricewatch.ports.ticks import History
from pricewatch.training.job import Packer
from pricewatch.training.refit import Candles

_PAGE = 100
"""Candles a read turns into numbers at once: well under a millisecond."""
_HOURS = 10
"""Hours a read asks for at once: where no hours are stored they are put together from sixty minutes each."""


class Reader:
    """Closed candles before the market's newest trade, or before now where there is none."""

    def __init__(self, history: History, spreads: Spreads, clock: Clock) -> None:
        self._history = history
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
        packer, start = Packer(), until - (count + count // 2) * HOUR
        while True:
            page = await self._spreads.spreads(market, start, until, limit=_PAGE)
            packer.add(page)
            if len(page) < _PAGE:
                return Candles(packer.packed(), HOUR, until)
            start = page[-1].at + HOUR
            await asyncio.sleep(0)

    async def _read(self, market: int, span: int, count: int) -> Candles:
        until = await self._closed(market, span)
        packer, start = Packer(), until - count * span
        most = _HOURS if span == HOUR else _PAGE
        while True:
            page = await self._history.candles(market, start, until, span=span, limit=most)
            packer.add(page)
            if len(page) < most:
                return Candles(packer.packed(), span, until)
            start = page[-1].at + span
            await asyncio.sleep(0)

    async def _closed(self, market: int, span: int) -> int:
        recent = await self._history.recent([market], 1)
        newest = recent[market][-1].trade.at if market in recent else self._clock.now()
        return newest - newest % span
