"""The plots of a report, as PNG in data addresses: no other origin is asked for anything."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import to_datetime
from pricewatch.ports.preview import Chart

_PRICE, _FIRE, _END, _LEVEL = "#4a6fa5", "#c0392b", "#2e8b57", "#8a6d3b"


def prices(chart: Chart, signals: Sequence[Signal], thresholds: dict[str, Any]) -> str:
    """One market's prices with levels, fires and ends."""
    figure = _figure(9.0, 3.2)
    axes = figure.subplots()
    at = [to_datetime(point.at) for point in chart.points]
    low, high = [point.low for point in chart.points], [point.high for point in chart.points]
    axes.fill_between(at, low, high, color=_PRICE, alpha=0.35, linewidth=0)  # type: ignore[arg-type]  # dates are fine
    axes.plot(at, [(a + b) / 2 for a, b in zip(low, high, strict=True)], color=_PRICE, linewidth=0.9)  # type: ignore[arg-type]
    for name in ("threshold", "lower", "upper"):
        if isinstance(level := thresholds.get(name), str):
            axes.axhline(float(level), color=_LEVEL, linewidth=0.9, linestyle="--")
    for direction, mark, color in ((Direction.FIRED, "^", _FIRE), (Direction.CLEARED, "v", _END)):
        told = [one for one in signals if one.direction is direction and one.scope == chart.market]
        axes.scatter(
            [to_datetime(one.at) for one in told],  # type: ignore[arg-type]
            [one.price for one in told],
            marker=mark, s=22, color=color, zorder=3, label=direction.value,
        )  # fmt: skip
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.margins(x=0.01)
    return _address(figure)


def per_day(days: Sequence[tuple[int, int]]) -> str:
    """Fires a day."""
    figure = _figure(9.0, 1.8)
    axes = figure.subplots()
    axes.bar([to_datetime(at) for at, _ in days], [count for _, count in days], color=_FIRE, width=0.8)  # type: ignore[arg-type]
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    return _address(figure)


def leads(minutes: Sequence[float]) -> str:
    """How long after a fire the furthest price of the next hour came."""
    figure = _figure(9.0, 1.8)
    axes = figure.subplots()
    axes.hist(minutes, bins=12, range=(0.0, 60.0), color=_PRICE)
    axes.set_xlabel("minutes", fontsize=8)
    return _address(figure)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _address(figure: Figure) -> str:
    for axes in figure.axes:
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
