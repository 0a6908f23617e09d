"""Builders of signals and deliveries."""

from __future__ import annotations

import uuid
from typing import Any

from pricewatch.domain.signal import Direction, Signal
from pricewatch.ports.outbox import Delivery

NOON = 1_769_868_180_000_000
"""2026-01-31 14:03:00 UTC."""


def some_signal(**changes: Any) -> Signal:
    """BTC-USD went above 70,000."""
    fields: dict[str, Any] = {
        "id": uuid.UUID(int=1),
        "account_id": uuid.UUID(int=2),
        "rule_id": uuid.UUID(int=3),
        "rule_version": 1,
        "title": "Bitcoin is dear",
        "kind": "above",
        "severity": "warning",
        "direction": Direction.FIRED,
        "scope": "coinbase:BTC-USD",
        "market": 1,
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "cause": "trade:1",
        "at": NOON,
        "seen": NOON + 60_000,
        "received": NOON + 50_000,
        "price": 70_012.4,
        "since": NOON,
        "evidence": {"v": 1, "threshold": "70000", "clear": "69930"},
        "channels": ("email",),
    }
    return Signal(**fields | changes)


def some_delivery(signal: Signal | None = None, **changes: Any) -> Delivery:
    """The first attempt at mailing it, right away."""
    fields: dict[str, Any] = {
        "id": uuid.UUID(int=4),
        "account_id": uuid.UUID(int=2),
        "channel": "email",
        "target": "ann@example.org",
        "signal": signal or some_signal(),
        "attempts": 1,
        "queued": NOON + 70_000,
        "token": uuid.UUID(int=5),
    }
    return Delivery(**fields | changes)
