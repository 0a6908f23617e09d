"""What is known of a market's closed bars: one definition, used live, in back-tests and in training.

A bar is fed in when it is closed, once. Bars in which nobody traded are fed in as such: the price stands, range and
volume are nought.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pricewatch.models.volatility import HOURS, SETTLED, Volatility

SHORT, LONG = 5, 30
"""Bars of the longer moves."""
MOST_EMPTY = 60
"""Empty bars that are made up between two bars at most; a longer silence is a closed market, not a calm one."""
USUAL = 0.5 ** (1 / 60)
"""Half-life of the usual volume, in bars."""
CAP = 6.0
"""A volume beyond this many usual ones is learned as if it were this many."""
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


class Shape(NamedTuple):
    """A closed bar: `[at, at + step)`, times in microseconds, prices above nought."""

    at: int
    step: int
    high: float
    low: float
    close: float
    volume: float


def is_bar(bar: Shape) -> bool:
    """Whether its numbers are those of a bar: finite, above nought, in their order."""
    return 0.0 < bar.low <= bar.close <= bar.high < math.inf and 0.0 <= bar.volume < math.inf and bar.step > 0


class Row(NamedTuple):
    """One closed bar beside what was usual before it. Nothing of the bar itself is in what was usual."""

    at: int
    """Its beginning, in microseconds."""
    step: int
    hour: int
    """Of the day, UTC."""
    close: float
    log: float
    """The close's logarithm."""
    move: float
    """Log return from the close before."""
    short: float
    """Log return over `SHORT` bars."""
    long: float
    """Log return over `LONG` bars."""
    size: float
    """Log range, the close before included."""
    volume: float
    sigma: float
    """The range expected of this bar."""
    slow: float
    """The same by the slow mean."""
    usual: float
    """The volume expected of this bar; 0 while none is known."""
    level: float
    """The range that bars in this hour had over the last days."""


class FeatureStream:
    """Rows of one market. `look` changes nothing, `learn` takes what `look` said."""

    __slots__ = ("_closes", "_next", "_usual", "_volumes", "at", "close", "step", "volatility")

    def __init__(self) -> None:
        self.close = 0.0
        """The last close; 0 before the first bar."""
        self.at = self.step = 0
        """The last bar's."""
        self.volatility = Volatility()
        self._closes: deque[float] = deque(maxlen=LONG)
        """Logarithms, the newest last."""
        self._usual = 0.0
        self._volumes = 0
        self._next = [-1] * HOURS
        """For bars of an hour or more: the hour that followed each one last time, since exchanges close."""

    @property
    def expected(self) -> tuple[float, float]:
        """The range expected of the next bar, and the same by the slow mean alone."""
        return self.volatility.expect(self.coming)

    @property
    def coming(self) -> int:
        """The hour of the day of the next bar, as far as one can know."""
        step = self.step
        hour = self._next[self.at % _DAY // _HOUR] if step >= _HOUR else -1
        return hour if hour >= 0 else (self.at + step) % _DAY // _HOUR

    def hours(self, bars: int) -> Iterator[tuple[int, int]]:
        """The hours of the day that the next `bars` fall into, as far as one can know, with how many fall into each."""
        step, hour = self.step, self.coming
        if step >= _HOUR:
            for _ in range(bars):
                yield hour, 1
                following = self._next[hour]
                hour = following if following >= 0 else (hour + step // _HOUR) % HOURS
            return
        at = self.at + step
        while bars > 0:
            count = min(bars, -(-(_HOUR - at % _HOUR) // step))
            yield at % _DAY // _HOUR, count
            at, bars = at + count * step, bars - count

    @property
    def settled(self) -> bool:
        """Whether enough bars were seen for what is usual to mean anything."""
        return self._volumes > SETTLED

    def look(self, bar: Shape) -> Row:
        """What a bar says, one for which `is_bar` holds."""
        hour = bar.at % _DAY // _HOUR
        closes, log = self._closes, math.log(bar.close)
        if closes:
            last = closes[-1]
            first = self.close
            high, low = max(bar.high, first), min(bar.low, first)
            move = log - last
            short = log - closes[-SHORT] if len(closes) >= SHORT else log - closes[0]
            long = log - closes[0]
        else:
            high, low = bar.high, bar.low
            move = short = long = 0.0
        sigma, slow = self.volatility.expect(hour)
        return Row(
            bar.at, bar.step, hour, bar.close, log, move, short, long, math.log(high / low), bar.volume,
            sigma, slow, self._usual, self.volatility.usual(hour),
        )  # fmt: skip

    def learn(self, row: Row) -> None:
        """Take a bar in, after everybody has looked."""
        volatility = self.volatility
        if self._closes:
            volatility.learn(row.hour, row.size, abs(row.move), whole=row.step >= _HOUR)
            if row.step >= _HOUR:
                self._next[self.at % _DAY // _HOUR] = row.hour
        self._closes.append(row.log)
        self.at, self.step, self.close = row.at, row.step, row.close
        self._volumes = count = min(self._volumes + 1, 1_000_000)
        usual = self._usual
        volume = min(row.volume, CAP * usual) if usual > 0.0 and count > LONG else row.volume
        self._usual += max(1.0 - USUAL, 1.0 / count) * (volume - usual)

    def empties(self, at: int, step: int) -> Iterator[Shape]:
        """The bars without a trade between the last bar and one that begins at `at`, `MOST_EMPTY` at most."""
        if self.close <= 0.0:
            return
        first = self.at + self.step
        for number in range(min((at - first) // step, MOST_EMPTY)):
            yield Shape(first + number * step, step, self.close, self.close, self.close, 0.0)

    def dump(self) -> list[float]:
        """Everything as finite numbers; instants are exact up to the year 2255."""
        head = [self.close, self.at, self.step, self._usual, self._volumes, len(self._closes)]
        return [*head, *self._closes, *self._next, *self.volatility.dump()]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(numbers) < 6 or not 0 <= numbers[5] <= LONG:
            raise ValueError(f"not the state of features: {len(numbers)} numbers")
        self.close, at, step, self._usual, volumes, count = numbers[:6]
        self.at, self.step, self._volumes = int(at), int(step), int(volumes)
        end = 6 + int(count)
        self._closes = deque(numbers[6:end], maxlen=LONG)
        self._next = [int(number) for number in numbers[end : end + HOURS]]
        self.volatility.load(numbers[end + HOURS :])
