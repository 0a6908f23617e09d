from __future__ import annotations

import pytest

from pricewatch.delivery.channels.holds import Holds
from pricewatch.delivery.channels.retry_after import wait_of
from pricewatch.domain.time import HOUR, SECOND
from pricewatch.testing.deliveries import NOON


def test_pauses_double_to_the_cap_and_end_with_success() -> None:
    holds, now = Holds(5.0, 60.0), NOON
    waits = []
    for _ in range(6):
        holds.failed("a", now=now)
        wait = 1
        while holds.held(now + wait * SECOND):
            wait += 1
        waits.append(wait)
        now += wait * SECOND
    assert waits == [5, 10, 20, 40, 60, 60]
    holds.worked("a")
    holds.worked("b")
    holds.failed("a", now=now)
    assert holds.held(now) == ["a"]
    assert holds.held(now + 5 * SECOND) == []


def test_what_it_asks_for_counts_if_it_is_longer() -> None:
    holds = Holds(5.0, 60.0)
    holds.failed("a", now=NOON, wait=300.0)
    holds.failed("b", now=NOON, wait=1.0)
    assert holds.held(NOON + 4 * SECOND) == ["a", "b"]
    assert holds.held(NOON + 299 * SECOND) == ["a"]


def test_old_troubles_are_forgotten() -> None:
    holds = Holds(5.0, 60.0)
    for _ in range(5):
        holds.failed("a", now=NOON)
    assert holds.held(NOON + HOUR + 61 * SECOND) == []
    holds.failed("a", now=NOON + 2 * HOUR)
    assert holds.held(NOON + 2 * HOUR + 5 * SECOND) == []


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("9" * 30, None),
        ("Sat, 31 Jan 2026 14:05:00 GMT", 120.0),
        ("Sat, 31 Jan 2026 13:00:00 GMT", 0.0),
        ("Sat, 31 Jan 2026 14:05:00 -0000", None),
        ("Sat, 99 Jan 2026 14:05:00 GMT", None),
        ("soon", None),
    ],
)
def test_retry_after_is_read(text: str | None, wait: float | None) -> None:
    assert wait_of(text, now=NOON) == wait
