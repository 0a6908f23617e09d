"""Prices over a span as few points: nothing that the eye would see gets lost."""

from __future__ import annotations

from collections.abc import Iterable

from pricewatch.ports.preview import Minute, Point


def coarse(minutes: Iterable[Minute], start: int, end: int, most: int) -> list[Point]:
    """At most `most` points of equal width with the extremes of each; widths without a minute have no point."""
    width = max(1, -(-(end - start) // most))
    points: list[Point] = []
    for at, low, high in minutes:
        begin = at - (at - start) % width
        if points and points[-1].at == begin:
            last = points[-1]
            points[-1] = Point(begin, min(last.low, low), max(last.high, high))
        else:
            points.append(Point(begin, low, high))
    return points
