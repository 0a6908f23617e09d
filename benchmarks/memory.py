"""`memory`: what a market costs in memory: the engine's state and all models', after a day and more of minutes."""

from __future__ import annotations

import gc
import json
import random
import sys
import uuid
from collections.abc import Callable, Sequence

import msgspec
import psutil

from benchmarks.rig import child_json
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.time import DAY, MINUTE, SECOND
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.rules.document import parse

HEAD = ["engine, models and forecasts", "markets", "minutes a market", "trades", "a market", "limit"]
LIMIT = 2_048
"""KiB a market."""
_START = 1_700_000_000 * SECOND
_BURST = 50
"""Trades a second and market at 10,000 a second over 200 markets, for the last seconds of the load."""
_SECONDS = 60


def run(*, quick: bool, say: Callable[[str], None]) -> list[list[str]]:
    """Rows: resident memory of a process of its own with the markets, less that of one without, a market."""
    markets, minutes = (5, 60) if quick else (200, 1_500)
    rows = []
    for name, rules in (("no rule", 0), ("1,000 threshold rules a market", 1_000)):
        say(f"{markets} markets, {minutes} minutes each, {name}")
        none, all_ = (_weighed(count, minutes, rules) for count in (0, markets))
        each = (all_["resident"] - none["resident"]) / markets / 1024
        figures = (str(markets), f"{minutes:,}", f"{all_['trades']:,}", f"{each:,.0f} KiB", f"{LIMIT:,} KiB")
        rows.append([name, *figures])
    return rows


def _weighed(markets: int, minutes: int, rules: int) -> dict[str, int]:
    found: dict[str, int] = child_json(
        ["-m", "benchmarks.memory", str(markets), str(minutes), str(rules)], within=1_800
    )
    return found


def loaded(markets: int, minutes: int, rules: int) -> tuple[Engine, int]:
    """An engine that has seen that much, and how many trades that were."""
    engine, luck = Engine(EngineSettings()), random.Random(7)
    for number in range(1, markets + 1):
        symbol = f"M{number:04d}-USDT"
        engine.add_market(Market(number, "binance", symbol, f"M{number:04d}USDT"))
        engine.activate(_forecast(number, _START + minutes * MINUTE), 1)
        for rule in range(rules):
            _arm(engine, symbol, rule)
    prices = dict.fromkeys(range(1, markets + 1), 100.0)
    trades = seen = 0
    for at in _instants(minutes):
        for market in prices:
            prices[market] = price = round(prices[market] * (1.0 + luck.gauss(0.0, 2e-4)), 4)
            trades += 1
            seen = max(seen + 1, at)
            engine.trade(Trade(market, at, price, luck.expovariate(1.0), 1, trades, at), seen)
        engine.transitions.clear()
    return engine, trades


def _instants(minutes: int) -> Sequence[int]:
    """Twice a minute, then as often as lively markets trade."""
    calm = [_START + place * MINUTE // 2 for place in range(2 * minutes)]
    return calm + [_START + minutes * MINUTE + place * SECOND // _BURST for place in range(_BURST * _SECONDS)]


def _forecast(market: int, at: int) -> Forecast:
    rows = [ForecastRow(at + place * MINUTE, 100.0, 99.0, 101.0) for place in range(240)]
    version = uuid.UUID(int=market)
    return Forecast(version, market, "prophet", 0, at, 2_016, 0.95, MINUTE, at + DAY, rows)


def _arm(engine: Engine, symbol: str, number: int) -> None:
    """Far away on both sides: they sleep. Each is a document of its own."""
    away = (0.5 + 0.4 * number / 1_000) * (1 if number % 2 else -1)
    document = {
        "title": "a rule",
        "symbols": [symbol],
        "when": {"type": "above" if number % 2 else "below", "level": f"{100 * (1 + away):.4f}"},
    }
    engine.arm(ActiveRule(uuid.uuid4(), uuid.UUID(int=0), 1, parse(msgspec.json.encode(document)), 0))


def main(words: Sequence[str]) -> None:
    """Load as told, and print what it weighs."""
    markets, minutes, rules = map(int, words)
    engine, trades = loaded(markets, minutes, rules)
    gc.collect()
    resident = psutil.Process().memory_info().rss
    print(json.dumps({"resident": resident, "trades": trades, "failures": engine.failures}))


if __name__ == "__main__":
    main(sys.argv[1:])
