from __future__ import annotations

import itertools

import pytest

from pricewatch.domain.rule import Phase
from pricewatch.rules.composite import Memory, Progress, Truth, dump, load
from pricewatch.rules.conditions.above import Above
from pricewatch.rules.conditions.group import And, Not, Or
from pricewatch.rules.conditions.sequence import Then

ONE = Above(1.0, 1.0)
S = 1_000_000
TRUTHS: tuple[Truth, ...] = (True, False, None)


def judged(when: And | Or | Not, *truths: Truth) -> Truth:
    return when.judge(Memory(list(truths), []), 1)


@pytest.mark.parametrize(("one", "two"), [*itertools.product(TRUTHS, TRUTHS)])
def test_what_is_unknown_stays_unknown_unless_it_does_not_matter(one: Truth, two: Truth) -> None:
    both, either = And((ONE, ONE)), Or((ONE, ONE))
    assert judged(both, one, two) is (False if False in {one, two} else None if None in {one, two} else True)
    assert judged(either, one, two) is (True if True in {one, two} else None if None in {one, two} else False)
    assert judged(Not((ONE,)), one) is (None if one is None else not one)
    opposite = judged(Not((both,)), one, two)
    assert opposite is judged(Or((Not((ONE,)), Not((ONE,)))), one, two)


def walk(when: Then, *looks: tuple[int, Truth, Truth]) -> list[Truth]:
    memory = when.memory()
    said = []
    for second, *truths in looks:
        memory.truths = list(truths)
        memory = load(when, dump(memory))
        said.append(when.judge(memory, second * S))
    return said


def test_a_sequence_remembers_how_far_it_has_come() -> None:
    when = Then((ONE, ONE), 10 * S)
    assert walk(when, (1, False, False), (2, True, False), (12, True, True), (13, False, True), (14, True, False)) == [
        False, False, True, True, False,
    ]  # fmt: skip
    assert walk(when, (1, False, False), (2, True, False), (13, True, True)) == [False, False, False]
    assert walk(when, (1, None, False), (2, True, False), (3, True, True)) == [False, False, False]
    assert walk(when, (1, False, False), (2, True, True)) == [False, False]


def test_the_newest_beginning_counts() -> None:
    when = Then((ONE, ONE), 10 * S)
    looks: list[tuple[int, Truth, Truth]] = [
        (1, False, False), (2, True, False), (8, False, False), (9, True, False), (15, True, True),
    ]  # fmt: skip
    assert walk(when, *looks)[-1] is True


def test_inner_sequences_have_a_progress_of_their_own() -> None:
    when = Or((Then((ONE, Then((ONE, ONE), S)), S), And((ONE, Then((ONE, ONE, ONE), S)))))
    memory = when.memory()
    assert memory.truths == [None] * 7
    assert [len(one.starts) for one in memory.sequences] == [2, 2, 3]


def test_a_memory_of_another_shape_is_a_fresh_one() -> None:
    when = Then((ONE, ONE), S)
    other = dump(Memory([None, None], [Progress([0], [None])]))
    for payload in (b"", b"\x00", dump(Memory([None], [])), other):
        assert load(when, payload) == when.memory()


def test_a_group_is_a_condition_on_its_own_truth() -> None:
    when = And((ONE, ONE))
    assert (when.level, when.clear, when.needs().name) == (0.5, 0.5, "group")
    assert (when.begins(0.0, 1.0), when.holds(1.0), when.cleared(0.0), when.holds(0.0)) == (True, True, True, False)
    assert when.triggers(Phase.FIRING, 1.0) == (float("inf"), 0.5)
    assert (when.evidence(), Then((ONE, ONE), 5 * S).evidence()) == ({}, {"within": 5.0})
