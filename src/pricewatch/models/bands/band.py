"""A forecast's rows looked up by event time."""

from __future__ import annotations

import math

from pricewatch.domain.model import Forecast, ForecastRow


class Band:
    """The active forecast of one market. A lookup costs one division when rows follow each other without holes."""

    __slots__ = ("_rows", "_start", "_step", "forecast")

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self._step = max(forecast.step, 1)
        self._start = forecast.rows[0].at if forecast.rows else 0
        self._rows = {(row.at - self._start) // self._step: row for row in forecast.rows}

    def at(self, instant: int) -> ForecastRow | None:
        """The row that covers event time `instant`; None before, after, in a hole, expired or not a finite band."""
        if instant >= self.forecast.expires:
            return None
        row = self._rows.get((instant - self._start) // self._step)
        if row is None or not row.at <= instant < row.at + self._step:
            return None
        return row if 0.0 < row.lower <= row.upper < math.inf else None
