"""Prints out of order: a price that traded, but not the one that stands."""

from __future__ import annotations

from typing import Any

import pytest

from pricewatch.domain.market import Flag
from pricewatch.testing.desk import Desk, above, active


def told(rule: Any, *trades: tuple[float, float, float], until: float = 60) -> list[tuple[str, float]]:
    """`(at, price, seen)` of each trade."""
    desk = Desk()
    desk.engine.arm(rule)
    for at, price, seen in trades:
        desk.trade(at, price, seen=seen)
    desk.advance(until)
    return [(direction, at) for _, direction, at in desk.said()]


def test_a_wait_does_not_begin_with_a_price_that_does_not_stand() -> None:
    assert told(above(1, hold="10s"), (0, 99.0, 0), (5, 99.0, 5), (4.5, 101.0, 5.1)) == []


def test_nor_does_a_cooldown_end_in_it() -> None:
    rule = above(1, cooldown="10s")
    trades = [(0, 99.0, 0), (1, 101.0, 1), (2, 99.0, 2), (5, 99.0, 5), (4.5, 101.0, 5.1)]
    assert told(rule, *trades) == [("fired", 1), ("cleared", 2)]


def test_without_a_wait_it_fires_as_ever() -> None:
    assert told(above(1), (0, 99.0, 0), (5, 99.0, 5), (4.5, 101.0, 5.1)) == [("fired", 5)]


@pytest.mark.parametrize(
    "way", [{"type": "above", "level": "100"}, {"type": "crosses", "level": "100", "direction": "up"}]
)
def test_a_wait_that_it_breaks_begins_anew_at_once_where_the_price_stands(way: dict[str, Any]) -> None:
    trades = [(0, 99.0, 0), (1, 101.0, 1), (4, 101.0, 4), (3.5, 99.0, 4.1)]
    assert told(active(1, way, hold="10s"), *trades) == [("fired", 14)]
    assert told(active(1, way, hold="10s"), *trades, (20, 101.0, 20)) == [("fired", 14)]


def test_one_that_holds_too_changes_nothing() -> None:
    assert told(above(1, hold="10s"), (0, 99.0, 0), (1, 101.0, 1), (4, 101.0, 4), (3.5, 102.0, 4.1)) == [("fired", 11)]


def test_a_print_in_doubt_begins_the_wait_of_a_rule_that_counts_such_prints() -> None:
    desk = Desk()
    desk.engine.arm(above(1, hold="1s", suspect=True))
    desk.trade(0, 99.0)
    desk.trade(1, 150.0, flags=Flag.SUSPECT)
    desk.advance(60)
    assert [direction for _, direction, _ in desk.said()] == ["fired"]


def test_what_changes_nothing_is_not_stored() -> None:
    desk = Desk()
    desk.engine.arm(above(1, hold="10s"))
    desk.trade(0, 99.0)
    desk.trade(5, 99.0)
    desk.engine.transitions.clear()
    desk.trade(4.5, 101.0, seen=5.1)
    assert desk.engine.transitions == []
