"""One pace for everything that must not go faster, and must stay away when told to."""

from __future__ import annotations

import asyncio


class Pace:
    """Turns at least `interval` seconds apart, in the order in which they were asked for."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn. A turn given up by cancellation stays used."""
        now = asyncio.get_running_loop().time()
        mine = max(self._next, now)
        self._next = mine + self._interval
        if mine > now:
            await asyncio.sleep(mine - now)

    def stay_away(self, seconds: float) -> None:
        """No turn begins within the next `seconds`."""
        self._next = max(self._next, asyncio.get_running_loop().time() + seconds)
