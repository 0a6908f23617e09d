"""Events that are put into a clean price history, so that it is known what a detector should have found."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from pricewatch.models.features import Shape

WARM = 300
"""Bars without an event at the beginning, while models learn."""
APART = 300
"""Bars from one event to the next, on average."""
LATEST = 5
"""Bars after an event's end within which an alarm still counts as its detection."""
FADING = 0.98
"""Of the local variance of returns, in whose root sizes are measured."""


class Kind(NamedTuple):
    """What an event does, for how many bars, and how strongly: uniformly between two sizes."""

    name: str
    bars: int
    least: float
    most: float


JUMP = Kind("jump", 1, 6.0, 14.0)
"""The price moves by so many deviations within a bar, and stays there."""
WICK = Kind("wick", 1, 6.0, 14.0)
"""High or low reach so many deviations further; the close stays."""
DRIFT = Kind("drift", 30, 4.0, 8.0)
"""The price moves by so many deviations of the whole span, evenly."""
VOLATILITY = Kind("volatility", 30, 2.5, 5.0)
"""Moves and ranges are multiplied."""
VOLUME = Kind("volume", 10, 5.0, 15.0)
"""Volumes are multiplied."""
KINDS = (JUMP, WICK, DRIFT, VOLATILITY, VOLUME)


class Event(NamedTuple):
    """Where an alarm detects it: bars `first` up to, without, `end`."""

    kind: str
    first: int
    end: int


class _Logs:
    """A history as logarithms relative to the close before, which events can change bar by bar."""

    def __init__(self, bars: Sequence[Shape]) -> None:
        self.start = math.log(bars[0].close)
        logs = [math.log(bar.close) for bar in bars]
        before = [self.start, *logs[:-1]]
        self.moves = [log - last for log, last in zip(logs, before, strict=True)]
        self.highs = [math.log(bar.high) - last for bar, last in zip(bars, before, strict=True)]
        self.lows = [math.log(bar.low) - last for bar, last in zip(bars, before, strict=True)]
        self.volumes = [bar.volume for bar in bars]

    def shift(self, place: int, size: float) -> None:
        """The close moves; high or low, as far as the way to it needs."""
        self.moves[place] += size
        if size > 0.0:
            self.highs[place] += size
        else:
            self.lows[place] += size

    def scale(self, place: int, factor: float) -> None:
        """Everything about the price is larger."""
        self.moves[place] *= factor
        self.highs[place] *= factor
        self.lows[place] *= factor

    def bars(self, like: Sequence[Shape]) -> list[Shape]:
        """Back to prices."""
        log, found = self.start, []
        for place, bar in enumerate(like):
            last, log = log, log + self.moves[place]
            close = math.exp(log)
            high, low = math.exp(last + self.highs[place]), math.exp(last + self.lows[place])
            found.append(
                bar._replace(high=max(high, close), low=min(low, close), close=close, volume=self.volumes[place])
            )
        return found


def inject(bars: Sequence[Shape], seed: int, *, volume: bool = True) -> tuple[list[Shape], list[Event]]:
    """A copy with events of all kinds, in shuffled turns, and where they are. The same seed gives the same events.

    `volume` is False for histories that have none: then there are no events of that kind.
    """
    luck = random.Random(seed)
    logs = _Logs(bars)
    deviations = _deviations(logs.moves)
    kinds = KINDS if volume else KINDS[:-1]
    events: list[Event] = []
    turn: list[Kind] = []
    place = WARM + luck.randrange(APART // 2)
    while place < len(bars) - DRIFT.bars - LATEST:
        if not turn:
            turn = luck.sample(kinds, len(kinds))
        kind = turn.pop()
        size, sign = luck.uniform(kind.least, kind.most), luck.choice((-1.0, 1.0))
        _put(logs, kind, place, size, sign * deviations[place])
        events.append(Event(kind.name, place, place + kind.bars + LATEST))
        place += APART // 2 + luck.randrange(APART)
    return logs.bars(bars), events


def _put(logs: _Logs, kind: Kind, place: int, size: float, deviation: float) -> None:
    span = range(place, place + kind.bars)
    if kind is JUMP or kind is DRIFT:
        for one in span:
            logs.shift(one, size * deviation / math.sqrt(kind.bars))
    elif kind is WICK:
        side = logs.highs if deviation > 0.0 else logs.lows
        side[place] += size * deviation
    elif kind is VOLATILITY:
        for one in span:
            logs.scale(one, size)
    else:
        for one in span:
            logs.volumes[one] *= size


def _deviations(moves: Sequence[float]) -> list[float]:
    """The local standard deviation before each bar, from winsorised moves."""
    variance = sum(move * move for move in moves[:50]) / 50.0
    found = []
    for move in moves:
        found.append(math.sqrt(variance) + 1e-7)
        variance = FADING * variance + (1.0 - FADING) * min(move * move, 36.0 * variance + 1e-14)
    return found
