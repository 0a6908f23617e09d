"""When a failed delivery is tried again: a pure schedule."""

from __future__ import annotations

from typing import NamedTuple


class Backoff(NamedTuple):
    """Doubles from `first` to `cap` seconds, for `span` seconds after the delivery was written."""

    first: float
    cap: float
    span: float

    def after(self, attempts: int, waited: float) -> float | None:
        """Seconds until the next attempt; None when its time is up. The last attempt falls on the end of the span.

        `attempts` were begun so far (at least one), `waited` seconds have gone by since it was written.
        """
        left = self.span - waited
        if left <= 0:
            return None
        doubled = self.first * 2.0 ** min(max(attempts - 1, 0), 60)
        return max(0.001, min(doubled, self.cap, left))
