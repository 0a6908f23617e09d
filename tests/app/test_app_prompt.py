from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from pricewatch.app.prompt import SLICE, prompt

T = TypeVar("T")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")


def apart(act: Callable[[], T]) -> T:
    """In a thread of its own: what is asked for here is asked for one thread."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join()
    return found[0]


def test_the_turn_in_force_is_told() -> None:
    told = apart(prompt)
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if told is None or release < (6, 12):
        pytest.skip("this system has no turns to ask for")
    assert told == SLICE
    assert apart(lambda: (prompt(), prompt(3_000_000))) == (SLICE, 3_000_000)


def test_its_nice_value_stays() -> None:
    def niced() -> tuple[int, int]:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        prompt()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), os.sched_getscheduler(0) & 0xFF

    assert apart(niced) == (19, os.SCHED_OTHER)


def test_threads_started_later_ask_for_nothing() -> None:
    def both() -> tuple[int | None, int | None]:
        own = prompt(200_000)
        return own, apart(lambda: prompt(0))  # nought asks for the usual turn, and tells it

    own, later = apart(both)
    if own is None:
        pytest.skip("this system has no turns to ask for")
    assert later != own


def test_another_policy_stands() -> None:
    def batch() -> tuple[int | None, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return prompt(), os.sched_getscheduler(0) & 0xFF

    assert apart(batch) == (None, os.SCHED_BATCH)


def test_an_unknown_processor_is_not_asked() -> None:
    assert prompt(machine="vax") is None
