from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.rule import Phase, RuleState
from pricewatch.domain.signal import signal_id
from pricewatch.testing.desk import BTC, OFFSET, T0, Desk, S, active

SPREAD = {"type": "spread", "percent": "1%"}


def test_a_spread_is_judged_by_quotes() -> None:
    desk = Desk()
    rule = active(1, SPREAD)
    desk.engine.arm(rule)
    desk.quote(0, 90, 110)  # before the first trade nothing is judged
    desk.trade(1, 100)
    desk.quote(2, 99.5, 100.5)
    desk.trade(3, 150)
    assert desk.said() == []
    desk.quote(4, 99, 101)
    (signal,) = desk.signals()
    cause = f"quote:{OFFSET + T0 + 4 * S}"
    assert signal.id == signal_id(rule.id, 1, BTC.key, cause, signal.direction)
    assert (signal.cause, signal.price, signal.at) == (cause, 150.0, T0 + 4 * S)
    assert signal.evidence == {
        "v": 1,
        "feature": "spread",
        "price": "150",
        "value": 2.0,
        "prior": 1.0,
        "threshold": 1.0,
        "clear": 0.8,
        "quote": {"bid": "99", "ask": "101"},
    }
    desk.quote(5, 99.5, 100.5)
    assert desk.said() == []
    desk.quote(6, 99.6, 100.4)
    assert desk.said() == [(1, "cleared", 6.0)]


def test_wide_already_is_silent_at_arming() -> None:
    desk = Desk()
    desk.trade(0, 100)
    desk.engine.arm(active(1, SPREAD))
    desk.engine.arm(active(2, SPREAD, fire_on_arming=True))
    desk.engine.arm(active(3, SPREAD, effective=OFFSET + T0 + 60 * S))
    desk.quote(1, 98, 102)
    assert desk.said() == [(2, "fired", 1.0)]


def test_a_quote_of_the_past_is_dated_by_the_market() -> None:
    desk = Desk()
    desk.engine.arm(active(1, SPREAD, fire_on_arming=True))
    desk.trade(10, 100)
    desk.quote(9, 98, 102)
    assert desk.said() == [(1, "fired", 10.0)]


def test_a_spread_must_last() -> None:
    desk = Desk()
    desk.engine.arm(active(1, SPREAD, hold="10s"))
    desk.trade(0, 100)
    desk.quote(1, 100, 100)
    desk.quote(2, 98, 102)
    desk.trade(3, 100)
    desk.quote(4, 99.5, 100.5)
    desk.quote(5, 98, 102)
    desk.trade(14, 100)
    assert desk.said() == []
    desk.trade(15, 100)
    assert desk.said() == [(1, "fired", 15.0)]


def test_a_restart_waits_for_the_next_quote() -> None:
    """A pending rule fires at its time, a firing one ends and an idle one begins with what quotes say."""
    pending = RuleState(Phase.PENDING, armed=True, since=T0, due_at=T0 + 5 * S, due_seen=OFFSET + T0 + 6 * S)
    firing = RuleState(Phase.FIRING, armed=True, since=T0, emitted_at=T0, fired=1)
    desk = Desk()
    desk.engine.arm(active(1, SPREAD, hold="5s"), {1: pending})
    desk.engine.arm(active(2, SPREAD), {1: firing})
    desk.engine.arm(active(3, SPREAD))
    desk.trade(0, 100, evaluate=False)
    desk.trade(1, 100, evaluate=False)
    for second in range(2, 7):
        desk.trade(second, 100)
    (signal,) = desk.signals()
    assert (signal.rule_id.int, signal.direction.value, signal.at) == (1, "fired", T0 + 5 * S)
    assert "quote" not in signal.evidence
    desk.quote(7, 98, 102)
    assert desk.said() == [(3, "fired", 7.0)]
    desk.quote(8, 100, 100.1)
    assert desk.said() == [(number, "cleared", 8.0) for number in (1, 2, 3)]


def test_unread_quotes_leave_nothing_behind() -> None:
    desk = Desk()
    market = desk.engine._markets[1]
    desk.engine.arm(active(1, SPREAD))
    desk.engine.arm(active(2, SPREAD))
    desk.trade(0, 100)
    desk.engine.disarm(active(2, SPREAD).id)
    desk.quote(1, 98, 102)
    desk.engine.disarm(active(1, SPREAD).id)
    assert (market.quoted, market.quote, market.unquoted, len(market.indexes)) == ([], None, {}, 1)
    before = desk.engine.judged
    desk.quote(2, 90, 110)
    assert desk.engine.judged == before


@given(quotes=st.lists(st.tuples(st.integers(9_900, 10_000), st.integers(10_000, 10_100)), min_size=1, max_size=60))
def test_the_spread_follows_its_definition(quotes: list[tuple[int, int]]) -> None:
    desk = Desk()
    desk.engine.arm(active(1, SPREAD))
    desk.trade(0, 100)
    state, wanted = "new", []
    for second, (bid, ask) in enumerate(quotes, start=1):
        desk.quote(second, bid / 100, ask / 100)
        wide, narrow = 200 * (ask - bid) > ask + bid, 2_000 * (ask - bid) <= 8 * (ask + bid)
        if state == "new":
            state = "silent" if wide else "idle"
        elif state == "idle" and wide:
            state = "firing"
            wanted.append((1, "fired", float(second)))
        elif state != "idle" and narrow:
            if state == "firing":
                wanted.append((1, "cleared", float(second)))
            state = "idle"
    assert desk.said() == wanted


def test_levels_may_be_judged_by_quotes() -> None:
    desk = Desk()
    for number, source in enumerate(["trade", "mid", "bid", "ask"], start=1):
        desk.engine.arm(active(number, {"type": "above", "level": "100", "source": source}))
    desk.engine.arm(active(5, {"type": "crosses", "level": "100", "direction": "up", "source": "mid"}))
    desk.trade(0, 90)
    desk.quote(1, 99, 99.5)
    desk.quote(2, 99.9, 100.1)  # the middle is the very level
    assert desk.said() == [(4, "fired", 2.0)]
    desk.quote(3, 99.99, 100.02)
    two, five = desk.signals()
    assert (two.rule_id.int, five.rule_id.int, two.price) == (2, 5, 100.005)
    assert two.evidence == {
        "v": 1, "feature": "mid", "price": "90", "value": "100.005", "prior": "100", "threshold": "100",
        "clear": "99.9", "source": "mid", "quote": {"bid": "99.99", "ask": "100.02"},
    }  # fmt: skip
    desk.quote(4, 100.01, 100.03)
    assert desk.said() == [(3, "fired", 4.0)]
    desk.trade(5, 101)
    assert desk.said() == [(1, "fired", 5.0)]
    desk.engine.disarm(active(2, SPREAD).id)
    desk.quote(6, 90, 91)
    assert desk.said() == [(3, "cleared", 6.0), (4, "cleared", 6.0)]


def test_other_levels_take_a_source_too() -> None:
    desk = Desk()
    desk.engine.arm(active(1, {"type": "below", "level": "100", "source": "bid"}))
    desk.engine.arm(
        active(2, {"type": "channel", "lower": "90", "upper": "100", "direction": "enter", "source": "ask"}, hold="5s")
    )
    desk.trade(0, 105)
    desk.quote(1, 101, 102)
    desk.quote(2, 98, 99)
    (fired,) = desk.signals()
    assert (fired.price, fired.evidence["source"]) == (98.0, "bid")
    desk.advance(8.1)
    (late,) = desk.signals()
    assert (late.cause, late.price, late.evidence["value"]) == (f"timer:{T0 + 7 * S}", 105.0, "99")
