"""`engine`: one trade through the engine, however many rules sleep; and our signals beside the naive reference's."""

from __future__ import annotations

import asyncio
import time
import uuid

import msgspec

from benchmarks.machine import median
from benchmarks.naive import NAMESPACE, NaiveRule, NaiveService
from benchmarks.source import START, Frames, adapter, frames, made
from pricewatch.domain.market import Trade
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.exchanges.base import Output
from pricewatch.rules.document import parse

HEAD = ["rules on the market", "models", "a trade", "to 10 rules"]
NAIVE_HEAD = ["frames", "rules", "ours, CPU a tick", "naive, CPU a tick", "ratio", "signals, equal"]
_SYMBOLS = ("M0001-USDT",)


def run(*, quick: bool) -> list[list[str]]:
    """Rows: rules, models on, µs a trade, ratio to 10 rules."""
    count, repetitions = (300, 2) if quick else (20_000, 5)
    source = made("binance", count, _SYMBOLS)
    trades = _trades(source)
    figures: dict[tuple[int, bool], list[float]] = {}
    for _ in range(repetitions):
        for models in (True, False):
            for rules in (0, 10, 1_000, 10_000):
                figures.setdefault((rules, models), []).append(_timed(trades, rules, models=models))
    middle = {key: 1e6 * median(took) / len(trades) for key, took in figures.items()}
    return [
        [f"{rules:,}", "on" if models else "off", f"{micros:.2f} µs", f"{micros / middle[10, models]:.2f}"]
        for (rules, models), micros in middle.items()
    ]


def _timed(trades: list[Trade], rules: int, *, models: bool) -> float:
    """Rules that sleep: far away on both sides."""
    engine = _engine(models=models)
    middle = trades[0].price
    for number in range(rules):
        away = (0.2 + 0.5 * number / max(rules, 1)) * (1 if number % 2 else -1)
        kind = "above" if number % 2 else "below"
        _arm(engine, uuid.UUID(int=number + 1), kind, f"{middle * (1 + away):.6f}")
    engine.trade(trades[0], 1)
    began = time.perf_counter()
    for seen, trade in enumerate(trades[1:], 2):
        engine.trade(trade, seen)
    return time.perf_counter() - began


def _engine(*, models: bool) -> Engine:
    engine = Engine(EngineSettings(models=models))
    engine.add_market(adapter("binance", _SYMBOLS).markets["M0001USDT"])
    return engine


def _arm(engine: Engine, rule: uuid.UUID, kind: str, level: str) -> None:
    document = {"title": "a rule", "symbols": "*", "when": {"type": kind, "level": level}}
    engine.arm(ActiveRule(rule, uuid.UUID(int=0), 1, parse(msgspec.json.encode(document)), 0))


def _trades(source: Frames) -> list[Trade]:
    exchange = adapter("binance", source.symbols)
    out: list[Output] = []
    for frame in source.frames:
        exchange.receive(frame, START, out)
    return [one for one in out if isinstance(one, Trade)]


# -- beside the naive reference ---------------------------------------------------------------------------------------


def levels(source: Frames, count: int) -> list[tuple[uuid.UUID, str]]:
    """`above` rules over the prices' whole range."""
    prices = [trade.price for trade in _trades(source)]
    low, high = min(prices), max(prices)
    return [
        (uuid.UUID(int=number + 1), f"{low + (high - low) * (number + 0.5) / count:.5f}") for number in range(count)
    ]


def ours(source: Frames, rules: list[tuple[uuid.UUID, str]]) -> tuple[list[uuid.UUID], float]:
    """Signal ids by the reference's naming, and CPU seconds from frame to signal."""
    exchange = adapter("binance", source.symbols)
    market = next(iter(exchange.markets.values()))
    engine = Engine(EngineSettings())
    engine.add_market(market)
    for rule, level in rules:
        _arm(engine, rule, "above", level)
    ids: list[uuid.UUID] = []
    out: list[Output] = []
    seen = 0
    began = time.process_time()
    for frame in source.frames:
        exchange.receive(frame, START, out)
        for trade in out:
            if isinstance(trade, Trade):
                seen += 1
                engine.trade(trade, seen)
        out.clear()
        if engine.transitions:
            told = [one.signal for one in engine.transitions if one.signal is not None]
            ids += [uuid.uuid5(NAMESPACE, f"{s.rule_id}/1/{s.scope}/{s.cause}/{s.direction.value}") for s in told]
            engine.transitions.clear()
    return ids, time.process_time() - began


async def _naive(source: Frames, rules: list[tuple[uuid.UUID, str]]) -> tuple[list[uuid.UUID], float]:
    market = next(iter(adapter("binance", source.symbols).markets.values()))
    service = NaiveService(
        [NaiveRule(rule, market.key, level) for rule, level in rules], None, {market.native: market.key}
    )
    began = time.process_time()
    for frame in source.frames:
        await service.feed(frame.decode())
        await service.work(1)
    return service.signals, time.process_time() - began


def naive(source: Frames, rules: list[tuple[uuid.UUID, str]]) -> tuple[list[uuid.UUID], float]:
    """As `ours`, by the reference; without its INSERT a trade, which would only slow it further."""
    return asyncio.run(_naive(source, rules))


def run_naive(*, quick: bool) -> list[list[str]]:
    """One row: the same frames and 1,000 rules through both; models on in ours."""
    source = frames("binance", 200 if quick else 3_000)
    rules = levels(source, 50 if quick else 1_000)
    repetitions = 1 if quick else 3
    mine, theirs = [], []
    equal, signals = True, 0
    for _ in range(repetitions):
        (first, took), (second, longer) = ours(source, rules), naive(source, rules)
        mine.append(took)
        theirs.append(longer)
        equal, signals = equal and sorted(first) == sorted(second), len(first)
    count = len(source.frames)
    here, there = 1e6 * median(mine) / count, 1e6 * median(theirs) / count
    return [
        [
            f"{count:,} {source.origin}",
            f"{len(rules):,}",
            f"{here:.1f} µs",
            f"{there:.0f} µs",
            f"{there / here:.0f}",
            f"{signals}, {'yes' if equal else 'NO'}",
        ]
    ]
