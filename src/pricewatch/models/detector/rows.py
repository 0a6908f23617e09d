"""The detector for any series of numbers with times."""

from __future__ import annotations

import math
import zlib
from array import array
from collections import deque
from collections.abc import Hashable
from itertools import islice
from typing import Any, NamedTuple

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
LARGEST = 65_536
"""Bytes of a state that are read at most."""
NEAR, FAR = 3, 12
"""Rows that a score is a mean over: what happens at once, and what lasts."""
CAP = 8.0
"""Scaled residuals beyond this many usual ones count as this many."""
WEEK_CAP = 5.0
WINSOR = 6.0
"""Residuals beyond this many usual ones are learned as if they were this many."""
UNITS = 100
"""Rows unlike the first over which the series' own unit is measured: its mean distance from the first value."""
UNIT_CAP = 10.0
"""Distances beyond this many units count as this many, once a few are known."""
LEAST = 1e-9
"""Least score whose logarithm is taken."""
GREATEST = 1e150
"""Values beyond this are no numbers of a series."""
SPREAD = 4.0
"""Excess that lifts the published score from s to 1 - (1 - s) / 10."""

_NOTHING = math.log(LEAST)
_STATE = msgspec.msgpack.Decoder(tuple[int, list[int], bytes])


class Look(NamedTuple):
    """Everything one row says, before anything is learned from it."""

    at: float
    value: float
    x: float
    """The value less the first one."""
    z: float
    """Its signed logarithm, in the series' own unit."""
    day: Vector
    week: Vector
    past: Vector
    residuals: tuple[float, float, float, float, float]
    """From the day's rhythm, from the week's, from the hour's level, from the logarithm's course; |change of z|."""
    means: tuple[float, float, float, float, float]
    """What the running means take in."""
    logarithms: list[float]
    """Of the six scores."""
    ranks: list[float]
    """Their rarities."""
    rarity: float
    excess: float


class RowDetector(AnomalyDetector):
    """Six scores, each made a rarity by its own past; the largest weighted one counts, less the price of recent alarms.

    `score_one({"at": seconds, "value": number})` is 0 for a row that is no alarm, else 1 - 10 ** (-excess / 4):
    0.68 at least, and the larger the rarer. Nothing is learned from a value that is not finite.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._unit = 0.0
        self._units = 0
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

    def score_one(self, x: dict[Hashable, Any]) -> float:
        """See the class; learns nothing."""
        at, value = x["at"], x["value"]
        return self._published(self.look(at, value))

    def learn_one(self, x: dict[Hashable, Any]) -> None:
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
        """What a row at `at` (seconds) says, learning nothing; None for a value that is no number of a series."""
        if not (abs(value) < GREATEST and math.isfinite(at)):
            return None
        if self._look is not None and self._look.at == at and self._look.value == value:
            return self._look
        self._look = self._judge(at, value)
        return self._look

    def _judge(self, at: float, value: float) -> Look:
        first = value if self._first is None else self._first
        x = value - first
        z = math.copysign(math.log1p(abs(x) / self._unit), x) if self._unit else 0.0
        hour = hour_of_day(at)
        lags = self._lags
        features = np.array([*lags, 1.0, *waves(day_phase(at), 5), *waves(week_phase(at), 3)])
        past, day, week = features[:10], features[3:10], features[3:]
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
        logarithms = [math.log(score) if score > LEAST else _NOTHING for score in scores]
        fast, slower, lasting, hourly, trend, rough = ranks = list(map(RankTail.score, self._tails, logarithms))
        rarity = max((fast + slower) / 2.0, 0.8 * lasting, 0.7 * hourly, 0.85 * trend, 0.7 * rough)
        return Look(
            at, value, x, z, day, week, past, (rhythm, slow, off, course, step), means, logarithms, ranks, rarity,
            self._policy.excess(rarity),
        )  # fmt: skip

    def learn(self, look: Look | None) -> None:
        """Take in what `look` returned last; None teaches nothing."""
        if look is None:
            return
        self._look = None
        if self._first is None:
            self._first = look.value
        for tail, logarithm in zip(self._tails, look.logarithms, strict=True):
            tail.learn(logarithm)
        hour = hour_of_day(look.at)
        residuals = look.residuals
        rhythm, slow, _, course, _ = residuals
        day, week, _, past, _ = scales = self._scales
        self._day.learn(look.day, _winsorised(rhythm, day.get(hour)))
        self._week.learn(look.week, _winsorised(slow, week.get(hour)))
        self._past.learn(look.past, _winsorised(course, past.get(hour)))
        for scale, size, mean, taken in zip(scales, residuals, self._means, look.means, strict=True):
            scale.learn(hour, abs(size))
            mean.append(taken)
        self._profile.learn(hour_of_week(look.at), look.x)
        if look.x and self._units < UNITS:
            self._units += 1
            size = min(abs(look.x), UNIT_CAP * self._unit) if self._units > FAR else abs(look.x)
            self._unit += (size - self._unit) / self._units
        self._lags = [look.z, *self._lags[:2]]
        self._policy.learn(look.excess)

    def dump(self) -> bytes:
        """The whole state, at most 10 KB: lengths, then deflated doubles."""
        parts = [
            [] if self._first is None else [self._first, self._unit, self._units],
            self._lags,
            self._policy.dump(),
            self._profile.dump(),
            *(model.dump() for model in (self._day, self._week, self._past)),
            *(scale.dump() for scale in self._scales),
            *(list(mean) for mean in self._means),
            *(tail.dump() for tail in self._tails),
        ]
        numbers = array("d", [number for part in parts for number in part])
        return msgspec.msgpack.encode([SCHEMA, [len(part) for part in parts], zlib.compress(numbers.tobytes(), 1)])

    def load(self, payload: bytes) -> None:
        """Go on exactly as the detector that made the dump. Raises `ValueError` for anything else."""
        schema, lengths, packed = _STATE.decode(payload)
        numbers = array("d")
        try:
            numbers.frombytes(zlib.decompressobj().decompress(packed, LARGEST))
        except zlib.error as error:
            raise ValueError(f"not the state of this detector: {error}") from error
        if (
            schema != SCHEMA
            or len(lengths) != 23
            or sum(lengths) != len(numbers)
            or not all(map(math.isfinite, numbers))
        ):
            raise ValueError("not the state of this detector")
        rest = iter(numbers)
        first, lags, policy, profile, *others = [list(islice(rest, length)) for length in lengths]
        self._first, self._unit, units = first or (None, 0.0, 0)
        self._units = int(units)
        self._lags = lags
        self._policy.load(policy)
        self._profile.load(profile)
        for model, part in zip((self._day, self._week, self._past), others[:3], strict=True):
            model.load(part)
        for scale, part in zip(self._scales, others[3:8], strict=True):
            scale.load(part)
        self._means = [deque(part, maxlen=FAR) for part in others[8:13]]
        for tail, part in zip(self._tails, others[13:], strict=True):
            tail.load(part)
        self._look = None

    def _published(self, look: Look | None) -> float:
        return 0.0 if look is None or look.excess <= 0.0 else 1.0 - 10.0 ** (-look.excess / SPREAD)


def _mean(kept: deque[float], newest: float, count: int) -> float:
    """The mean of the last `count`, the newest included."""
    if len(kept) < count:
        return (sum(kept) + newest) / (len(kept) + 1)
    if count == FAR:
        return (sum(islice(kept, 1, None)) + newest) / FAR
    return (kept[-1] + kept[-2] + newest) / NEAR


def _capped(residual: float, usual: float, cap: float) -> float:
    if usual <= 0.0:
        return 0.0
    scaled = residual / usual
    if -cap < scaled < cap:
        return scaled
    return cap if scaled > 0.0 else -cap


def _winsorised(residual: float, usual: float) -> float:
    limit = WINSOR * usual
    if limit <= 0.0 or -limit < residual < limit:
        return residual
    return limit if residual > 0.0 else -limit
