"""Model state and forecasts, stored."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

from pricewatch.domain.model import Activation, BarScore, Forecast, ForecastRow, Snapshot


class ModelStore(Protocol):
    """What models leave behind."""

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """The newest snapshot per (market, model) replaces an older one (never a newer one)."""
        ...

    async def snapshots(self) -> list[Snapshot]:
        """The newest snapshot of every (market, model)."""
        ...

    async def save_forecast(self, forecast: Forecast) -> None:
        """Store a version with all its rows in one transaction."""
        ...

    async def activate(self, activations: Sequence[Activation]) -> None:
        """Journal from where in the order a version is used."""
        ...

    async def active_forecasts(self, at_seen: int) -> list[tuple[Activation, Forecast]]:
        """Per market the activation in force at that place in the order, with its forecast; later ones too."""
        ...

    async def forecast(self, market: int) -> Forecast | None:
        """The newest stored forecast of a market."""
        ...

    async def forecast_row(self, version: uuid.UUID, at: int) -> ForecastRow | None:
        """One stored row of a version, by where it begins; None when it is not there (any more)."""
        ...

    async def bar_score(self, market: int, at: int) -> float | None:
        """The highest score stored for the minute that begins at `at`."""
        ...

    async def save_bar_scores(self, scores: Sequence[BarScore]) -> None:
        """Upsert, the higher score wins."""
        ...


class ForecastSink(Protocol):
    """Whom training tells of a new stored forecast (the engine activates it)."""

    def forecast_ready(self, forecast: Forecast) -> None:
        """Never blocks."""
        ...
