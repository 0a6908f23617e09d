"""Sums over a window and over the time before it, exact and never dear, however much leaves at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Any

from pricewatch.domain.time import SECOND

BLOCK = 256
"""Summands that leave the window together."""
AT_ONCE = 8
"""What was put off is made up for that much at a time."""


class Block:
    """Some consecutive summands of one second."""

    __slots__ = ("amounts", "ats", "begin", "second", "total")

    def __init__(self, second: int) -> None:
        self.second = second
        self.ats = array("q")
        self.amounts: list[int] = []
        self.begin = 0
        """Those before it have left the window."""
        self.total = 0
        """Of those that have not."""

    def add(self, at: int, amount: int) -> None:
        """The next one, or one out of order at its place."""
        place = bisect_right(self.ats, at, self.begin)
        self.ats.insert(place, at)
        self.amounts.insert(place, amount)
        self.total += amount

    def leave(self, cutoff: int) -> int:
        """The sum of those that leave the window now, being at `cutoff` or before."""
        place = bisect_right(self.ats, cutoff, self.begin)
        left = sum(self.amounts[self.begin : place])
        self.begin = place
        self.total -= left
        return left


class Recent:
    """A minute of the window: its blocks, oldest first."""

    __slots__ = ("blocks", "minute", "total")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.blocks: deque[Block] = deque()
        self.total = 0

    def add(self, at: int, amount: int) -> None:
        """The next summand in order."""
        blocks, second = self.blocks, at // SECOND
        if not blocks or blocks[-1].second != second or len(blocks[-1].ats) >= BLOCK:
            blocks.append(Block(second))
        blocks[-1].add(at, amount)
        self.total += amount

    def insert(self, at: int, amount: int) -> None:
        """A summand out of order."""
        blocks = self.blocks
        place = len(blocks)
        while place and blocks[place - 1].ats[blocks[place - 1].begin] > at:
            place -= 1
        if not place or blocks[place - 1].second != at // SECOND:
            blocks.insert(place, Block(at // SECOND))
            place += 1
        blocks[place - 1].add(at, amount)
        self.total += amount

    @property
    def first(self) -> int:
        """When its oldest summand was that has not left."""
        block = self.blocks[0]
        return block.ats[block.begin]

    @property
    def last(self) -> int:
        """When its newest summand was."""
        return self.blocks[-1].ats[-1]


class Minute:
    """The sums of a minute's seconds, as far as they have not left the baseline."""

    __slots__ = ("begin", "minute", "seconds", "sums", "total", "waiting")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.seconds = array("q")
        self.sums: list[int] = []
        self.begin = 0
        self.total = 0
        self.waiting: deque[Block] = deque()
        """In the total, and still to be counted by their seconds."""

    def add(self, second: int, amount: int) -> None:
        """To that second, or to the newest one where that is later."""
        if self.waiting:
            self.settle(len(self.waiting))
        self.total += amount
        self._count(second, amount)

    def take(self, recent: Recent) -> None:
        """All that a minute of the window still had."""
        self.waiting.extend(recent.blocks)
        self.total += recent.total

    def settle(self, most: int) -> None:
        """Count some of those that wait."""
        for _ in range(min(most, len(self.waiting))):
            block = self.waiting.popleft()
            self._count(block.second, block.total)

    def leave(self, oldest: int) -> int:
        """The sum of the seconds before `oldest`, which leave."""
        self.settle(len(self.waiting))
        place = bisect_left(self.seconds, oldest, self.begin)
        left = sum(self.sums[self.begin : place])
        self.begin = place
        self.total -= left
        return left

    @property
    def last(self) -> int:
        """Its newest second."""
        waiting = self.waiting[-1].second if self.waiting else -1
        return max(waiting, self.seconds[-1]) if self.seconds else waiting

    @property
    def first(self) -> int:
        """Its oldest second; those that wait come after the others."""
        return self.seconds[self.begin] if self.begin < len(self.seconds) else self.waiting[0].second

    def _count(self, second: int, amount: int) -> None:
        if self.seconds and self.seconds[-1] >= second:
            self.sums[-1] += amount
        else:
            self.seconds.append(second)
            self.sums.append(amount)


class Sums:
    """Summands of a window, one by one, and of the baseline before it, second by second.

    A second leaves the baseline when all of it is older than the baseline. However many leave at once, after a silence
    or a burst, it takes a fraction of a millisecond: they go by whole minutes, and what that leaves to be counted and
    freed is done little by little.
    """

    __slots__ = ("_baseline", "_heaps", "_minutes", "_recent", "_scrap", "_unsettled", "_window", "recent", "usual")

    def __init__(self, window: int, baseline: int) -> None:
        self._window = window
        self._baseline = baseline
        self._recent: deque[Recent] = deque()
        self._minutes: deque[Minute] = deque()
        self._unsettled: deque[Minute] = deque()
        self._heaps: deque[deque[Block]] = deque()
        """Blocks that are to be freed, and in `_scrap` what is small."""
        self._scrap: deque[object] = deque()
        self.recent = 0
        """The sum over the window, `now - window < at <= now`."""
        self.usual = 0
        """The sum over the baseline."""

    def add(self, at: int, amount: int) -> None:
        """The next summand in order."""
        recent, minute = self._recent, at // SECOND // 60
        if recent and recent[-1].blocks[-1].second < (at - self._window - self._baseline) // SECOND:
            self._clear()  # so long a silence that nothing is left
        if not recent or recent[-1].minute < minute:
            recent.append(Recent(minute))
        recent[-1].add(at, amount)
        self.recent += amount

    def insert(self, at: int, amount: int) -> None:
        """A summand out of order: within the grace, so its place is near the end."""
        recent, minute = self._recent, at // SECOND // 60
        place = len(recent)
        while place and recent[place - 1].minute > minute:
            place -= 1
        if not place or recent[place - 1].minute < minute:
            recent.insert(place, Recent(minute))
            place += 1
        recent[place - 1].insert(at, amount)
        self.recent += amount

    def trim(self, now: int) -> None:
        """Move what has left the window that ends at `now` into the baseline, and forget what has left that."""
        recent, cutoff = self._recent, now - self._window
        if recent and recent[0].first <= cutoff:
            while recent and recent[0].last <= cutoff:
                self._age(recent.popleft())
            if recent:
                self._age_some(recent[0], cutoff)
        self._forget((cutoff - self._baseline) // SECOND)
        if self._unsettled or self._scrap or self._heaps:
            self._tidy()

    def _age(self, recent: Recent) -> None:
        """A whole minute of the window."""
        self.recent -= recent.total
        self.usual += recent.total
        minute = self._minute(recent.minute)
        minute.take(recent)
        self._unsettled.append(minute)

    def _age_some(self, recent: Recent, cutoff: int) -> None:
        """What has left the window of the minute in which it begins."""
        blocks = recent.blocks
        while blocks[0].ats[-1] <= cutoff:
            self._age_amount(recent, blocks[0].second, blocks[0].total)
            self._scrap.append(blocks.popleft())
        if blocks[0].ats[blocks[0].begin] <= cutoff:
            self._age_amount(recent, blocks[0].second, blocks[0].leave(cutoff))

    def _age_amount(self, recent: Recent, second: int, amount: int) -> None:
        recent.total -= amount
        self.recent -= amount
        self.usual += amount
        self._minute(recent.minute).add(second, amount)

    def _minute(self, minute: int) -> Minute:
        """One that came later than a window and is older than what is here already counts with the newest minute."""
        minutes = self._minutes
        if not minutes or minutes[-1].minute < minute:
            minutes.append(Minute(minute))
        return minutes[-1]

    def _forget(self, oldest: int) -> None:
        minutes = self._minutes
        while minutes and minutes[0].last < oldest:
            gone = minutes.popleft()
            self.usual -= gone.total
            self._scrap.append(gone)
            if gone.waiting:
                self._heaps.append(gone.waiting)
        if minutes and minutes[0].first < oldest:
            self.usual -= minutes[0].leave(oldest)

    def _tidy(self) -> None:
        """Some of what is left to be done: trades bring less of it than is done with each."""
        unsettled = self._unsettled
        if unsettled:
            unsettled[0].settle(AT_ONCE)
            if not unsettled[0].waiting:
                unsettled.popleft()
        heap: deque[Any] = self._heaps[0] if self._heaps else self._scrap
        for _ in range(min(AT_ONCE, len(heap))):
            heap.popleft()
        if self._heaps and not heap:
            self._heaps.popleft()

    def _clear(self) -> None:
        self._heaps.extend(one.blocks for one in self._recent)
        self._heaps.extend(one.waiting for one in self._unsettled)
        self._scrap.extend(self._minutes)
        self._recent.clear()
        self._minutes.clear()
        self._unsettled.clear()
        self.recent = self.usual = 0
