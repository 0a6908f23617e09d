"""How often a market speaks on one channel, learned, and when its silence is too long. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from pricewatch.domain.time import HOUR, SECOND

_BINS = 96
"""Half octaves of microseconds: the last begins beyond a year."""
_RARE = 0.01
"""Longer pauses than the usual ones fill less than this share of the time."""
_ENOUGH = 20
"""Pauses after which they are trusted."""
_PATIENCE = 8
_CALM = 20
"""After so many limits without silence the patience that alarms cost is given back."""


class Bounds(msgspec.Struct, frozen=True):
    """What is too long; microseconds."""

    start: int = 300 * SECOND
    """For a channel that has not spoken yet, or too little to know it."""
    floor: int = 30 * SECOND
    ceiling: int = 6 * HOUR
    factor: float = 4.0
    """How many times the longest usual pause."""
    horizon: int = 6 * HOUR
    """Time after which what was learned counts half."""


class Silent(msgspec.Struct, frozen=True):
    """The channel has been silent for too long."""

    last: int
    """When it spoke last; when we began to listen, if never."""
    due: int
    limit: int
    ever: bool


class Heard(msgspec.Struct, frozen=True):
    """It speaks again."""

    last: int
    at: int


class Cadence:
    """One channel of one market: looked at now and then with the time at which it last spoke.

    The usual pause is the one within which all but a hundredth of the *time* passes, so that bursts do not make it
    short; the limit is a multiple of it, between a floor and a ceiling. Silence is said once, its end once. What a
    silence teaches is bounded, and each doubles the patience for a while: no flapping where a market has become slower.
    """

    __slots__ = (
        "_alarm",
        "_bounds",
        "_count",
        "_expected",
        "_interrupted",
        "_limit",
        "_patience",
        "_since",
        "_slack",
        "_spoke",
        "_top",
        "_total",
        "_weights",
        "ever",
        "silent_since",
    )  # fmt: skip

    def __init__(self, bounds: Bounds, since: int, *, expected: bool = True) -> None:
        """`expected`: never having spoken at all is a silence, too."""
        self.ever = False
        self.silent_since: int | None = None
        """When it spoke last, while its silence is too long."""
        self._bounds = bounds
        self._expected = expected
        self._since = since
        """Silence counts from here."""
        self._spoke = 0
        """The last time told to `look`, whatever the clock did since."""
        self._slack = 0
        self._interrupted = True
        self._weights = [0.0] * _BINS
        self._total = 0.0
        self._count = 0
        self._top = 0
        self._patience = 1
        self._alarm = 0
        self._limit = self._work_out()

    @property
    def limit(self) -> int:
        """Silence longer than this is too long."""
        return self._limit

    def seed(self, times: Iterable[int]) -> None:
        """Learn from when it spoke before we began to listen."""
        for before, after in pairwise(sorted(set(times))):
            self._learn(after - before)
        self._limit = self._work_out()

    def resume(self, last: int) -> None:
        """Its silence since `last` has been said already, before a restart."""
        self.silent_since = last

    def interrupted(self) -> None:
        """Nobody listens: the pause under way says nothing about the market."""
        self._interrupted = True

    def excuse(self, span: int) -> None:
        """We were asleep for so long: that was not the market's silence."""
        self._slack += span
        self._interrupted = True

    def look(self, now: int, spoke: int) -> Silent | Heard | None:
        """What is new at `now`, when it last spoke at `spoke` (0: never). Both by our own clock."""
        if spoke and spoke != self._spoke and (heard := self._heard(now, spoke)) is not None:
            return heard
        self._since = min(self._since, now)  # a clock set back
        due = self._since + self._slack + self._limit
        if self.silent_since is None and now >= due and (self.ever or self._expected):
            self.silent_since = self._since
            self._alarm = now
            self._patience = min(2 * self._patience, _PATIENCE)
            return Silent(self._since, due, self._limit, self.ever)
        return None

    def silence(self, now: int) -> int:
        """For how long it has not spoken."""
        return max(0, now - self._since - self._slack)

    def _heard(self, now: int, spoke: int) -> Heard | None:
        pause = spoke - self._since - self._slack
        if self.ever and not self._interrupted and pause > 0:
            self._learn(min(pause, 2 * self._limit))
        found = None if self.silent_since is None else Heard(self.silent_since, spoke)
        self.ever = True
        self.silent_since = None
        self._interrupted = False
        self._slack = 0
        self._spoke = self._since = spoke
        if self._patience > 1 and now - self._alarm > _CALM * self._limit:
            self._patience = 1
        self._limit = self._work_out()
        return found

    def _learn(self, pause: int) -> None:
        place = min((pause * pause).bit_length(), _BINS - 1)
        self._weights[place] += pause
        self._total += pause
        self._count += 1
        self._top = max(self._top, place)
        if self._total > self._bounds.horizon:
            self._weights = [weight / 2 for weight in self._weights]
            self._total /= 2

    def _work_out(self) -> int:
        bounds = self._bounds
        usual = bounds.factor * self._usual() * self._patience
        if self._count < _ENOUGH:
            usual = max(usual, bounds.start * self._patience)
        return min(max(round(usual), bounds.floor), max(bounds.ceiling, bounds.floor))

    def _usual(self) -> float:
        """The upper edge of the pauses that all but a rare share of the time consists of."""
        rest = _RARE * self._total
        place = self._top
        while place > 0 and (rest := rest - self._weights[place]) > 0:
            place -= 1
        return float(2.0 ** (place / 2))
