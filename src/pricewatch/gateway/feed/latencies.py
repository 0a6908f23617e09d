"""How long signals take on their way, since the start and of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Latencies:
    """From the frame's arrival to the last socket's write, for the newest 10,000 signals, in microseconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=10_000)
        self.count = 0

    def add(self, now: int, micros: int) -> None:
        """One signal, delivered now."""
        self._samples.append((now, micros))
        self.count += 1

    def quantiles(self, *wanted: float) -> list[float | None]:
        """In seconds; None while there is nothing."""
        return _quantiles(sorted(micros for _, micros in self._samples), wanted)

    def status(self, now: int, window: float) -> dict[str, object]:
        """For `/status`; `recent` covers what was delivered in the last `window` seconds."""
        p50, p99 = self.quantiles(0.5, 0.99)
        since = now - round(window * 1e6)
        recent = sorted(micros for at, micros in self._samples if at >= since)
        middle, high, worst = _quantiles(recent, (0.5, 0.99, 1.0))
        return {
            "count": self.count,
            "p50": p50,
            "p99": p99,
            "recent": {"seconds": window, "count": len(recent), "p50": middle, "p99": high, "worst": worst},
        }


def _quantiles(ordered: Sequence[int], wanted: Sequence[float]) -> list[float | None]:
    last = len(ordered) - 1
    return [ordered[round(last * one)] / 1e6 if ordered else None for one in wanted]
