"""An in-memory keeper of the model store."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from pricewatch.domain.features import Features
from pricewatch.domain.model import Activation, BarScore, Forecast, ForecastRow, Snapshot
from pricewatch.ports.models import FORGOTTEN_AT_ONCE, OVERLAP, AlarmCount


class MemoryModelStore:
    """Keeps `ModelStore`."""

    def __init__(self) -> None:
        self.bar_scores: dict[tuple[int, int], BarScore] = {}
        self._snapshots: dict[tuple[int, str], Snapshot] = {}
        self._forecasts: dict[uuid.UUID, Forecast] = {}
        self._features: dict[int, Features] = {}
        self._activations: dict[tuple[int, int], Activation] = {}

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """The newest snapshot per (market, model) replaces an older one (never a newer one)."""
        for one in snapshots:
            known = self._snapshots.get((one.market, one.model))
            if known is None or one.seen >= known.seen:
                self._snapshots[one.market, one.model] = one

    async def snapshots(self) -> list[Snapshot]:
        """The newest snapshot of every (market, model)."""
        return [self._snapshots[place] for place in sorted(self._snapshots)]

    async def save_forecast(self, forecast: Forecast) -> None:
        """Store a version with all its rows in one transaction; a version already there is kept."""
        self._forecasts.setdefault(forecast.version, forecast)

    async def activate(self, activations: Sequence[Activation]) -> None:
        """Journal from where in the order a version is used."""
        for one in activations:
            self._activations.setdefault((one.market, one.from_seen), one)

    async def active_forecasts(self, at_seen: int) -> list[tuple[Activation, Forecast]]:
        """Per market the activation in force at that place in the order, with its forecast; later ones too."""
        in_force = {market: from_seen for market, from_seen in sorted(self._activations) if from_seen <= at_seen}
        return [
            (one, self._forecasts[one.version])
            for one in sorted(self._activations.values(), key=lambda one: (one.from_seen, one.market))
            if one.from_seen > at_seen or one.from_seen == in_force.get(one.market)
        ]

    async def forecast(self, market: int) -> Forecast | None:
        """The newest stored forecast of a market."""
        return next((one for one in reversed(self._forecasts.values()) if one.market == market), None)

    async def forget_forecasts(self, before: int, *, limit: int = FORGOTTEN_AT_ONCE) -> int:
        """Forget at most `limit` versions that expired before that instant; each market's newest stays."""
        newest = {one.market: one.version for one in self._forecasts.values()}
        old = [one for one in self._forecasts.values() if one.expires < before and one.version != newest[one.market]]
        gone = {one.version for one in sorted(old, key=lambda one: one.expires)[:limit]}
        self._forecasts = {version: one for version, one in self._forecasts.items() if version not in gone}
        self._activations = {place: one for place, one in self._activations.items() if one.version not in gone}
        return len(gone)

    async def thin_forecasts(self, since: int) -> None:
        """Forget rows that a successor has taken over, but for `OVERLAP`."""
        used = sorted(one for one in self._activations if one[1] >= since)
        for (market, seen), (later, until) in pairwise(used):
            if market == later:
                one = self._forecasts[self._activations[market, seen].version]
                rows = [row for row in one.rows if row.at < until + OVERLAP]
                self._forecasts[one.version] = msgspec.structs.replace(one, rows=rows)

    async def forecast_row(self, version: uuid.UUID, at: int) -> ForecastRow | None:
        """One stored row of a version, by where it begins."""
        found = self._forecasts.get(version)
        return None if found is None else next((row for row in found.rows if row.at == at), None)

    async def bar_score(self, market: int, at: int) -> float | None:
        """The highest score stored for the minute that begins at `at`."""
        found = self.bar_scores.get((market, at))
        return None if found is None else found.score

    async def count_alarms(
        self, markets: Sequence[int], weekly: float, start: int, end: int
    ) -> Mapping[int, AlarmCount]:
        """How often minutes with `start <= at < end` alarmed a reader who bears `weekly` alarms a week, by market."""
        found: dict[int, AlarmCount] = {}
        was: dict[int, bool] = {}
        for market, at in sorted(self.bar_scores):
            if market not in markets or not start <= at < end:
                continue
            rate = self.bar_scores[market, at].alarms
            is_alarm = rate is not None and rate <= weekly
            alarms, minutes = found.get(market, AlarmCount(0, 0))
            found[market] = AlarmCount(alarms + (is_alarm and not was.get(market, False)), minutes + 1)
            was[market] = is_alarm
        return found

    async def save_bar_scores(self, scores: Sequence[BarScore]) -> None:
        """Upsert, the higher score wins."""
        for one in scores:
            known = self.bar_scores.get((one.market, one.at))
            if known is None or one.score > known.score:
                self.bar_scores[one.market, one.at] = one

    async def save_features(self, features: Mapping[int, Features]) -> None:
        """What is known at each market's newest closed minute replaces what was known at an older one."""
        for market, one in features.items():
            known = self._features.get(market)
            if known is None or one.at >= known.at:
                self._features[market] = one

    async def features(self, market: int) -> Features | None:
        """What was saved last."""
        return self._features.get(market)
