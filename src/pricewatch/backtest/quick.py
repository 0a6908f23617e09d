"""The quick way for rules on price levels: only the minutes that may concern the rule are read trade by trade."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.backtest.feeding import Feeder
from pricewatch.backtest.order import STILL, place
from pricewatch.domain.time import MINUTE
from pricewatch.engine.timers import NEVER
from pricewatch.ports.preview import Minute, Past, Progress
from pricewatch.ports.ticks import Sequenced
from pricewatch.rules.base import PRICE
from pricewatch.rules.document import Rule

_FIRST, _MOST = 3, 32
"""Minutes read at a time: few where the rule is touched, more and more while it stays busy."""


def is_quick(rule: Rule) -> bool:
    """Whether the lows and highs of minutes tell where it may change: it reads prices only, and no suspects."""
    return rule.when.needs() == PRICE and not rule.policy.suspect


class QuickWalk:
    """One market's minutes, walked from state change to state change. Gives the very signals of the full reading.

    A minute whose extremes stay between the rule's triggers changes nothing, in whatever order its trades came. Around
    one that does not, trades are read from the minute before it (which gives the prior price, and prints that came late)
    up to the first minute at rest again, of which it is known that no earlier trade comes after it.
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

    async def run(self, start: int, end: int, progress: Progress) -> None:
        """Trades before the place `start` in the order, or made at `end` or later, are none of the rule's."""
        self._start, self._end = start, end
        count, fed, at = len(self._minutes), 0, 0
        while (at := self._concerned(at)) < count:
            progress(at / count)
            at = fed = await self._around(at, fed)
        if count and fed < count and self._is_pending():
            # What the timer waits for comes after the last trade: its price, and its place, must be known.
            self._feeder.trades(sorted(await self._trades(count - 1), key=place))

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

    async def _around(self, at: int, fed: int) -> int:
        """Feed the trades around a minute; returns the first minute that was not fed. Those below `fed` have been."""
        minutes, grace = self._minutes, self._feeder.grace
        number = max(at - 1, fed)
        self._width = _FIRST
        held: list[Sequenced] = []
        while number < len(minutes):
            fresh = await self._trades(number)
            border = min((one.seen for one in fresh if not one.trade.flags & STILL), default=None)
            if border is None:  # nothing here moves the time
                held += fresh
                number += 1
                continue
            known = sorted((*held, *fresh), key=place)
            self._feeder.trades(one for one in known if one.seen < border)
            # What comes after this minute's first trade and is older than the grace changes nothing any more.
            edge = minutes[number].at - grace
            behind = [one for one in held if one.seen >= border and one.trade.at >= edge]
            if number > at and not behind and self._concerned(number) > number:
                return number
            held = behind + [one for one in fresh if one.seen >= border]
            number += 1
        self._feeder.trades(sorted(held, key=place))
        return number

    async def _trades(self, number: int) -> list[Sequenced]:
        """One minute's trades by the venue's time; several minutes are read at once."""
        at = self._minutes[number].at
        if at not in self._read:
            chosen = self._minutes[number : number + self._width]
            self._width = min(_MOST, 2 * self._width)
            self._read = {minute.at: [] for minute in chosen}
            async for batch in self._past.trades(self._market, at, chosen[-1].at + MINUTE):
                for one in batch:
                    minute = self._read.get(one.trade.at - one.trade.at % MINUTE)
                    if minute is not None and one.seen >= self._start and one.trade.at < self._end:
                        minute.append(one)  # where there is no minute there are only suspects
        return self._read[at]
