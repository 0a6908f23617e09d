"""When what is fitted next: pure, in seconds of a monotonic clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
STEADY = 10


class Schedule(Generic[K]):
    """New ones are due at once; `luck` gives numbers in [0, 1) that keep them apart later.

    Each call takes the logarithm of the number of keys at most, but for a tidying up now and then.
    """

    def __init__(self, look: float, jitter: float, luck: Callable[[], float]) -> None:
        """`look` is the longest wait: new ones may have come meanwhile."""
        self._look = look
        self._jitter = jitter
        self._luck = luck
        self._due: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        """Every plan ever made and not yet met; those that are no key's present plan are passed over."""
        self._turn = itertools.count()

    def know(self, keys: Iterable[K], now: float) -> None:
        """These exist; those not known before are due now."""
        for key in keys:
            if key not in self._due:
                self._plan(key, now)

    def rouse(self, key: K, now: float) -> None:
        """Due now, whatever was planned; unknown ones are passed over."""
        if key in self._due and now < self._due[key][0]:
            self._plan(key, now)

    def take(self, now: float) -> K | None:
        """The one that has been due longest; it stays due until it is put off."""
        due, key = self._first()
        return key if due <= now else None

    def put_off(self, key: K, now: float, span: float) -> None:
        """Again in about `span` seconds."""
        self._plan(key, now + span * (1 + self._jitter * (2 * self._luck() - 1)))

    def wait(self, now: float) -> float:
        """Seconds until something may be due, the look for new ones included."""
        due, _ = self._first()
        return max(0.0, min(self._look, due - now))

    def _plan(self, key: K, due: float) -> None:
        turn = next(self._turn)
        self._due[key] = (due, turn)
        if len(self._heap) > 2 * len(self._due):
            self._heap = [(due, turn, key) for key, (due, turn) in self._due.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (due, turn, key))

    def _first(self) -> tuple[float, K | None]:
        while self._heap:
            due, turn, key = self._heap[0]
            if self._due[key] == (due, turn):
                return due, key
            heapq.heappop(self._heap)
        return float("inf"), None


class Patience(Generic[K]):
    """How long to wait after tries that brought nothing: the first span `STEADY` times, then twice as long each time.

    Histories are filled within minutes of a start, or not for hours.
    """

    def __init__(self, first: float) -> None:
        """`first` in seconds."""
        self._first = first
        self._tries: dict[K, int] = {}

    def after(self, key: K, most: float) -> float:
        """Seconds until the next try, `most` at most; this one counts."""
        tries = self._tries[key] = min(self._tries.get(key, 0) + 1, STEADY + 64)
        return min(most, self._first * 2.0 ** max(0, tries - STEADY))

    def forget(self, key: K) -> None:
        """It has brought something."""
        self._tries.pop(key, None)
