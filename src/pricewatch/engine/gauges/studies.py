"""Averages and oscillators over the closes of bars."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import msgspec

STILL = 1e-9
"""Closes that differ by no more than that share of their mean differ by the error of the sums alone."""


class Study(Protocol):
    """Numbers over closes. Unknown is NaN."""

    def peek(self, price: float) -> float:
        """The number if the open bar closed at `price`; changes nothing."""
        ...

    def push(self, close: float) -> None:
        """A bar has closed."""
        ...

    def save(self) -> list[object]:
        """Everything it remembers, for `load` of one made alike."""
        ...

    def load(self, saved: list[object]) -> None:
        """Take up what was saved; raises `msgspec.ValidationError`."""
        ...


class Simple:
    """The mean of the last `period` closes. Its sum is made anew with every bar: no error ever adds up."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._closes: deque[float] = deque(maxlen=period - 1)
        self._sum = 0.0

    def peek(self, price: float) -> float:
        """Unknown before so many bars."""
        return (self._sum + price) / self._period if len(self._closes) == self._period - 1 else math.nan

    def push(self, close: float) -> None:
        """The oldest one goes."""
        self._closes.append(close)
        self._sum = math.fsum(self._closes)

    def save(self) -> list[object]:
        """The closes."""
        return [list(self._closes)]

    def load(self, saved: list[object]) -> None:
        """The closes."""
        (closes,) = msgspec.convert(saved, tuple[list[float]])
        self._closes.extend(closes)
        self._sum = math.fsum(self._closes)


class Smooth:
    """An exponential mean with the weight `alpha`, begun with the plain mean of the first `period` values."""

    def __init__(self, period: int, alpha: float) -> None:
        self._period = period
        self._alpha = alpha
        self._count = 0
        self._value = 0.0

    def peek(self, value: float) -> float:
        """Unknown before so many values."""
        if self._count < self._period - 1:
            return math.nan
        if self._count == self._period - 1:
            return (self._value * self._count + value) / self._period
        return self._value + self._alpha * (value - self._value)

    def push(self, value: float) -> None:
        """The next value."""
        if self._count < self._period:
            self._value = (self._value * self._count + value) / (self._count + 1)
            self._count += 1
        else:
            self._value += self._alpha * (value - self._value)

    def save(self) -> list[object]:
        """Count and value."""
        return [self._count, self._value]

    def load(self, saved: list[object]) -> None:
        """Count and value."""
        self._count, self._value = msgspec.convert(saved, tuple[int, float])


def exponential(period: int) -> Smooth:
    """The usual exponential moving average."""
    return Smooth(period, 2.0 / (period + 1))


class Strength:
    """Wilder's relative strength index over `period` changes, from 0 to 100."""

    def __init__(self, period: int) -> None:
        self._gain = Smooth(period, 1.0 / period)
        self._loss = Smooth(period, 1.0 / period)
        self._last = math.nan

    def peek(self, price: float) -> float:
        """Unknown before so many changes, and while the price never moved."""
        change = price - self._last
        gain, loss = self._gain.peek(max(change, 0.0)), self._loss.peek(max(-change, 0.0))
        return 100.0 * gain / (gain + loss) if gain + loss > 0.0 else math.nan

    def push(self, close: float) -> None:
        """A change, after the first close."""
        if not math.isnan(self._last):
            self._gain.push(max(close - self._last, 0.0))
            self._loss.push(max(self._last - close, 0.0))
        self._last = close

    def save(self) -> list[object]:
        """Both means and the last close."""
        return [self._gain.save(), self._loss.save(), None if math.isnan(self._last) else self._last]

    def load(self, saved: list[object]) -> None:
        """Both means and the last close."""
        gain, loss, last = msgspec.convert(saved, tuple[list[object], list[object], float | None])
        self._gain.load(gain)
        self._loss.load(loss)
        self._last = math.nan if last is None else last


class Deviation:
    """How many standard deviations a price is above the mean of the last `period` closes, its own included."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._closes: deque[float] = deque(maxlen=period - 1)
        self._mean = self._squares = 0.0

    def peek(self, price: float) -> float:
        """Unknown before so many bars, and while the price never moved."""
        others = self._period - 1
        if len(self._closes) < others:
            return math.nan
        away = price - self._mean
        squares = self._squares + away * away * others / self._period
        if squares <= self._period * (STILL * self._mean) ** 2:
            return math.nan
        return away * others / self._period / math.sqrt(squares / self._period)

    def push(self, close: float) -> None:
        """The oldest one goes."""
        self._closes.append(close)
        self._settle()

    def _settle(self) -> None:
        self._mean = math.fsum(self._closes) / max(len(self._closes), 1)
        self._squares = math.fsum((one - self._mean) ** 2 for one in self._closes)

    def save(self) -> list[object]:
        """The closes."""
        return [list(self._closes)]

    def load(self, saved: list[object]) -> None:
        """The closes."""
        (closes,) = msgspec.convert(saved, tuple[list[float]])
        self._closes.extend(closes)
        self._settle()


class Distance:
    """How far one mean is above another, in per cent of the other."""

    def __init__(self, fast: Simple | Smooth, slow: Simple | Smooth) -> None:
        self._fast = fast
        self._slow = slow

    def peek(self, price: float) -> float:
        """Unknown before both are known."""
        slow = self._slow.peek(price)
        return 100.0 * (self._fast.peek(price) - slow) / slow

    def push(self, close: float) -> None:
        """Both go on."""
        self._fast.push(close)
        self._slow.push(close)

    def save(self) -> list[object]:
        """Both."""
        return [self._fast.save(), self._slow.save()]

    def load(self, saved: list[object]) -> None:
        """Both."""
        fast, slow = msgspec.convert(saved, tuple[list[object], list[object]])
        self._fast.load(fast)
        self._slow.load(slow)


class Convergence:
    """The MACD's histogram in per cent of the price: fast less slow mean, less the mean of that."""

    def __init__(self, fast: int, slow: int, signal: int) -> None:
        self._fast = exponential(fast)
        self._slow = exponential(slow)
        self._signal = exponential(signal)

    def peek(self, price: float) -> float:
        """Unknown before all three are known."""
        line = self._fast.peek(price) - self._slow.peek(price)
        return 100.0 * (line - self._signal.peek(line)) / price

    def push(self, close: float) -> None:
        """The mean of the difference begins with the first difference."""
        line = self._fast.peek(close) - self._slow.peek(close)
        self._fast.push(close)
        self._slow.push(close)
        if not math.isnan(line):
            self._signal.push(line)

    def save(self) -> list[object]:
        """All three."""
        return [self._fast.save(), self._slow.save(), self._signal.save()]

    def load(self, saved: list[object]) -> None:
        """All three."""
        parts = msgspec.convert(saved, tuple[list[object], list[object], list[object]])
        for one, part in zip((self._fast, self._slow, self._signal), parts, strict=True):
            one.load(part)
