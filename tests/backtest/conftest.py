"""Random series, rules over them, and the plain way to evaluate both."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from pricewatch.backtest.feeding import Feeder
from pricewatch.backtest.memory import MemoryPast
from pricewatch.backtest.replay import Replay
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.signal import Signal
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.ports.preview import Question
from pricewatch.ports.ticks import Sequenced
from pricewatch.rules.document import parse

S = 1_000_000
M = 60 * S
START = 1_800_000_000 * S
"""A whole minute."""
BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
KRAKEN = Market(2, "kraken", "BTC-USD", "XBT/USD")
RULE = uuid.UUID(int=7)


def document(when: dict[str, Any], **policy: Any) -> bytes:
    return json.dumps({"title": "a rule", "symbols": ["BTC-USD"], "when": when, "policy": policy}).encode()


def question(text: bytes, start: int = START, end: int = START + 600 * M, **changes: Any) -> Question:
    return Question(document=text, start=start, end=end, rule_id=RULE, **changes)


def trade(key: int, at: int, price: float, *, seen: int | None = None, flags: int = 0, market: int = 1) -> Sequenced:
    place = at + 50_000 if seen is None else seen
    return Sequenced(place, Trade(market, at, price, 1.0, 0, key, place, flags))


def replay(past: Any, **changes: Any) -> Replay:
    return Replay(past, PreviewSettings(**changes), EngineSettings())


def memory(trades: Sequence[Sequenced], *markets: Market) -> MemoryPast:
    past = MemoryPast(markets or [BTC])
    past.add_trades(trades)
    return past


def plainly(asked: Question, trades: Sequence[Sequenced], *markets: Market) -> list[Signal]:
    """Every trade, in order of `seen`, through one engine."""
    active = ActiveRule(asked.identity, asked.account_id, asked.version, parse(asked.document), asked.start - 1)
    feeder = Feeder(EngineSettings(), markets or [BTC], active)
    chosen = [one for one in trades if one.seen >= asked.start and asked.start - M <= one.trade.at < asked.end]
    feeder.trades(sorted(chosen, key=lambda one: one.seen))
    return feeder.finish(asked.end)


def told(signals: Sequence[Signal]) -> list[tuple[uuid.UUID, str, str, int]]:
    return [(one.id, one.direction.value, one.cause, one.at) for one in signals]
