"""One pace for everything that must not go faster, and must stay away when told to."""

from __future__ import annotations

import asyncio


class Pace:
    """Turns at least `interval` seconds apart, in the order in which they were asked for."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = 0.0
        self._away = 0.0

    async def turn(self) -> None:
        """Wait for the next turn. A turn given up by cancellation stays used."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            mine = max(self._next, self._away, now)
            self._next = mine + self._interval
            if mine > now:
                await asyncio.sleep(mine - now)
            if loop.time() >= self._away:
                return

    def stay_away(self, seconds: float) -> None:
        """No turn begins within the next `seconds`, not even one that is waited for already."""
        self._away = max(self._away, asyncio.get_running_loop().time() + seconds)

    @property
    def away(self) -> float:
        """Seconds until turns begin again; 0 when nobody told us to stay away."""
        return max(0.0, self._away - asyncio.get_running_loop().time())
