from __future__ import annotations

import math
import random
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.rule import Phase, RuleState
from pricewatch.engine.bars import Bar, pack, unpack
from pricewatch.engine.index import Instance, LevelIndex, Sleeper
from pricewatch.engine.series import TRIM, Series, Window
from pricewatch.engine.state import ActiveRule, Standing
from pricewatch.engine.timers import NEVER, Agenda
from pricewatch.rules.base import PRICE, Condition, Feature
from pricewatch.rules.conditions.above import Above
from pricewatch.rules.conditions.anomaly import Anomaly
from pricewatch.rules.conditions.below import Below
from pricewatch.rules.conditions.bollinger import Bollinger
from pricewatch.rules.conditions.change import Change
from pricewatch.rules.conditions.channel import Channel
from pricewatch.rules.conditions.crosses import Crosses
from pricewatch.rules.conditions.divergence import Divergence
from pricewatch.rules.conditions.extreme import NewExtreme
from pricewatch.rules.conditions.group import And
from pricewatch.rules.conditions.macd import Macd
from pricewatch.rules.conditions.moving_average import MovingAverage
from pricewatch.rules.conditions.outside_band import OutsideBand
from pricewatch.rules.conditions.rsi import Rsi
from pricewatch.rules.conditions.spread import Spread
from pricewatch.rules.conditions.stale import Stale
from pricewatch.rules.conditions.trailing import Trailing
from pricewatch.rules.conditions.volatility import Volatility
from pricewatch.rules.conditions.volume import Volume
from pricewatch.rules.document import Rule
from pricewatch.rules.lifecycle import ARMED, Moment, Verdict, step
from pricewatch.rules.policy import Policy
from pricewatch.rules.quorum import agree

MINUTE = 60_000_000
FIRING = RuleState(phase=Phase.FIRING, armed=True)
PENDING = RuleState(phase=Phase.PENDING, armed=True)

NUMBER = st.sampled_from([float(n) for n in range(-6, 7)]) | st.floats(-6.0, 6.0)
CONDITIONS: list[Condition] = [
    Above(2.0, 1.0),
    Above(2.0, 2.0),
    Below(2.0, 3.0),
    Below(-1.0, -1.0),
    Crosses(2.0, 1.0, up=True),
    Crosses(2.0, 3.0, up=False),
    Stale(0.0, 0.0, MINUTE),
    Divergence(2.0, 1.0),
    agree(Above(2.0, 1.0), 2),
    And((Above(2.0, 1.0), Below(2.0, 3.0))),
    MovingAverage(0.0, -0.5, up=True, mean="sma", spec=(MINUTE, 2, 3)),
    Macd(0.0, 0.5, up=False, spec=(MINUTE, 2, 3, 2)),
    Rsi(2.0, 1.0, up=True, spec=(MINUTE, 3)),
    Rsi(2.0, 3.0, up=False, spec=(MINUTE, 3)),
    Bollinger(2.0, 1.5, spec=(MINUTE, 3), side="either"),
    Change(2.0, 1.0, MINUTE, "up"),
    Change(2.0, 1.0, MINUTE, "down"),
    Change(2.0, 1.0, MINUTE, "either"),
    Change(2.0, 2.0, MINUTE, "either"),
    Anomaly(3.0, 2.0),
    OutsideBand(-0.5, "either"),
    OutsideBand(0.0, "upper"),
    Channel(-1.0, 2.0, -2.0, 3.0, inside=True),
    Channel(-1.0, 2.0, -1.0, 2.0, inside=True),
    Channel(-1.0, 2.0, 0.0, 1.0, inside=False),
    Channel(-1.0, 2.0, -1.0, 2.0, inside=False),
    Spread(2.0, 1.5),
    Volume(3.0, 2.0, MINUTE, 5 * MINUTE),
    Volatility(3.0, 3.0, MINUTE, 5 * MINUTE),
    NewExtreme(0.0, -1.0, MINUTE, "high"),
    NewExtreme(0.0, -0.0, MINUTE, "low"),
    Trailing(2.0, 1.0, MINUTE, "high", percents=True),
    Trailing(2.0, 1.0, MINUTE, "low", percents=False),
]


@pytest.mark.parametrize("when", CONDITIONS, ids=repr)
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PENDING, Phase.FIRING])
@given(before=NUMBER | st.just(math.nan), x=NUMBER)
def test_nothing_happens_between_the_triggers(when: Condition, phase: Phase, before: float, x: float) -> None:
    up, down = when.triggers(phase, before)
    if down < x < up:
        state = RuleState(phase=phase, armed=True, since=1)
        verdict = Verdict(when.begins(before, x), when.holds(x), when.cleared(x))
        assert step(state, Policy(), verdict, Moment(5, 5)) == (state, None)


@pytest.mark.parametrize("when", CONDITIONS, ids=repr)
def test_the_unknown_decides_nothing(when: Condition) -> None:
    assert not any((when.begins(0.0, math.nan), when.holds(math.nan), when.cleared(math.nan)))
    assert when.needs().name
    assert isinstance(when.level, float)
    assert isinstance(when.clear, float)
    assert isinstance(when.evidence(), dict)


def instance(number: int, when: Condition, index: LevelIndex, state: RuleState = ARMED) -> Instance:
    rule = Rule("t", None, None, when, Policy())
    active = ActiveRule(uuid.UUID(int=number), uuid.UUID(int=0), 1, rule, 0)
    made = Instance(Standing(active, 0), number.to_bytes(16, "big"), 1, index, state)
    index.members.add(made)
    return made


def test_waking_takes_exactly_those_concerned() -> None:
    index = LevelIndex(PRICE)
    index.x = 50.0
    for level in range(100):
        index.place(instance(level, Above(float(level), float(level)), index))
    touched: list[Sleeper] = []
    index.sample(49.5, touched)
    assert len(touched) == 50
    for one in touched:
        assert isinstance(one, Instance)
        one.state = FIRING
        index.place(one)
    assert (index.up, index.down) == (math.nextafter(50.0, math.inf), 49.0)
    touched.clear()
    index.glance(52.0, touched)
    assert len(touched) == 2
    assert index.x == 49.5


def test_rules_of_one_level_share_it() -> None:
    index = LevelIndex(PRICE)
    for _ in range(3):
        index.place(instance(7, Above(1.0, 1.0), index))
    touched: list[Sleeper] = []
    index.sample(2.0, touched)
    assert len(touched) == 3
    assert all(one.awake for one in touched)


def test_stale_triggers_do_not_pile_up() -> None:
    index = LevelIndex(Feature("change", MINUTE))
    index.x = 0.0
    one, other = instance(1, Change(2.0, 1.0, MINUTE, "either"), index), instance(2, Above(99.0, 1.0), index)
    index.place(other)
    for _ in range(500):
        one.state = ARMED
        index.place(one)
    assert len(index._ups) < 100
    assert len(index._downs) < 100
    touched: list[Sleeper] = []
    index.sample(-5.0, touched)
    assert touched == [one]
    index.drop(other)
    index.sample(100.0, touched)
    assert touched == [one]
    assert index.up == math.inf


def test_an_unknown_number_concerns_only_those_that_wait_on_it() -> None:
    index = LevelIndex(PRICE)
    pending, firing = instance(1, Above(1.0, 0.5), index, PENDING), instance(2, Above(1.0, 0.5), index, FIRING)
    index.x = 2.0
    index.place(pending)
    index.place(firing)
    touched: list[Sleeper] = []
    index.sample(math.nan, touched)
    assert touched == [pending]
    index.sample(math.nan, touched)
    assert touched == [pending]


def test_an_emptied_index_wakes_nobody() -> None:
    index = LevelIndex(PRICE)
    one = instance(1, Above(1.0, 0.5), index)
    index.place(one)
    index.empty()
    touched: list[Sleeper] = []
    index.sample(5.0, touched)
    assert not touched
    assert one.awake


def series(*spans: int) -> Series:
    made = Series()
    made.windows = [Window(LevelIndex(Feature("change", span))) for span in spans]
    return made


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.floats(1.0, 9.0)), min_size=1, max_size=60),
    spans=st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True),
)
def test_the_reference_is_the_last_price_at_or_before_the_window(
    steps: list[tuple[int, float]], spans: list[int]
) -> None:
    made, past, at = series(*spans), [], 100
    for gap, price in steps:
        at += gap
        past.append((at, price))
        made.add(at, price)
        for window in made.windows:
            known = [entry for entry in past if entry[0] <= at - window.span]
            if known:
                assert made.reference(window) == known[-1]
                assert made.change(window) == pytest.approx(100.0 * (price / known[-1][1] - 1.0))
            else:
                assert math.isnan(made.change(window))


@given(cents=st.integers(1, 10**9), percent=st.integers(-99, 300))
def test_a_whole_percentage_is_exactly_that(cents: int, percent: int) -> None:
    made = series(10)
    made.add(1, cents / 100)
    made.add(11, cents * (100 + percent) / 10_000)
    assert made.change(made.windows[0]) == percent


def test_a_series_forgets_what_no_window_needs() -> None:
    made = series(10, 50)
    assert made.reference(made.windows[0])[0] == 0
    for at in range(1, 5 * TRIM):
        made.add(at, float(at))
    assert len(made._ats) <= 2 * TRIM + 1
    assert made.reference(made.windows[1]) == (5 * TRIM - 51, float(5 * TRIM - 51))


def test_a_long_window_keeps_everything() -> None:
    made = series(10 * TRIM)
    for at in range(1, 3 * TRIM):
        made.add(at, 1.0)
    assert len(made._ats) == 3 * TRIM - 1


class Thing:
    def __init__(self, due: int) -> None:
        self.due = due

    def __lt__(self, other: object) -> bool:
        return False


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=300), st.integers(0, 60))
def test_an_agenda_gives_what_is_due_in_order(entries: list[tuple[int, bool]], upto: int) -> None:
    agenda: Agenda[Thing] = Agenda(lambda thing: thing.due)
    for due, lasting in entries:
        thing = Thing(due)
        agenda.add(due, b"", thing)
        if not lasting:
            thing.due = 0
    given_out = []
    while (thing_due := agenda.pop(upto)) is not None:
        given_out.append(thing_due.due)
    assert given_out == sorted(due for due, lasting in entries if lasting and due <= upto)
    assert agenda.next > upto or agenda.next == NEVER


def test_a_bar_survives_packing() -> None:
    bar, rng = Bar(1, 0, 99, 5.0), random.Random(1)
    for _ in range(20):
        bar.trade(rng.uniform(1.0, 9.0), 1.5)
    bar.add(0.5, 1.0)
    bar.add(19.5, 1.0)
    (again,) = unpack(1, pack([bar]))
    assert again.dump() == bar.dump()
    assert (again.low, again.high, again.trades, again.end) == (0.5, 19.5, 22, MINUTE)


@pytest.mark.parametrize("payload", [b"", msgspec.msgpack.encode([[1.0]]), pack([Bar(1, 0, 5, math.nan)])])
def test_a_bad_bar_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpack(1, payload)
