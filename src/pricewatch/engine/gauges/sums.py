"""Sums over a window and over the time before it: exact, and a search however much leaves at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from pricewatch.domain.time import SECOND

TRIM = 4_096
"""What nobody needs any more is dropped that much at a time at least."""
TURNS = 64
"""Tracks drop in turn, so that of many on one market few do so with the same trade."""
AT_ONCE = 2
"""Summands that are put together with others of their second with each trade: it brings one."""
_LOW = 64
_MASK = (1 << _LOW) - 1
WHOLE = (1 << 2 * _LOW) - 1
"""Totals run over there and begin anew, which no difference notices: no day's sum is that large."""


class Totals:
    """Running totals by a growing key, as two machine words each."""

    __slots__ = ("_highs", "_lows", "base", "begin", "keys")

    def __init__(self) -> None:
        self.keys = array("q")
        self._highs = array("Q")
        self._lows = array("Q")
        self.begin = 0
        """Those before it are not needed any more."""
        self.base = 0
        """The total before `begin`."""

    def append(self, key: int, total: int) -> None:
        """The next key, or the last one again."""
        keys = self.keys
        if len(keys) > self.begin and keys[-1] >= key:
            self._highs[-1], self._lows[-1] = total >> _LOW, total & _MASK
            return
        keys.append(key)
        self._highs.append(total >> _LOW)
        self._lows.append(total & _MASK)

    def add(self, key: int, total: int) -> None:
        """The next one, of the same key or a later one."""
        self.keys.append(key)
        self._highs.append(total >> _LOW)
        self._lows.append(total & _MASK)

    def insert(self, key: int, amount: int) -> None:
        """One before others, whose totals grow by it."""
        place = bisect_right(self.keys, key, self.begin)
        before = self.before(place)
        self.keys.insert(place, key)
        self._highs.insert(place, before >> _LOW)
        self._lows.insert(place, before & _MASK)
        for number in range(place, len(self.keys)):
            total = self.before(number + 1) + amount & WHOLE
            self._highs[number], self._lows[number] = total >> _LOW, total & _MASK

    def before(self, place: int) -> int:
        """The total before a place at `begin` or later."""
        return (self._highs[place - 1] << _LOW) + self._lows[place - 1] if place > self.begin else self.base

    def forget(self, place: int) -> None:
        """Nobody asks for what is before it any more."""
        self.base = self.before(place)
        self.begin = place

    def trim(self) -> int:
        """Drop it; by how much places moved."""
        begin = self.begin
        if begin < TRIM or begin <= len(self.keys) // 2:
            return 0
        for one in (self.keys, self._highs, self._lows):
            del one[:begin]
        self.begin = 0
        return begin


class Track:
    """Summands in order of time: one by one as long as they are in the window, afterwards second by second."""

    __slots__ = ("_cut", "_seconds", "_singles", "_turn", "recent", "total", "usual")

    def __init__(self, turn: int) -> None:
        self._singles = Totals()
        self._seconds = Totals()
        self._cut = 0
        """The first of the single ones that is in the window."""
        self._turn = turn
        self.total = self.recent = self.usual = 0

    def add(self, at: int, amount: int) -> None:
        """The next one in order."""
        self.total = self.total + amount & WHOLE
        self._singles.add(at, self.total)

    def insert(self, at: int, amount: int) -> None:
        """One that may be out of order."""
        self.total = self.total + amount & WHOLE
        self._singles.insert(at, amount)
        self._cut = min(self._cut, bisect_left(self._singles.keys, at, self._singles.begin))

    def trim(self, cutoff: int, oldest: int) -> None:
        """The window begins behind `cutoff`, the time before it with the second `oldest`."""
        singles, seconds = self._singles, self._seconds
        keys = singles.keys
        before = cut = self._cut
        if cut < len(keys) and keys[cut] <= cutoff:
            cut = self._cut = bisect_right(keys, cutoff, cut)
        counted = singles.before(cut)
        self.recent = self.total - counted & WHOLE
        if seconds.begin < len(seconds.keys) and seconds.keys[seconds.begin] < oldest:
            seconds.forget(bisect_left(seconds.keys, oldest, seconds.begin))
        if seconds.begin == len(seconds.keys):
            place = bisect_left(keys, oldest * SECOND, singles.begin, cut)
            if place > singles.begin:
                singles.forget(place)
            self.usual = counted - singles.base & WHOLE
        else:
            self.usual = counted - seconds.base & WHOLE
        if cut - before < TURNS:  # else this trade has had enough to do
            self._tidy()

    def _tidy(self) -> None:
        singles, seconds = self._singles, self._seconds
        last = min(self._cut, singles.begin + AT_ONCE)
        if last > singles.begin:
            if seconds.begin == len(seconds.keys):
                seconds.base = singles.base
            for place in range(singles.begin, last):
                seconds.append(singles.keys[place] // SECOND, singles.before(place + 1))
            singles.forget(last)
        self._turn += 1
        if self._turn % TURNS == 0:
            self._cut -= singles.trim()
            seconds.trim()


class Sums:
    """Summands of a window, `now - window < at <= now`, and of the baseline before it.

    A second leaves the baseline when all of it is older than the baseline. What comes out of order has a track of its
    own, for whatever comes later than it would have to be added up anew.
    """

    __slots__ = ("_baseline", "_late", "_main", "_window", "recent", "usual")

    def __init__(self, window: int, baseline: int) -> None:
        self._window = window
        self._baseline = baseline
        self._main = Track((window + baseline) // SECOND)
        self._late: Track | None = None
        self.recent = 0
        """The sum over the window."""
        self.usual = 0
        """The sum over the baseline."""

    def add(self, at: int, amount: int) -> None:
        """The next summand in order."""
        self._main.add(at, amount)

    def insert(self, at: int, amount: int) -> None:
        """A summand out of order: within the grace, so its place is near the end."""
        if self._late is None:
            self._late = Track(self._window // SECOND)
        self._late.insert(at, amount)

    def trim(self, now: int) -> None:
        """Work out both sums as of `now`, and forget what has left the baseline."""
        main, late, cutoff = self._main, self._late, now - self._window
        oldest = (cutoff - self._baseline) // SECOND
        main.trim(cutoff, oldest)
        self.recent, self.usual = main.recent, main.usual
        if late is not None:
            late.trim(cutoff, oldest)
            self.recent += late.recent
            self.usual += late.usual
