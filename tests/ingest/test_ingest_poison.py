"""Poison among many prints: models end where they end without it, and no signal comes of it unflagged."""

from __future__ import annotations

import asyncio
import json
import math
import random
import uuid
from collections.abc import Callable

import msgspec
import pytest

from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import SECOND
from pricewatch.engine.doubt import Doubts
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.gate import Limits
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.sequence import Sequence
from pricewatch.ingest.suspects import Suspects
from pricewatch.rules.document import parse

BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
T0 = 1_700_000_000 * SECOND
POISON: list[Callable[[float], float]] = [
    lambda _: math.nan, lambda _: math.inf, lambda _: -math.inf, lambda _: 0.0, lambda _: -5.0, lambda _: 1e300,
    lambda price: price * 10, lambda price: price / 10, lambda price: price * 10,
]  # fmt: skip
COUNT = 20_000


class Chain:
    """Gate, sequence, doubt and engine, as they are joined in the service."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = Engine(EngineSettings(warm_up=100))
        self.engine.add_market(BTC)
        for number, level, suspect in ((1, 90_000, False), (2, 30_000, False), (3, 90_000, True)):
            when = {"type": "below" if level == 30_000 else "above", "level": str(level)}
            document = {"title": "x", "symbols": "*", "when": when, "policy": {"suspect": suspect}}
            rule = parse(json.dumps(document).encode())
            self.engine.arm(ActiveRule(uuid.UUID(int=number), uuid.UUID(int=9), 1, rule, 0))
        self.seen = 0
        self.counters = Counters()
        self.suspects = Suspects(self, Doubts(), [1], later=loop.call_later)
        self.feed = MarketFeed(
            BTC, Sequence(), sink=self.suspects, limits=Limits(markets=frozenset({1})), counters=self.counters,
            hole_found=lambda *_: False, capacity=10,
        )  # fmt: skip

    def offer(self, tick: Trade | Quote) -> None:
        assert isinstance(tick, Trade)
        self.seen = max(self.seen + 1, tick.received)
        self.engine.trade(tick, self.seen)

    def blind(self, market: int) -> None: ...

    def sighted(self, market: int) -> None: ...

    def score(self) -> float:
        ensemble = self.engine._markets[1].ensemble
        assert ensemble is not None
        return ensemble.total()

    def signals(self) -> list[Signal]:
        return [one.signal for one in self.engine.transitions if one.signal is not None]


async def test_models_end_where_they_end_without_poison_and_nothing_fires_unflagged() -> None:
    luck = random.Random(13)
    loop = asyncio.get_running_loop()
    clean, poisoned = Chain(loop), Chain(loop)
    price, bad = 60_000.0, 0
    for number in range(COUNT):
        price *= 1 + luck.gauss(0, 0.0001)
        at = T0 + number * SECOND // 20
        sound = Trade(1, at, round(price, 2), 1.0, 1, number, at)
        clean.feed.trade(sound)
        poisoned.feed.trade(sound)
        if number > 200 and luck.random() < 0.005:
            bad += 1
            wrong = luck.choice(POISON)(price)
            poisoned.feed.trade(msgspec.structs.replace(sound, price=wrong, key=10**9 + bad))
            poisoned.feed.sequence.high = number
    clean.suspects.flush()
    poisoned.suspects.flush()
    assert poisoned.counters.rejected["price"] + poisoned.suspects.flagged == bad > 50
    assert poisoned.suspects.confirmed == clean.suspects.flagged == 0
    assert poisoned.score() == pytest.approx(clean.score(), rel=0.01)
    assert clean.signals() == []
    assert poisoned.signals()
    assert all(signal.suspect or signal.direction == "cleared" for signal in poisoned.signals())
    assert {signal.rule_id.int for signal in poisoned.signals()} == {3}
