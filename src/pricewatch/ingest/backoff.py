"""When to try again: full jitter, a cap, slow forgiveness and a limit on attempts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pricewatch.ingest.settings import VenueSettings


class Backoff:
    """Waits between connection attempts. Never gives up; never more than the allowed attempts a window."""

    def __init__(self, settings: VenueSettings, luck: Callable[[], float]) -> None:
        self._settings = settings
        self._luck = luck
        self._attempts: deque[float] = deque(maxlen=settings.attempts)
        self.failures = 0

    def began(self, now: float) -> None:
        """An attempt is made now (monotonic seconds)."""
        self._attempts.append(now)

    def ration(self, now: float) -> float:
        """Seconds until the next attempt is within the allowed number."""
        if len(self._attempts) < self._settings.attempts:
            return 0.0
        return max(0.0, self._attempts[0] + self._settings.attempts_window - now)

    def after(self, lived: float, now: float, retry_after: float | None = None) -> float:
        """Seconds to wait after a connection that lived so long; 0 for one that never opened."""
        settings = self._settings
        self.failures = 0 if lived >= settings.forgive_after else self.failures + 1
        ceiling = min(settings.backoff_cap, settings.backoff_base * 2.0 ** min(self.failures, 30))
        return max(ceiling * self._luck(), self.ration(now), retry_after or 0.0)


def doubled(base: float, cap: float, attempt: int) -> float:
    """The wait before repeat number `attempt` (from 0), without luck."""
    return min(cap, base * 2.0 ** min(attempt, 30))
