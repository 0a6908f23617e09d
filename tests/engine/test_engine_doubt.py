"""Doubtful prints: who is held, who is confirmed, who is flagged; the same whatever interrupts it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricewatch.domain.market import Flag, Trade
from pricewatch.engine.doubt import Doubts, Recent

S = 1_000_000
T0 = 1_700_000_000 * S
SUSPECT = int(Flag.SUSPECT)
DOUBTS = Doubts()


def print_(number: int, price: float, at: float, flags: int = 0) -> Trade:
    return Trade(1, T0 + round(at * S), price, 1.0, 1, number, T0 + round(at * S), flags)


def prints(*prices: float, apart: float = 0.1) -> list[Trade]:
    return [print_(number, price, number * apart) for number, price in enumerate(prices)]


def offer(recent: Recent, trade: Trade) -> list[Trade]:
    """As the sink does it."""
    return [trade] if recent.expected(trade) else recent.take(trade)


def decided(recent: Recent, trades: Sequence[Trade]) -> list[Trade]:
    return [one for trade in trades for one in offer(recent, trade)]


def said(trades: Sequence[Trade]) -> list[tuple[float, bool]]:
    return [(trade.price, bool(trade.flags & SUSPECT)) for trade in trades]


def calm(*more: float, apart: float = 0.1) -> tuple[Recent, list[Trade]]:
    """After twenty prints around 100; the prints that follow them."""
    recent = Recent(DOUBTS)
    past = prints(*[100.0 + number % 3 * 0.01 for number in range(20)], apart=apart)
    assert decided(recent, past) == past
    return recent, [print_(20 + number, price, (20 + number) * apart) for number, price in enumerate(more)]


def test_a_single_bad_print_is_flagged_by_the_next_one() -> None:
    recent, (bad, good) = calm(1000.0, 100.01)
    assert recent.take(bad) == []
    assert recent.held is bad
    assert said(recent.take(good)) == [(1000.0, True), (100.01, False)]
    assert recent.held is None


def test_a_real_jump_is_held_for_one_print_only_and_comes_in_order() -> None:
    recent, jump = calm(110.0, 110.2, 110.1, 109.9)
    assert offer(recent, jump[0]) == []
    assert offer(recent, jump[1]) == jump[:2]
    assert offer(recent, jump[2]) == [jump[2]]
    assert recent.expected(jump[3])


def test_a_fall_through_several_doubtful_prices_is_confirmed_step_by_step() -> None:
    recent, fall = calm(90.0, 80.0, 70.0, 70.1)
    assert [offer(recent, one) for one in fall] == [[], [fall[0]], [fall[1]], [fall[2], fall[3]]]


def test_back_to_where_it_was_is_no_confirmation_even_if_it_is_not_far() -> None:
    recent, (held, back) = calm(103.5, 100.5)
    assert offer(recent, held) == []
    assert said(offer(recent, back)) == [(103.5, True), (100.5, False)]


def test_two_different_bad_prints_confirm_nothing() -> None:
    recent, bad = calm(1000.0, 10.0, 100.0)
    assert said(decided(recent, bad)) == [(1000.0, True), (10.0, True), (100.0, False)]


@pytest.mark.parametrize(("price", "counts"), [(110.0, True), (299.0, True), (1000.0, False), (10.0, False)])
def test_silence_confirms_what_is_not_absurd(price: float, counts: bool) -> None:
    recent, (held,) = calm(price)
    assert offer(recent, held) == []
    assert said(recent.silence()) == [(price, not counts)]
    assert recent.silence() == []


@pytest.mark.parametrize(("after", "suspect"), [(1.999, True), (2.0, False)])
def test_a_print_after_the_hold_comes_too_late_to_contradict(after: float, suspect: bool) -> None:
    recent, (held,) = calm(110.0)
    assert offer(recent, held) == []
    later = print_(50, 100.0, 2.0 + after)
    assert said(offer(recent, later))[0] == (110.0, suspect)


def test_a_second_witness_counts_at_once() -> None:
    recent, pair = calm(105.0, 100.0, 105.1, 105.0)
    assert said(decided(recent, pair)) == [(105.0, True), (100.0, False), (105.1, False), (105.0, False)]


def test_an_absurd_price_needs_its_witness_next_to_it() -> None:
    recent, apart = calm(1000.0, 100.0, 1000.0, 100.0)
    assert said(decided(recent, apart)) == [(1000.0, True), (100.0, False)] * 2
    recent, (slow,) = calm(1000.0)
    assert [offer(recent, slow), said(recent.silence())] == [[], [(1000.0, True)]]
    second = print_(60, 1001.0, 1000.0)
    assert offer(recent, second) == [second]


def test_prices_that_jump_all_the_time_are_not_doubtful() -> None:
    luck = random.Random(5)
    recent = Recent(DOUBTS)
    wild = prints(*[100.0 * luck.uniform(0.9, 1.1) for _ in range(500)])
    found = decided(recent, wild)
    assert sum(bool(one.flags) for one in found[50:]) == 0


def test_a_suspect_of_before_is_remembered_as_one() -> None:
    recent = Recent(DOUBTS)
    past = prints(100.0, 100.1, 1000.0)
    recent.remember([print_(9, 70.0, 0.0, int(Flag.HISTORY)), *past[:2], print_(2, 1000.0, 0.2, SUSPECT)])
    witness = print_(3, 1001.0, 60.0)
    assert offer(recent, witness) == [witness]


def test_what_is_no_price_of_now_passes_untouched() -> None:
    recent, _ = calm()
    snapshot = print_(1, 500.0, 100.0, int(Flag.HISTORY))
    old = print_(2, 500.0, 0.5)
    assert offer(recent, snapshot) == [snapshot]
    assert offer(recent, old) == [old]
    held = print_(3, 500.0, 3.0)
    assert offer(recent, held) == []
    assert offer(recent, old) == [old]
    assert recent.held is held


def test_the_first_print_is_believed_and_outvoted_if_it_was_bad() -> None:
    assert said(decided(Recent(DOUBTS), prints(1000.0, 100.0, 100.1, 100.0))) == [
        (1000.0, False), (100.0, False), (100.1, False), (100.0, False),
    ]  # fmt: skip


PRICE = st.sampled_from([100.0, 100.5, 104.0, 110.0, 111.0, 90.0, 1000.0, 1.0])
PAUSE = st.sampled_from([0.0, 0.1, 1.5, 2.5])
PRICES = st.lists(st.tuples(PRICE, PAUSE), min_size=1, max_size=60)


def walk(steps: Sequence[tuple[float, float]]) -> list[Trade]:
    at, found = 0.0, []
    for number, (price, pause) in enumerate(steps):
        at += pause
        found.append(print_(number, price, at))
    return found


@settings(max_examples=200, deadline=None)
@given(steps=PRICES, kills=st.lists(st.integers(0, 60), max_size=6))
def test_a_kill_anywhere_changes_nothing(steps: list[tuple[float, float]], kills: list[int]) -> None:
    """Killed, it loses what is held; what is stored is read again, and the venue tells the rest again."""
    trades = walk(steps)
    recent = Recent(DOUBTS)
    straight = decided(recent, trades)
    straight += recent.silence()
    stored: list[Trade] = []
    recent = Recent(DOUBTS)
    for number, trade in enumerate(trades):
        stored += offer(recent, trade)
        if number in kills:
            recent = Recent(DOUBTS)
            recent.remember(stored[-2 * DOUBTS.window :])
            for again in trades[len(stored) : number + 1]:
                stored += offer(recent, again)
    stored += recent.silence()
    assert stored == straight


@settings(max_examples=200, deadline=None)
@given(steps=PRICES)
def test_every_print_comes_out_once_and_in_order(steps: list[tuple[float, float]]) -> None:
    trades = walk(steps)
    recent = Recent(DOUBTS)
    found = decided(recent, trades) + recent.silence()
    assert [one.key for one in found] == [one.key for one in trades]
    assert [(one.price, one.at) for one in found] == [(one.price, one.at) for one in trades]


def test_poison_among_many_is_flagged_and_nothing_else() -> None:
    luck = random.Random(7)
    price, trades, bad = 60_000.0, [], set()
    for number in range(100_000):
        price *= 1 + luck.gauss(0, 0.0002)
        poison = number > 100 and luck.random() < 0.001
        if poison:
            bad.add(number)
        trades.append(print_(number, price * 10 if poison else price, number * 0.05))
    found = decided(Recent(DOUBTS), trades)
    assert {one.key for one in found if one.flags & SUSPECT} == bad
    assert len(found) == len(trades)
