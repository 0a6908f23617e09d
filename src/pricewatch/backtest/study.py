"""What followed a rule's fires: figures of a report."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence

import msgspec

from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import DAY, MINUTE

AFTER = (5 * MINUTE, 15 * MINUTE, 60 * MINUTE)
Closes = Sequence[tuple[int, float]]
"""Instants ascending with the price that held then."""


class Following(msgspec.Struct, frozen=True):
    """How prices moved from the fire's to that of some time later, in per cent."""

    after: int
    count: int
    median: float
    rose: float
    """Share of fires after which the price was higher."""
    usual: float
    """Median size of such a move at any time, for comparison."""


class Study(msgspec.Struct, frozen=True):
    """One rule's fires on all its markets."""

    per_day: list[tuple[int, int]]
    """Every day of the span with its fires."""
    following: list[Following]
    leads: list[float]
    """Minutes from each fire to the extreme of the hour after it, in the direction in which the price went further."""


def study(signals: Sequence[Signal], closes: dict[str, Closes], start: int, end: int) -> Study:
    """`closes` by market key; signals in order."""
    fires = [one for one in signals if one.direction is Direction.FIRED]
    counted = Counter(one.at - one.at % DAY for one in fires)
    days = [(at, counted[at]) for at in range(start - start % DAY, end, DAY)]
    return Study(days, [_following(fires, closes, after) for after in AFTER], _leads(fires, closes))


def price_at(closes: Closes, at: int) -> float | None:
    """The newest price at `at`; None before the first and after the last."""
    place = bisect_right(closes, at, key=lambda one: one[0])
    if place == 0 or at > closes[-1][0]:
        return None
    return closes[place - 1][1]


def _following(fires: Sequence[Signal], closes: dict[str, Closes], after: int) -> Following:
    moves = []
    for one in fires:
        later = price_at(closes.get(one.scope, ()), one.at + after) if closes.get(one.scope) else None
        if later is not None:
            moves.append(100.0 * (later / one.price - 1.0))
    usual = []
    for prices in closes.values():
        for at, price in prices[:: max(1, len(prices) // 500)]:
            later = price_at(prices, at + after)
            if later is not None:
                usual.append(abs(100.0 * (later / price - 1.0)))
    rose = sum(move > 0 for move in moves) / len(moves) if moves else 0.0
    return Following(after, len(moves), median(moves), rose, median(usual))


def _leads(fires: Sequence[Signal], closes: dict[str, Closes]) -> list[float]:
    found = []
    for one in fires:
        prices = closes.get(one.scope, ())
        low = bisect_left(prices, one.at, key=lambda pair: pair[0])
        high = bisect_right(prices, one.at + 60 * MINUTE, key=lambda pair: pair[0])
        hour = prices[low:high]
        if hour:
            at, _ = max(hour, key=lambda pair: abs(pair[1] / one.price - 1.0))
            found.append((at - one.at) / MINUTE)
    return found


def median(values: Sequence[float]) -> float:
    """The middle one; 0 for none."""
    return sorted(values)[len(values) // 2] if values else 0.0
