from __future__ import annotations

from typing import Any

from pricewatch.gateway.feed.latencies import Latencies


def test_what_is_recent_is_told_apart() -> None:
    latencies = Latencies()
    assert latencies.status(0, 60.0)["recent"] == {"seconds": 60.0, "count": 0, "p50": None, "p99": None, "worst": None}
    latencies.add(1_000_000, 900_000)
    for number in range(1, 4):
        latencies.add(100_000_000 + number, number * 1_000)
    told: dict[str, Any] = latencies.status(110_000_000, 60.0)
    assert told["count"] == 4
    assert told["p99"] == 0.9
    assert told["recent"] == {"seconds": 60.0, "count": 3, "p50": 0.002, "p99": 0.003, "worst": 0.003}
