"""What a market's closed bars say: how rare they are, where the price should be, whether the market has changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pricewatch.domain.features import BandNow, Calibration, Features
from pricewatch.domain.market import decimal_text
from pricewatch.domain.model import Drift, Snapshot
from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.engine.bars import Bar
from pricewatch.models.bands.conformal import LEVELS
from pricewatch.models.bank.rate import BASE, LADDER
from pricewatch.models.bars import HORIZONS, NAME, SCHEMAS, BarModels, Closed
from pricewatch.models.features import Shape
from pricewatch.rules.base import Feature
from pricewatch.rules.minutes import ALARM, BAND, DRIFT, WEEK_BARS, band_of

WARM = 100
"""Bars before a rate of alarms is known."""
SLACK = 2 * SECOND
"""How long after a bar's end its models may still be unknown: it is closed a grace later, by the next trade."""


DIGITS = 8
"""Significant digits of a band's edges as they are shown."""


class _Edge(NamedTuple):
    band: int
    level: int
    side: str


class Minutes:
    """The models of one market's minutes as rules, evidence and readers see them. Fed by `close`, once a bar."""

    __slots__ = ("_edges", "market", "models", "rarity")

    def __init__(self, market: int) -> None:
        self.market = market
        self.models = BarModels()
        self.rarity = 0.0
        """Of the last closed bar: what rules on the score read as long as no trade is rarer."""
        self._edges: dict[Feature, _Edge] = {}

    def close(self, bar: Bar, seen: int) -> tuple[float | None, Drift | None]:
        """A closed minute: the rate of alarms a week of its cluster (None outside any), and what has drifted."""
        shape = Shape(bar.start, MINUTE, bar.high, bar.low, bar.close, bar.volume)
        found = self.models.close(shape)
        last = self.models.last
        self.rarity = last.rarity if last is not None else 0.0
        drifts = [one for one in found if one.drift is not None]
        drift = Drift(self.market, bar.end, seen, str(drifts[-1].drift), NAME) if drifts else None
        rate = self._rate()
        return (None if math.isinf(rate) else rate * WEEK_BARS), drift

    def number(self, feature: Feature, price: float, at: int) -> float:
        """What a rule reads at event time `at`; NaN while it is not known."""
        if feature == ALARM:
            rate = self._rate()
            return math.nan if self.models.rate.bars < WARM else 1.0 / (rate * WEEK_BARS)
        if feature == DRIFT:
            last = self.models.last
            return math.nan if last is None else float(last.drift is not None)
        edge = self._edge(feature)
        edges = self._edges_at(edge, at)
        if edges is None:
            return math.nan
        lower, _, upper = edges
        over, under = price / upper - 1.0, lower / price - 1.0
        return {"upper": over, "lower": under}.get(edge.side, max(over, under))

    def facts(self, feature: Feature, at: int) -> dict[str, Any]:
        """What the number was made of, for evidence."""
        return _FACTS[feature.name.partition(":")[0]](self, feature, at)

    def score_facts(self) -> dict[str, Any]:
        """The rarities of the last closed bar by name: the largest is its score."""
        last = self.models.last
        parts = {} if last is None else last.parts
        bar = None if last is None else last.row.at
        return {"parts": parts, "weights": dict.fromkeys(parts, 1.0), "combine": "max", "bar": bar}

    def features(self, market: str, score: float) -> Features | None:
        """Everything at the last closed bar; None before the first."""
        last = self.models.last
        if last is None:
            return None
        row = last.row
        alarm = None if math.isinf(last.rate) else last.rate * WEEK_BARS
        return Features(
            market=market,
            at=row.at,
            end=row.at + row.step,
            close=decimal_text(row.close),
            move=row.move,
            move_short=row.short,
            move_long=row.long,
            range=row.size,
            volume=row.volume,
            usual_volume=row.usual,
            volatility=self.models.features.expected[0],
            score=None if math.isnan(score) else score,
            rarity=last.rarity,
            parts=last.parts,
            alarms_per_week=alarm,
            drifts=self.models.drift.found,
            model=NAME,
            bands=[self._band(place, level, last) for place in range(len(HORIZONS)) for level in range(len(LEVELS))],
            calibration=[
                Calibration(rate * WEEK_BARS, WEEK_BARS * count / self.models.rate.bars, count, self.models.rate.bars)
                for rate, count in zip(LADDER, self.models.rate.alarms, strict=True)
            ],
        )

    def snapshots(self, seen: int) -> list[Snapshot]:
        """The whole state as of `seen`."""
        return [
            Snapshot(self.market, name, SCHEMAS[name], seen, payload) for name, payload in self.models.dump().items()
        ]

    def restore(self, snapshot: Snapshot) -> bool:
        """Take one part up; False, and a fresh part, when it is not usable."""
        if snapshot.schema != SCHEMAS.get(snapshot.model):
            return False
        try:
            self.models.load(snapshot.model, snapshot.payload)
        except ValueError:
            return False
        last = self.models.last
        self.rarity = 0.0 if last is None else last.rarity
        return True

    def _rate(self) -> float:
        last = self.models.last
        return math.inf if last is None else last.rate

    def _edge(self, feature: Feature) -> _Edge:
        edge = self._edges.get(feature)
        if edge is None:
            horizon, level, side = band_of(feature)
            edge = self._edges[feature] = _Edge(HORIZONS.index(horizon), LEVELS.index(level), side)
        return edge

    def _edges_at(self, edge: _Edge, at: int) -> tuple[float, float, float] | None:
        """Lower edge, centre and upper edge for the bar that `at` is in; None where no band is about it."""
        features = self.models.features
        if not features.step:
            return None
        ahead = 1 + max(0, (at - SLACK - features.at - features.step) // features.step)
        due = self.models.bands[edge.band].due(ahead)
        if due is None:
            return None
        down, up = (side[edge.level] for side in due.sides)
        return math.exp(due.centre - down), math.exp(due.centre), math.exp(due.centre + up)

    def _band(self, place: int, level: int, last: Closed) -> BandNow:
        band = self.models.bands[place]
        down, up = (side[level] for side in self.models.sides(place))
        row = last.row
        return BandNow(
            level=LEVELS[level],
            horizon=HORIZONS[place] * row.step,
            issued=row.at + row.step,
            lower=_text(row.close * math.exp(-down)),
            centre=decimal_text(row.close),
            upper=_text(row.close * math.exp(up)),
            coverage=band.coverage(level),
            counted=band.counted,
            model=NAME,
        )


def _text(price: float) -> str:
    return decimal_text(float(f"{price:.{DIGITS}g}"))


def _alarm_facts(minutes: Minutes, feature: Feature, at: int) -> dict[str, Any]:  # noqa: ARG001 - one of several
    last, rate = minutes.models.last, minutes.models.rate
    clusters, depth = rate.fit
    return {
        "alarms_per_week": None if last is None or math.isinf(last.rate) else last.rate * WEEK_BARS,
        "peak": rate.peak,
        "base": BASE,
        "clusters_per_week": clusters * WEEK_BARS,
        "depth": depth,
        "parts": {} if last is None else last.parts,
        "bar": None if last is None else last.row.at,
    }


def _band_facts(minutes: Minutes, feature: Feature, at: int) -> dict[str, Any]:
    edge = minutes._edge(feature)  # noqa: SLF001 - of this very file
    edges = minutes._edges_at(edge, at)  # noqa: SLF001
    band = minutes.models.bands[edge.band]
    found: Mapping[str, Any] | None = None
    if edges is not None:
        lower, centre, upper = edges
        found = {"lower": lower, "centre": centre, "upper": upper}
    return {"band": found, "coverage": band.coverage(edge.level), "counted": band.counted}


def _drift_facts(minutes: Minutes, feature: Feature, at: int) -> dict[str, Any]:  # noqa: ARG001 - one of several
    last = minutes.models.last
    return {"drift": None if last is None else last.drift, "drifts": minutes.models.drift.found}


_FACTS: Mapping[str, Callable[[Minutes, Feature, int], dict[str, Any]]] = {
    ALARM.name: _alarm_facts,
    BAND: _band_facts,
    DRIFT.name: _drift_facts,
}
