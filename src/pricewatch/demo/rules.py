"""The demo's rules: one of each kind, placed where the scripted market will go."""

from __future__ import annotations

import json
import uuid
from typing import Any

_NAMESPACE = uuid.UUID("0b7f6a52-6f43-5c6e-8d0a-5b7f0a0d3c11")

_DOCUMENTS: tuple[dict[str, Any], ...] = (
    {
        "title": "BTC above 65,000",
        "symbols": ["BTC-USD"],
        "venues": ["coinbase"],
        "when": {"type": "above", "level": "65000"},
        "policy": {"channels": ["email"]},
    },
    {
        "title": "BTC back below 65,000",
        "symbols": ["BTC-USD"],
        "venues": ["coinbase"],
        "when": {"type": "below", "level": "65000"},
        "policy": {"severity": "warning"},
    },
    {
        "title": "BTC crosses 64,950 upwards",
        "symbols": ["BTC-USD"],
        "venues": ["coinbase"],
        "when": {"type": "crosses", "direction": "up", "level": "64950"},
    },
    {
        "title": "BTC crosses 64,950 downwards",
        "symbols": ["BTC-USD"],
        "venues": ["coinbase"],
        "when": {"type": "crosses", "direction": "down", "level": "64950"},
    },
    {
        "title": "ETH above 3,500 (one signal while it swings)",
        "symbols": ["ETH-USD"],
        "venues": ["coinbase"],
        "when": {"type": "above", "level": "3500"},
    },
    {
        "title": "SOL moves 1 % in 5 s",
        "symbols": ["SOL-USD"],
        "when": {"type": "change", "window": "5s", "percent": "1%", "direction": "either"},
        "policy": {"severity": "warning", "channels": ["email"]},
    },
    {
        "title": "ETH-USDT behaves strangely",
        "symbols": ["ETH-USDT"],
        "when": {"type": "anomaly", "score": "3"},
        "policy": {"severity": "warning", "channels": ["email"], "cooldown": "10s"},
    },
    {
        "title": "BTC-USDT outside its forecast band",
        "symbols": ["BTC-USDT"],
        "when": {"type": "outside_band"},
        "policy": {"severity": "critical", "channels": ["email"]},
    },
    {
        "title": "BTC-USDT above 66,500 for 5 s",
        "symbols": ["BTC-USDT"],
        "when": {"type": "above", "level": "66500"},
        "policy": {"for": "5s", "channels": ["email"]},
    },
)


def documents() -> list[tuple[uuid.UUID, bytes]]:
    """Rule ids and documents: the same in every run, so that signals can be compared between runs."""
    return [(uuid.uuid5(_NAMESPACE, one["title"]), json.dumps(one).encode()) for one in _DOCUMENTS]
