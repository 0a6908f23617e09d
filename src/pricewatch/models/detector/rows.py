"""The detector for any series of numbers with times."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from river.base.anomaly_detector import AnomalyDetector

from pricewatch.models.detector.policy import AlarmPolicy
from pricewatch.models.detector.rls import RecursiveLeastSquares, Vector
from pricewatch.models.detector.scales import HourScale, WeekProfile
from pricewatch.models.detector.seasons import day_phase, hour_of_day, hour_of_week, waves, week_phase
from pricewatch.models.detector.tail import RankTail

SCHEMA = 1
"""Of `dump`."""
NEAR, FAR = 3, 12
"""Rows that a score is a mean over: what happens at once, and what lasts."""
CAP = 8.0
"""Scaled residuals beyond this many usual ones count as this many."""
WEEK_CAP = 5.0
WINSOR = 6.0
"""Residuals beyond this many usual ones are learned as if they were this many."""
LEAST = 1e-9
"""Least score whose logarithm is taken."""
GREATEST = 1e150
"""Values beyond this are no numbers of a series."""
WEIGHTS = (1.0, 0.8, 0.7, 0.85, 0.7)
"""Rhythm, lasting rhythm, hour of week, trend, roughness."""
SPREAD = 4.0
"""Excess that lifts the published score from s to 1 - (1 - s) / 10."""

_STATE = msgspec.msgpack.Decoder(list[list[float]])


class Look(NamedTuple):
    """Everything one row says, before anything is learned from it."""

    at: float
    value: float
    x: float
    """The value less the first one."""
    z: float
    """Its signed logarithm less that of the first one."""
    day: Vector
    week: Vector
    past: Vector
    residuals: tuple[float, float, float, float]
    """Of the day's rhythm, of the week's, of the hour's level, of the logarithm's course."""
    step: float
    """|change of z|"""
    means: tuple[float, float, float, float]
    """What the four running means take in."""
    logarithms: tuple[float, ...]
    ranks: tuple[float, ...]
    rarity: float
    excess: float


class RowDetector(AnomalyDetector):
    """Six scores, each turned into a rarity by its own past; the largest weighted rarity, less the price of recent alarms.

    `score_one({"at": seconds, "value": number})` is 0 for a row that is no alarm, else 1 - 10 ** (-excess / 4): at least
    0.68, and the larger the rarer. Nothing is learned from a value that is not finite.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._origin = 0.0
        self._day = RecursiveLeastSquares(0.9995).width(7)
        self._week = RecursiveLeastSquares(0.9998).width(17)
        self._past = RecursiveLeastSquares(0.9995).width(10)
        self._profile = WeekProfile()
        self._scales = [HourScale() for _ in range(5)]
        self._means: list[deque[float]] = [deque(maxlen=FAR) for _ in range(5)]
        self._lags = [0.0, 0.0, 0.0]
        self._tails = [RankTail() for _ in range(6)]
        self._policy = AlarmPolicy()
        self._look: Look | None = None

    def score_one(self, x: Mapping[str, float]) -> float:
        """See the class; changes nothing."""
        at, value = x["at"], x["value"]
        return self._published(self.look(at, value))

    def learn_one(self, x: Mapping[str, float]) -> None:
        """Take a row in, after it was scored."""
        at, value = x["at"], x["value"]
        self.learn(self.look(at, value))

    def step(self, at: float, value: float) -> float:
        """Score a row, then learn it; the score."""
        look = self.look(at, value)
        self.learn(look)
        return self._published(look)

    @property
    def last(self) -> Look | None:
        """The newest row looked at, with what each score said of it."""
        return self._look

    def look(self, at: float, value: float) -> Look | None:
        """What a row at `at` (seconds) says; None for a value that is no number of a series. Changes nothing that counts."""
        if not (abs(value) < GREATEST and math.isfinite(at)):
            return None
        if self._look is not None and self._look.at == at and self._look.value == value:
            return self._look
        self._look = self._judge(at, value)
        return self._look

    def _judge(self, at: float, value: float) -> Look:
        first = value if self._first is None else self._first
        level = _signed_log(value)
        x, z = value - first, level - (level if self._first is None else self._origin)
        hour = hour_of_day(at)
        phase = day_phase(at)
        daily = waves(phase, 5)
        day = np.array([1.0, *daily[:6]])
        week = np.array([1.0, *daily, *waves(week_phase(at), 3)])
        past = np.array([1.0, *daily[:6], *self._lags])
        lags = self._lags
        rhythm = x - self._day.predict(day)
        slow = x - self._week.predict(week)
        off = x - self._profile.get(hour_of_week(at))
        course = z - self._past.predict(past)
        step = abs(z - lags[0]) if self._first is not None else 0.0
        scales = self._scales
        means = (
            rhythm,
            slow,
            _capped(off, scales[2].get(hour), WEEK_CAP),
            _capped(course, scales[3].get(hour), CAP),
            _capped(step, scales[4].get(hour), CAP),
        )
        kept = self._means
        scores = (
            abs(_mean(kept[0], means[0], NEAR)),
            abs(_mean(kept[1], means[1], NEAR)),
            abs(_mean(kept[0], means[0], FAR)),
            abs(_mean(kept[2], means[2], FAR)),
            abs(_mean(kept[3], means[3], FAR)),
            _mean(kept[4], means[4], FAR),
        )
        logarithms = tuple(math.log(max(score, LEAST)) for score in scores)
        ranks = tuple(tail.score(logarithm) for tail, logarithm in zip(self._tails, logarithms, strict=True))
        together = ((ranks[0] + ranks[1]) / 2.0, *ranks[2:])
        rarity = max(weight * rank for weight, rank in zip(WEIGHTS, together, strict=True))
        return Look(
            at, value, x, z, day, week, past, (rhythm, slow, off, course), step, means, logarithms, ranks, rarity,
            self._policy.excess(rarity),
        )  # fmt: skip

    def learn(self, look: Look | None) -> None:
        """Take in what `look` returned last; None teaches nothing."""
        if look is None:
            return
        self._look = None
        if self._first is None:
            self._first, self._origin = look.value, _signed_log(look.value)
        for tail, logarithm in zip(self._tails, look.logarithms, strict=True):
            tail.learn(logarithm)
        hour = hour_of_day(look.at)
        rhythm, slow, off, course = look.residuals
        scales = self._scales
        self._day.learn(look.day, _winsorised(rhythm, scales[0].get(hour)))
        self._week.learn(look.week, _winsorised(slow, scales[1].get(hour)))
        self._past.learn(look.past, _winsorised(course, scales[3].get(hour)))
        for scale, size in zip(scales, (rhythm, slow, off, course, look.step), strict=True):
            scale.learn(hour, abs(size))
        self._profile.learn(hour_of_week(look.at), look.x)
        for mean, taken in zip(self._means, look.means, strict=True):
            mean.append(taken)
        self._lags = [look.z, *self._lags[:2]]
        self._policy.learn(look.excess)

    def dump(self) -> bytes:
        """The whole state as numbers, at most 10 KB."""
        parts = [
            [SCHEMA, *([] if self._first is None else [self._first, self._origin])],
            self._day.dump(), self._week.dump(), self._past.dump(), self._profile.dump(), self._policy.dump(), self._lags,
            *(scale.dump() for scale in self._scales), *(list(mean) for mean in self._means), *(tail.dump() for tail in self._tails),
        ]  # fmt: skip
        return msgspec.msgpack.encode(parts)

    def load(self, payload: bytes) -> None:
        """Restore a dump: the next scores are those of the detector that made it. Raises `ValueError` for anything else."""
        parts = _STATE.decode(payload)
        if len(parts) != 23 or parts[0][:1] != [SCHEMA] or not all(math.isfinite(n) for part in parts for n in part):
            raise ValueError("not the state of this detector")
        head, day, week, past, profile, policy, lags, *rest = parts
        self._first, self._origin = (head[1], head[2]) if len(head) > 1 else (None, 0.0)
        self._day.load(day)
        self._week.load(week)
        self._past.load(past)
        self._profile.load(profile)
        self._policy.load(policy)
        self._lags = list(lags)
        for scale, part in zip(self._scales, rest[:5], strict=True):
            scale.load(part)
        self._means = [deque(part, maxlen=FAR) for part in rest[5:10]]
        for tail, part in zip(self._tails, rest[10:], strict=True):
            tail.load(part)
        self._look = None

    def _published(self, look: Look | None) -> float:
        return 0.0 if look is None or look.excess <= 0.0 else 1.0 - 10.0 ** (-look.excess / SPREAD)


def _signed_log(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value)


def _mean(kept: deque[float], newest: float, count: int) -> float:
    """The mean of the last `count`, the newest included."""
    if len(kept) < count:
        return (sum(kept) + newest) / (len(kept) + 1)
    if count == FAR:
        return (sum(islice(kept, 1, None)) + newest) / FAR
    return (kept[-1] + kept[-2] + newest) / NEAR


def _capped(residual: float, usual: float, cap: float) -> float:
    return max(-cap, min(cap, residual / usual)) if usual > 0.0 else 0.0


def _winsorised(residual: float, usual: float) -> float:
    limit = WINSOR * usual
    return max(-limit, min(limit, residual)) if limit > 0.0 else residual
