"""When which market is fitted next: pure, in seconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Schedule:
    """New markets are due at once; `luck` gives numbers in [0, 1) that keep markets apart."""

    def __init__(self, interval: float, retry: float, jitter: float, luck: Callable[[], float]) -> None:
        self._interval = interval
        self._retry = retry
        self._jitter = jitter
        self._luck = luck
        self._due: dict[int, float] = {}

    def know(self, markets: Iterable[int], now: float) -> None:
        """These exist; those not known before are due now."""
        for market in markets:
            self._due.setdefault(market, now)

    def take(self, now: float) -> int | None:
        """The market that has been due longest."""
        market = min(self._due, key=self._due.__getitem__, default=None)
        return market if market is not None and self._due[market] <= now else None

    def done(self, market: int, now: float) -> None:
        """Fitted: again after the interval."""
        self._put_off(market, now, self._interval)

    def failed(self, market: int, now: float) -> None:
        """Too few candles, or no fit: again before long."""
        self._put_off(market, now, min(self._retry, self._interval))

    def wait(self, now: float) -> float:
        """Seconds until something may be due, the look for new markets included."""
        return max(0.0, min([self._retry, *(due - now for due in self._due.values())]))

    def _put_off(self, market: int, now: float, span: float) -> None:
        self._due[market] = now + span * (1 + self._jitter * (2 * self._luck() - 1))
