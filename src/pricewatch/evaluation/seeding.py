"""Closes of stored bars for indicators that begin: read beside the loop's work, a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from pricewatch.engine.evaluate import Engine
from pricewatch.engine.seeding import Closes, Want, add, stretches
from pricewatch.ports.ticks import History

_PAGE = 500
"""Candles between two turns of the loop."""
_TRIES = 3

Seeds = Mapping[Want, Closes]


class Seeder:
    """`drain` returns when every trade evaluated so far is in the table."""

    def __init__(self, engine: Engine, history: History, drain: Callable[[], Awaitable[None]]) -> None:
        self._seeding = engine.seeding
        self._history = history
        self._drain = drain

    async def gathered(self, wants: Iterable[Want]) -> Seeds:
        """What indicators begin with that are followed from now on; raises `Unavailable`.

        If a bar ends while its market's bars are read, they are read again; a market whose bars end faster than that
        begins without a past, as every market did.
        """
        found: dict[Want, tuple[int, Closes]] = {}
        left = set(wants)
        for _ in range(_TRIES if left else 0):
            await self._drain()
            for want in left:
                at = self._seeding.at(want.market)
                found[want] = at, await read(self._history, want, at)
            left = {want for want, (at, _) in found.items() if want.bar(at) != want.bar(self._seeding.at(want.market))}
            if not left:
                break
        return {want: closes for want, (_, closes) in found.items() if want not in left}

    def give(self, seeds: Seeds) -> None:
        """Begin with them, in the same turn in which they were gathered and their rules armed."""
        for want, closes in seeds.items():
            self._seeding.give(want, closes)


async def begin_again(engine: Engine, history: History, since: Mapping[int, int]) -> None:
    """At a restart, what no saved state knows begins with the bars before those that are read again.

    `since` is, by market, the event time of the first trade that is; raises `Unavailable`.
    """
    for want in engine.seeding.missing():
        if (at := since.get(want.market)) is not None:
            engine.seeding.give(want, await read(history, want, want.bar(at)))


async def read(history: History, want: Want, at: int) -> Closes:
    """The closes an indicator begins with at event time `at`."""
    closes: Closes = []
    for span, start, end in stretches(want, at):
        first = start
        while first < end:
            page = await history.candles(want.market, first, end, span=span, limit=_PAGE)
            add(want, closes, page)
            if len(page) < _PAGE:
                break
            first = page[-1].at + span
            await asyncio.sleep(0)
    return closes
