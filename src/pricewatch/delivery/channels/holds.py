"""Endpoints in trouble are left alone for a while, so that they cost the others nothing."""

from __future__ import annotations

from typing import NamedTuple

from pricewatch.delivery.backoff import Backoff
from pricewatch.domain.time import HOUR, SECOND


class _Hold(NamedTuple):
    until: int
    failures: int


class Holds:
    """By target: how often it failed in a row, and until when (µs) nothing is sent to it.

    Pauses double from `first` to `cap` seconds. A process knows its own troubles only, and forgets them at its end.
    """

    def __init__(self, first: float, cap: float) -> None:
        self._backoff = Backoff(first, cap, 2 * cap)
        self._held: dict[str, _Hold] = {}

    def failed(self, target: str, *, now: int, wait: float = 0.0) -> None:
        """It is in trouble; `wait` seconds where it said so itself."""
        before = self._held.get(target)
        failures = 1 if before is None else before.failures + 1
        pause = max(self._backoff.after(failures, 0.0) or 0.0, wait)
        self._held[target] = _Hold(now + round(pause * SECOND), failures)

    def worked(self, target: str) -> None:
        """It is well."""
        self._held.pop(target, None)

    def held(self, now: int) -> list[str]:
        """Those to be left alone now; who was heard of last an hour ago is forgotten."""
        self._held = {target: hold for target, hold in self._held.items() if hold.until > now - HOUR}
        return [target for target, hold in self._held.items() if hold.until > now]
