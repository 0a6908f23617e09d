"""`engine`: the dearest trade there is for one rule: the largest documents, and the end of a long silence."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec

from benchmarks.machine import median
from benchmarks.source import adapter
from pricewatch.domain.market import Market, Trade
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.rules.document import parse

HEAD = ["one rule", "a trade, median", "dearest of 3 runs, median"]
_SECOND = 1_000_000
_LEVELS = [{"type": "above", "level": f"{100 + number / 100}"} for number in range(49)]
_DAY = 86_400
_WINDOWS: dict[str, dict[str, Any]] = {
    "volume, 1 min of an hour": {"type": "volume", "times": 3},
    "volume, 1 h of 23 h": {"type": "volume", "times": 3, "window": "1h", "baseline": "23h"},
    "volatility, 1 h of 23 h": {"type": "volatility", "times": 3, "window": "1h", "baseline": "23h"},
    "trailing, 24 h": {"type": "trailing", "percent": 5},
    "change, 24 h": {"type": "change", "window": "24h", "percent": 3},
}
_MANY: dict[str, list[dict[str, Any]]] = {
    "volumes, an hour of 22": [
        {"type": "volume", "times": 3, "window": f"{3_600 - number}s", "baseline": "22h"} for number in range(49)
    ],
    "extremes, a day": [{"type": "extreme", "of": "high", "window": f"{_DAY - 60 * number}s"} for number in range(49)],
    "changes, a day": [{"type": "change", "percent": 3, "window": f"{_DAY - 60 * number}s"} for number in range(49)],
}
"""As many members as a document may have, each on a window of its own."""


def run(*, quick: bool) -> list[list[str]]:
    """Rows: the rule, CPU µs of a usual trade, and of the dearest one."""
    group = {"type": "or", "of": _LEVELS}
    rows = [_row("49 members of a group, all changing", group, _swings(200 if quick else 2_000))]
    rows += [
        _row(f"{name}, after {hours} h of silence", when, _silence(hours, 2_000 if quick else 43_000))
        for name, when in _WINDOWS.items()
        for hours in (12, 30)
    ]
    rows += [
        _row(f"49 {name}, after 12 h of silence", {"type": "or", "of": members}, _silence(12, 500 if quick else 43_000))
        for name, members in _MANY.items()
    ]
    return rows


def _row(name: str, when: dict[str, Any], prices: list[tuple[int, float]]) -> list[str]:
    usual, dearest = zip(*(_timed(when, prices) for _ in range(3)), strict=True)
    return [name, f"{1e6 * median(list(usual)):.1f} µs", f"{1e6 * median(list(dearest)):.0f} µs"]


def _timed(when: dict[str, Any], prices: list[tuple[int, float]]) -> tuple[float, float]:
    market: Market = adapter("binance", ("M0001-USDT",)).markets["M0001USDT"]
    engine = Engine(EngineSettings(models=False))
    engine.add_market(market)
    document = {"title": "a rule", "symbols": "*", "when": when}
    engine.arm(ActiveRule(uuid.UUID(int=1), uuid.UUID(int=0), 1, parse(msgspec.json.encode(document)), 0))
    took = []
    for number, (at, price) in enumerate(prices, 1):
        trade = Trade(market.id, at, price, 1.0, 0, number, at, 0)
        began = time.thread_time()
        engine.trade(trade, at + number)
        took.append(time.thread_time() - began)
        engine.transitions = []
    return median(took), max(took[-300:])


def _swings(count: int) -> list[tuple[int, float]]:
    return [((number + 1) * _SECOND, 99.0 if number % 2 else 101.0) for number in range(count)]


def _silence(hours: int, count: int) -> list[tuple[int, float]]:
    """A falling price every other second, a burst of 20,000 (or as many as before) in one, silence, and a rise."""
    falling = [((number + 1) * 2 * _SECOND, round(1_000 - number / 200, 3)) for number in range(count)]
    last, low = falling[-1]
    burst = [(last + number, round(low - number / 100_000, 5)) for number in range(1, min(count, 20_000) + 1)]
    begin = last + hours * 3_600 * _SECOND
    return [*falling, *burst, *((begin + number * _SECOND, 1_001.0 + number) for number in range(300))]
