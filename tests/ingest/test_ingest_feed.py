from __future__ import annotations

import math
from typing import Any

import msgspec

from pricewatch.domain.market import Flag, Market, Quote, Tick, Trade
from pricewatch.engine.gate import Limits
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.sequence import Hole, Sequence

NOW = 1_800_000_000_000_000


class Bench:
    """A feed whose holes nobody fills by itself."""

    def __init__(self, *, hold: bool) -> None:
        self.out: list[Tick] = []
        self.holes: list[tuple[Hole, int]] = []
        self.sight: list[tuple[int, bool]] = []
        self.hold = hold
        self.counters = Counters()
        self.feed = MarketFeed(
            Market(1, "coinbase", "BTC-USD", "BTC-USD"),
            Sequence(),
            sink=self,
            limits=Limits(markets=frozenset({1})),
            counters=self.counters,
            hole_found=self.found,
            capacity=100,
        )

    def blind(self, market: int) -> None:
        self.sight.append((market, False))

    def sighted(self, market: int) -> None:
        self.sight.append((market, True))

    def offer(self, tick: Tick) -> None:
        self.out.append(tick)

    def found(self, _: MarketFeed, hole: Hole, since: int) -> bool:
        self.holes.append((hole, since))
        return self.hold

    def keys(self) -> list[int]:
        return [tick.key for tick in self.out if isinstance(tick, Trade)]


def trade(key: int, **change: Any) -> Trade:
    return msgspec.structs.replace(Trade(1, NOW + key, 100.0, 1.0, 1, key, NOW), **change)


def test_what_waits_comes_after_what_was_missing() -> None:
    bench = Bench(hold=True)
    for key in (1, 4, 5):
        bench.feed.trade(trade(key))
    assert bench.feed.holding
    assert bench.holes == [(Hole(2, 3), NOW + 1)]
    assert bench.feed.late([trade(2), trade(3), trade(4)], now=NOW) == 2
    assert bench.keys() == [1]
    bench.feed.release()
    assert bench.keys() == [1, 2, 3, 4, 5]
    assert not bench.feed.holding
    assert (bench.counters.received, bench.counters.offered, bench.counters.duplicates) == (6, 5, 1)


def test_history_that_is_unusable_is_counted_and_not_asked_for_again() -> None:
    bench = Bench(hold=True)
    bench.feed.trade(trade(1))
    bench.feed.trade(trade(3))
    assert bench.feed.late([trade(2, price=math.nan)], now=NOW) == 0
    assert bench.feed.sequence.missing() == []
    assert bench.counters.rejected == {"price": 1}


def test_history_may_reach_further_and_have_holes() -> None:
    bench = Bench(hold=False)
    bench.feed.trade(trade(1))
    assert bench.feed.late([trade(2), trade(4)], now=NOW) == 2
    assert bench.holes == [(Hole(3, 3), NOW + 2)]
    assert [tick.flags for tick in bench.out if isinstance(tick, Trade)] == [0, Flag.LATE, Flag.LATE]


def test_bad_quotes_are_counted_apart() -> None:
    bench = Bench(hold=False)
    bench.feed.quote(Quote(1, NOW, 0.0, 1.0, 1.0, 1.0, NOW))
    assert bench.counters.quotes_rejected == {"price": 1}
    assert bench.counters.received == 0
    assert not bench.out
