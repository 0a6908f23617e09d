"""Model state and forecasts, stored."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pricewatch.domain.features import Features
from pricewatch.domain.model import Activation, BarScore, Drift, Forecast, ForecastRow, Snapshot
from pricewatch.domain.packed import Packed
from pricewatch.domain.time import MINUTE

FORGOTTEN_AT_ONCE = 200
"""Versions a call forgets at most: with their rows a few tens of milliseconds of the database's time."""
OVERLAP = 10 * MINUTE
"""How long rows of a version that has a successor are kept on: times of venues and our order are no more apart."""


class AlarmCount(NamedTuple):
    """Alarms of one market, and the minutes that were judged."""

    alarms: int
    minutes: int


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

    async def forget_forecasts(self, before: int, *, limit: int = FORGOTTEN_AT_ONCE) -> int:
        """Forget at most `limit` versions that expired before that instant, the longest expired first.

        Each market's newest stays. Returns how many there were.
        """
        ...

    async def thin_forecasts(self, since: int) -> None:
        """Forget rows of versions in use since that place in the order whose successor is in use as well.

        Rows that begin less than `OVERLAP` after the successor's place stay.
        """
        ...

    async def forecast_row(self, version: uuid.UUID, at: int) -> ForecastRow | None:
        """One stored row of a version, by where it begins; None when it is not there (any more)."""
        ...

    async def bar_score(self, market: int, at: int) -> float | None:
        """The highest score stored for the minute that begins at `at`."""
        ...

    async def count_alarms(
        self, markets: Sequence[int], weekly: float, start: int, end: int
    ) -> Mapping[int, AlarmCount]:
        """How often minutes with `start <= at < end` alarmed a reader who bears `weekly` alarms a week, by market.

        A cluster of unusual minutes is one alarm. Markets without a judged minute are left out.
        """
        ...

    async def save_bar_scores(self, scores: Sequence[BarScore]) -> None:
        """Upsert, the higher score wins."""
        ...

    async def save_features(self, features: Mapping[int, Features]) -> None:
        """What is known at each market's newest closed minute replaces what was known at an older one."""
        ...

    async def features(self, market: int) -> Features | None:
        """What was saved last; None where there is nothing that this version can read."""
        ...


class PackedHistory(Protocol):
    """A market's candles in one piece and unopened: for fits, which read thousands."""

    async def candles(self, market: int, start: int, end: int, *, span: int) -> Packed:
        """All candles of `span` (one minute or one hour, µs) with `start <= at < end`, as `History` has them."""
        ...

    async def spreads(self, market: int, start: int, end: int) -> Packed:
        """Mean spreads between bid and ask in per cent as candles of whole hours with `start <= at < end`.

        All prices are the mean, the volume is the number of quotes. Hours without quotes are left out.
        """
        ...


class Spreads(Protocol):
    """How far bid and ask were apart, by hour."""

    async def count_spreads(self, market: int, upto: int) -> None:
        """Count the whole hours before `upto` from stored quotes, as far as that has not been done yet."""
        ...


class DriftSink(Protocol):
    """Whom the engine's shell tells of markets that have left what their models knew."""

    def drifted(self, drift: Drift) -> None:
        """Never blocks. After a crash the same drift may be told again."""
        ...


class ForecastSink(Protocol):
    """Whom training tells of a new stored forecast (the engine activates it)."""

    def forecast_ready(self, forecast: Forecast) -> None:
        """Never blocks."""
        ...
