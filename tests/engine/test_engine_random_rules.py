"""Random rules of every shape against the plain evaluator: over recorded trades and over seeded ones."""

from __future__ import annotations

import json
import os
import random
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance import captures
from tests.acceptance.oracle import Print
from tests.acceptance.plain import Rule, plain

from pricewatch.domain.market import Market, Trade
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.rules.document import parse

RULES = int(os.environ.get("PRICEWATCH_ORACLE_RULES", "60"))  # noqa: TID251 - `make oracle` tries more
OWNER = uuid.UUID(int=9)
START = 1_700_000_040_000_000


Spans = tuple[str, str]


def single(rng: random.Random, prices: list[float], spans: Spans) -> dict[str, Any]:
    """A condition somewhere near what was traded; `spans` are the windows that mean something there."""
    level = round(rng.choice(prices) * (1 + rng.gauss(0, 3e-4)), 2)
    window, move = rng.choice(spans), rng.choice([0.01, 0.03, 0.1, 0.3])
    bar = rng.choice(["1m", "1m", "5m"])
    choices: list[dict[str, Any]] = [
        {"type": "above", "level": str(level)},
        {"type": "above", "level": str(rng.choice(prices))},  # equality is no crossing
        {"type": "below", "level": str(level)},
        {"type": "crosses", "level": str(rng.choice(prices)), "direction": rng.choice(["up", "down"])},
        {"type": "channel", "lower": str(level), "upper": str(round(level * 1.001, 2)),
         "direction": rng.choice(["enter", "exit"])},
        {"type": "change", "window": window, "percent": move, "direction": rng.choice(["up", "down", "either"])},
        {"type": "trailing", "percent": move, "window": window, "from": rng.choice(["high", "low"])},
        {"type": "extreme", "of": rng.choice(["high", "low"]), "window": window},
        {"type": "rsi", "period": 3, "level": rng.choice([45, 55, 70]), "bar": bar,
         "direction": rng.choice(["above", "below"])},
        {"type": "bollinger", "period": 4, "deviations": rng.choice([1, 1.5]), "side": "either", "bar": bar},
        {"type": "moving_average", "mean": "sma", "fast": 2, "slow": 4, "bar": bar,
         "direction": rng.choice(["up", "down"])},
        {"type": "stale", "after": rng.choice(["1s", "3s", "20s"])},
    ]  # fmt: skip
    return rng.choice(choices)


def tree(rng: random.Random, prices: list[float], spans: Spans, depth: int = 0) -> dict[str, Any]:
    kind = rng.choice(["single"] * 3 + ["and", "or", "not", "then"]) if depth < 3 else "single"
    if kind == "single":
        return single(rng, prices, spans)
    members = [tree(rng, prices, spans, depth + 1) for _ in range(rng.choice([2, 2, 3]))]
    if kind == "then":
        return {"type": "then", "steps": members, "within": rng.choice(["2s", "30s", "5m"])}
    return {"type": kind, "of": members[0] if kind == "not" else members}


def policy(rng: random.Random, when: dict[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "for": rng.choice(["0s", "0s", "0s", "1s", "20s"]),
        "cooldown": rng.choice(["0s", "0s", "5s", "1m"]),
        "clear_signal": rng.random() < 0.8,
        "fires": rng.choice(["always"] * 4 + ["once", 3]),
        "most_per_hour": rng.choice([1_000, 1_000, 5, 1]),
        "digest": rng.choice(["1h", "1m", "7s"]),
        "evaluate": rng.choice(["tick"] * 4 + ["bar", "close"]),
    }
    if rng.random() < 0.3 and when["type"] not in ("moving_average", "stale"):
        chosen["hysteresis"] = rng.choice(["0%", "0.02%", "1%"])
    if rng.random() < 0.2 and "stale" not in json.dumps(when):
        chosen["nodata"] = {"after": rng.choice(["2s", "15s"]), "then": rng.choice(["ok", "fire", "keep"])}
    if rng.random() < 0.2 and when["type"] not in ("crosses", "extreme", "then", "moving_average"):
        chosen["fire_on_arming"] = True
    return chosen


def written(rng: random.Random, count: int, prints: list[Print], spans: Spans) -> list[Rule]:
    """Rules, some taken up later, some changed in mid-crossing; what looks back is there from the first print on."""
    prices = [one.price for one in prints]
    rules: list[Rule] = []
    for number in range(1, count + 1):
        when = tree(rng, prices, spans)
        document = {"title": f"rule {number}", "symbols": "*", "when": when, "policy": policy(rng, when)}
        rule = Rule(uuid.UUID(int=rng.getrandbits(128)), 1, 0, document)
        rules.append(rule)
        if when["type"] in ("above", "below", "crosses", "channel"):
            rule.from_seen = rng.choice([0, prints[rng.randrange(len(prints) // 2)].seen])
            if rng.random() < 0.3:
                rule.until_seen = prints[rng.randrange(len(prints) // 2, len(prints))].seen
                changed = single(rng, prices, spans)
                if changed["type"] in ("above", "below") and changed != when:
                    other = {"title": "changed", "symbols": "*", "when": changed, "policy": {}}
                    rules.append(Rule(rule.id, 2, rule.until_seen, other))
                else:
                    rule.until_seen = 2**62
    return rules


def said(rules: list[Rule], prints: list[Print], market: Market, end_seen: int) -> list[tuple[int, uuid.UUID]]:
    """What the engine says."""
    engine = Engine(EngineSettings(models=False))
    engine.add_market(market)
    waiting = sorted(rules, key=lambda rule: rule.from_seen)
    for one in prints:
        while waiting and waiting[0].from_seen < one.seen:
            rule = waiting.pop(0)
            engine.advance(rule.from_seen)
            parsed = parse(json.dumps(rule.document).encode())
            engine.arm(ActiveRule(rule.id, OWNER, rule.version, parsed, rule.from_seen))
        engine.trade(Trade(market.id, one.at, one.price, one.size, 0, one.key, one.seen, one.flags), one.seen)
    engine.advance(end_seen)
    return [(one.signal.seen, one.signal.id) for one in engine.transitions if one.signal is not None]


def compare(seed: int, count: int, prints: list[Print], market: Market, spans: Spans) -> int:
    rng = random.Random(seed)
    end = prints[-1].seen + 120_000_000
    rules = written(rng, count, prints, spans)
    told = said(rules, prints, market, end)
    wanted = [(one.seen, one.id) for one in plain(rules, prints, market.key, end_seen=end)]
    assert sorted(told) == sorted(wanted)
    assert [seen for seen, _ in told] == [seen for seen, _ in wanted]
    print(f"{len(rules):,} rules over {len(prints):,} trades: {len(told):,} signals, all equal and in order")
    return len(told)


def walk(seed: int, count: int) -> list[Print]:
    """Steps of a cent, gaps, bursts, silences, prints out of order and late ones."""
    rng, price, at, found = random.Random(seed), 100.0, START, []
    for number in range(1, count + 1):
        at += rng.choice([0, 0, 1_000, 200_000, 1_000_000, 4_000_000, 4_000_000, 30_000_000])
        jump = rng.choice([0.0, 0.01, 0.01, 0.02, 0.5 if rng.random() < 0.1 else 0.03])
        price = max(90.0, round(price + rng.choice([-1, 1]) * jump, 2))
        back = rng.choice([0] * 12 + [100_000, 900_000, 1_500_000])
        seen = at + 500 + number
        if rng.random() < 0.02:
            at += 1_000
        found.append(Print(seen, "binance:BTC-USDT", at - back, price, number))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_random_rules_over_a_seeded_series(seed: int) -> None:
    prints = walk(seed, 700)
    market = Market(1, "binance", "BTC-USDT", "BTCUSDT")
    assert compare(seed, max(20, RULES // 3), prints, market, ("5s", "30s")) > 50


@pytest.mark.shared
@pytest.mark.parametrize("name", [captures.BTC, captures.ETH])
def test_random_rules_over_recorded_trades(name: str, shared: Path) -> None:
    file = shared / "data" / name
    prints = [
        Print(one.at + 1_000_000 + place, one.market, one.at, one.price, one.key)
        for place, one in enumerate(captures.prints(file), start=1)
    ]
    symbol = prints[0].market.removeprefix("binance:")
    market = Market(1, "binance", symbol, symbol)
    assert compare(7, RULES // 2, _in_order(prints), market, ("1s", "3s")) > 20


def _in_order(prints: list[Print]) -> list[Print]:
    """With places that grow."""
    found, last = [], 0
    for one in prints:
        last = max(last + 1, one.seen)
        found.append(Print(last, one.market, one.at, one.price, one.key))
    return found
