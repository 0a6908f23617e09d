"""When what is fitted next: pure, in seconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Schedule(Generic[K]):
    """New ones are due at once; `luck` gives numbers in [0, 1) that keep them apart later."""

    def __init__(self, look: float, jitter: float, luck: Callable[[], float]) -> None:
        """`look` is the longest wait: new ones may have come meanwhile."""
        self._look = look
        self._jitter = jitter
        self._luck = luck
        self._due: dict[K, float] = {}

    def know(self, keys: Iterable[K], now: float) -> None:
        """These exist; those not known before are due now."""
        for key in keys:
            self._due.setdefault(key, now)

    def rouse(self, key: K, now: float) -> None:
        """Due now, whatever was planned; unknown ones are passed over."""
        if key in self._due:
            self._due[key] = min(now, self._due[key])

    def take(self, now: float) -> K | None:
        """The one that has been due longest."""
        key = min(self._due, key=self._due.__getitem__, default=None)
        return key if key is not None and self._due[key] <= now else None

    def put_off(self, key: K, now: float, span: float) -> None:
        """Again in about `span` seconds."""
        self._due[key] = now + span * (1 + self._jitter * (2 * self._luck() - 1))

    def wait(self, now: float) -> float:
        """Seconds until something may be due, the look for new ones included."""
        return max(0.0, min([self._look, *(due - now for due in self._due.values())]))
