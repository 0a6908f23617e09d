"""The quick way for rules on price levels: only the minutes that may concern the rule are read trade by trade."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from pricewatch.backtest.feeding import Feeder
from pricewatch.backtest.order import complete, place
from pricewatch.domain.market import Flag
from pricewatch.domain.time import MINUTE
from pricewatch.engine.timers import NEVER
from pricewatch.ports.preview import Minute, Past, Progress
from pricewatch.ports.ticks import Sequenced

STILL = int(Flag.HISTORY | Flag.SUSPECT)
"""Trades that do not move a market's time."""
_FIRST, _MOST = 3, 16
"""Minutes read at a time: few where the rule is touched, more and more while it stays busy."""


class QuickWalk:
    """One market's minutes, walked from state change to state change. Gives the very signals of the full reading.

    A minute whose extremes stay between the rule's triggers changes nothing, in whatever order its trades came. Around
    one that does not, trades are read from the minute before it (which gives the prior price, and prints out of order)
    up to the first minute at rest before whose end nothing is missing any more.
    """

    def __init__(self, past: Past, feeder: Feeder, market: int, minutes: Sequence[Minute]) -> None:
        """`minutes`: all that have trades, ascending."""
        self._past = past
        self._feeder = feeder
        self._market = market
        self._minutes = minutes
        self._read: dict[int, list[Sequenced]] = {}
        self._width = _FIRST
        self._start, self._end = 0, NEVER
        self._loaded = 0
        """Minutes below this one have been read, or are at rest."""
        self._held: list[Sequenced] = []
        """Read, but not yet known to be the next ones in the order; all of the minute read last."""

    async def run(self, start: int, end: int, progress: Progress) -> None:
        """Trades before the place `start` in the order, or made at `end` or later, are none of the rule's."""
        self._start, self._end = start, end
        count, at = len(self._minutes), 0
        while (at := self._concerned(at)) < count:
            at = await self._around(at, progress)
        if self._loaded < count and self._is_pending():
            # What the timer waits for comes after the last trade: its price, and its place, must be known.
            await self._around(count - 1, progress)

    def _is_pending(self) -> bool:
        rest = self._feeder.engine.rest(self._market)
        return rest is not None and rest.due_at < NEVER

    def _concerned(self, at: int) -> int:
        """The first minute from `at` on that may change the rule; their number when there is none."""
        minutes = self._minutes
        rest = self._feeder.engine.rest(self._market)
        if rest is None:
            return at
        down, up, before = rest.down, rest.up, rest.due_at - MINUTE
        for number in range(at, len(minutes)):
            minute = minutes[number]
            if minute.low <= down or minute.high >= up or minute.at > before:
                return number
        return len(minutes)

    async def _around(self, at: int, progress: Progress) -> int:
        """Feed the trades around a minute; returns the first minute that need not be looked at again."""
        minutes = self._minutes
        self._width = _FIRST
        number = self._loaded
        if at > number:  # the minutes between are at rest, and so is what was held of the last one
            self._held, number = [], at - 1
        while number < len(minutes):
            self._held += await self._trades(number)
            number += 1
            progress(number / len(minutes))
            self._give(minutes[number].at if number < len(minutes) else None)
            self._drop()
            if number - 1 > at and self._is_clean(minutes[number - 1].at) and self._concerned(number - 1) >= number:
                break
        self._loaded = number
        return number

    def _give(self, before: int | None) -> None:
        """Feed what is known to be next in the order; everything where no minute follows."""
        border = NEVER if before is None else complete(self._held, before)
        ready = [one for one in self._held if one.seen <= border]
        self._held = [one for one in self._held if one.seen > border]
        self._feeder.trades(sorted(ready, key=place))

    def _drop(self) -> None:
        """What comes after a trade that is newer by more than the grace changes nothing any more."""
        if len(self._held) < 2:
            return
        kept, newest = [], 0
        grace = self._feeder.grace
        for one in sorted(self._held, key=place):
            if one.trade.at >= newest - grace:
                kept.append(one)
            if not one.trade.flags & STILL:
                newest = max(newest, one.trade.at)
        self._held = kept

    def _is_clean(self, since: int) -> bool:
        return all(one.trade.at >= since for one in self._held)

    async def _trades(self, number: int) -> list[Sequenced]:
        """One minute's trades by the venue's time; several minutes are read at once."""
        at = self._minutes[number].at
        if at not in self._read:
            chosen = self._minutes[number : number + self._width]
            self._width = min(_MOST, 2 * self._width)
            found: list[Sequenced] = []
            async for batch in self._past.trades(self._market, at, min(chosen[-1].at + MINUTE, self._end)):
                found += batch
            # They come by time. Where there is no minute there are only suspects.
            borders = [bisect_left(found, minute.at, key=_at) for minute in chosen]
            beyond = [bisect_left(found, minute.at + MINUTE, key=_at) for minute in chosen]
            self._read = {
                minute.at: [one for one in found[low:high] if one.seen >= self._start]
                for minute, low, high in zip(chosen, borders, beyond, strict=True)
            }
        return self._read[at]


def _at(one: Sequenced) -> int:
    return one.trade.at
