"""Prices over a span as few points: nothing that the eye would see gets lost."""

from __future__ import annotations

from collections.abc import Iterable

from pricewatch.ports.preview import Minute, Point


def coarse(minutes: Iterable[Minute], start: int, end: int, most: int) -> list[Point]:
    """At most `most` points of equal width with the extremes of each; widths without a minute have no point."""
    width = max(1, -(-(end - start) // most))
    points: list[Point] = []
    begin, lowest, highest = -1, 0.0, 0.0
    for minute in minutes:
        at, low, high = minute.at, minute.low, minute.high
        if begin >= 0 and at < begin + width:
            lowest, highest = min(lowest, low), max(highest, high)
            continue
        if begin >= 0:
            points.append(Point(begin, lowest, highest))
        begin, lowest, highest = at - (at - start) % width, low, high
    return [*points, Point(begin, lowest, highest)] if begin >= 0 else points
