"""What the engine says of a market on which nothing can happen."""

from __future__ import annotations

from pricewatch.engine.state import Rest
from pricewatch.engine.timers import NEVER
from pricewatch.rules.base import beyond
from pricewatch.testing.desk import T0, Desk, S, above, active


def test_a_market_at_rest_says_what_would_wake_it() -> None:
    desk = Desk()
    desk.engine.arm(above(1))
    assert desk.engine.rest(1) is None  # it has yet to see a trade
    desk.trade(0, 99.0)
    assert desk.engine.rest(1) == Rest(float("-inf"), beyond(100.0), NEVER)
    desk.trade(1, 101.0)
    assert desk.engine.rest(1) == Rest(99.9, float("inf"), NEVER)


def test_a_timer_is_told_and_a_rule_on_something_else_is_never_at_rest() -> None:
    desk = Desk()
    desk.engine.arm(above(1, **{"for": "5s"}))
    desk.trade(0, 99.0)
    desk.trade(1, 101.0)
    assert desk.engine.rest(1) == Rest(100.0, float("inf"), T0 + 6 * S)
    desk.engine.arm(active(2, {"type": "change", "window": "1m", "percent": "1%"}))
    desk.trade(2, 101.0)
    assert desk.engine.rest(1) is None


def test_a_rule_that_will_expire_is_never_at_rest() -> None:
    desk = Desk()
    desk.engine.arm(above(1, expires="2100-01-01T00:00:00Z"))
    desk.trade(0, 99.0)
    assert desk.engine.rest(1) is None
