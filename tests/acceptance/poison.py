"""Wrong numbers among ordinary trades: adapter, gate, suspects and engine, with and without them."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.acceptance.virtual import START, Line, Lines, VirtualClock, virtually
from tests.ingest.conftest import MemoryGaps, running

from pricewatch.domain.market import Flag, Market, Tick, Trade
from pricewatch.domain.signal import Signal
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest
from pricewatch.testing.desk import active

BTC = Market(1, "binance", "BTC-USDT", "BTCUSDT", 1_000)
STEP = 0.02
"""Seconds between two trades."""
POISON = ("NaN", "Infinity", "-Infinity", "0", "-5", "1e300", "x10")
EVERY = 100
"""Ordinary trades to a wrong one."""
PRICE = 60_000.0
COUNTING = 11
"""Number of the first rule that counts suspects."""


class Said(NamedTuple):
    """A signal as two runs can be compared by it."""

    rule: int
    direction: str
    at: int
    price: float


class Outcome(NamedTuple):
    """One run."""

    signals: list[Signal]
    scores: dict[str, float]
    """Of the same price after the last trade: each model's, and `total`."""
    flagged: int
    rejected: Counter[str]
    sunk: int

    def said(self) -> Counter[Said]:
        """Of the rules that do not count suspects."""
        return Counter(
            Said(one.rule_id.int, one.direction.value, one.at, one.price)
            for one in self.signals
            if one.rule_id.int < COUNTING
        )

    def wrong(self) -> list[Signal]:
        """Signals at a price far from any that was traded."""
        return [one for one in self.signals if not 0.9 * PRICE < one.price < 1.1 * PRICE]


class Compared(NamedTuple):
    """A clean run, a poisoned one, and what was put in."""

    clean: Outcome
    poisoned: Outcome
    put: Counter[str]
    trades: int

    def check(self) -> None:
        """What the service promises of wrong numbers."""
        clean, poisoned = self.clean, self.poisoned
        assert set(self.put) == set(POISON)
        assert clean.said()
        assert poisoned.said() == clean.said()
        assert not clean.wrong()
        # The rules that count such prints heard of them, and said what they are.
        assert poisoned.wrong()
        assert all(one.suspect and one.rule_id.int >= COUNTING for one in poisoned.wrong())
        assert poisoned.flagged == self.put["x10"]
        assert sum(poisoned.rejected.values()) == sum(self.put.values()) - poisoned.flagged
        assert (clean.sunk, poisoned.sunk) == (self.trades, self.trades + poisoned.flagged)
        assert self.worst() <= 0.01

    def worst(self) -> float:
        """The largest difference of a score, as a share of the clean one."""
        assert self.clean.scores.keys() == self.poisoned.scores.keys()
        return max(abs(self.poisoned.scores[name] - score) / abs(score) for name, score in self.clean.scores.items())

    def line(self) -> str:
        rejected = {str(reason): count for reason, count in self.poisoned.rejected.items()}
        return (
            f"{self.trades} trades and {sum(self.put.values())} wrong ones ({dict(self.put)}): "
            f"rejected {rejected}, flagged {self.poisoned.flagged}; "
            f"{sum(self.clean.said().values())} signals in the clean run, "
            f"{sum((self.poisoned.said() - self.clean.said()).values())} more and "
            f"{sum((self.clean.said() - self.poisoned.said()).values())} fewer unflagged ones in the poisoned, "
            f"{len(self.poisoned.wrong())} flagged; scores {self.clean.scores} and "
            f"{self.poisoned.scores}, {self.worst():.3%} apart at most"
        )


class _Evaluation:
    """A sink that numbers and evaluates at once."""

    def __init__(self) -> None:
        self.engine = Engine(EngineSettings())
        self.engine.add_market(BTC)
        self.signals: list[Signal] = []
        self.flagged = self.sunk = 0
        self._seen = START
        levels: list[dict[str, Any]] = [
            {"type": "above", "level": str(PRICE * 1.002)},
            {"type": "below", "level": str(PRICE * 0.998)},
            {"type": "crosses", "level": str(PRICE * 1.001), "direction": "up"},
            {"type": "change", "window": "20s", "percent": "0.2", "direction": "either"},
            {"type": "anomaly", "score": "2.5"},
        ]
        for number, when in enumerate(levels, 1):
            self.engine.arm(active(number, when))
        for number, when in enumerate(levels[:3], COUNTING):
            self.engine.arm(active(number, when, suspect=True))

    def offer(self, tick: Tick) -> None:
        self._seen = max(self._seen + 1, VirtualClock().now())
        if isinstance(tick, Trade):
            self.sunk += 1
            self.flagged += bool(tick.flags & Flag.SUSPECT)
            self.engine.trade(tick, self._seen)
            self.signals += [one.signal for one in self.engine.transitions if one.signal is not None]
            self.engine.transitions.clear()

    def blind(self, market: int) -> None: ...

    def sighted(self, market: int) -> None: ...

    def scores(self) -> dict[str, float]:
        """Of one and the same jump after the last trade."""
        ensemble = self.engine._markets[BTC.id].ensemble
        assert ensemble is not None
        total = ensemble.score(ensemble.last * 1.002)
        return {**ensemble.parts(), "total": total}


def _frame(key: int, at: int, price: str) -> str:
    data = {
        "e": "trade", "E": at, "s": BTC.native, "t": key, "p": price, "q": "0.01000000", "T": at, "m": key % 2 == 0,
        "M": True,
    }  # fmt: skip
    return json.dumps({"stream": "btcusdt@trade", "data": data}, separators=(",", ":"))


def _prices(count: int, seed: int) -> Iterator[float]:
    """A calm walk around one price, with a shock now and then that the anomaly rule may notice."""
    luck, price = random.Random(seed), PRICE
    for number in range(count):
        price += luck.gauss(0.0, 3.0) + (PRICE - price) * 0.0005
        if number % 7_001 == 7_000:
            price *= 1.003
        yield round(price, 2)


async def _run(count: int, seed: int, put: Counter[str] | None) -> Outcome:
    luck = random.Random(f"poison {seed}")
    sink = _Evaluation()

    def heard(line: Line, frame: str) -> None:
        request = json.loads(frame)
        if "id" in request:
            line.say(json.dumps({"result": None, "id": request["id"]}))

    lines = Lines(heard)
    venue = VenueSettings(symbols=(BTC.symbol,), history=False)
    ingest = Ingest(
        IngestSettings(venues={"binance": venue}, backfill_candles=0),
        [BTC],
        sink=sink,
        clock=VirtualClock(),
        marks={},
        gaps=MemoryGaps(),
        connect=lines.connector,
    )
    async with running(ingest):
        await asyncio.sleep(5.0)
        key = 0
        for number, price in enumerate(_prices(count, seed)):
            now = VirtualClock().now() // 1_000
            if put is not None and number % EVERY == EVERY // 2 and number > 500:
                kind = POISON[number // EVERY % len(POISON)]
                put[kind] += 1
                key += 1
                wrong = f"{price * 10:.2f}" if kind == "x10" else kind
                text = _frame(key, now, wrong)
                lines.open[0].say(text.replace(f'"{wrong}"', wrong) if luck.random() < 0.3 else text)
            key += 1
            lines.open[0].say(_frame(key, now, f"{price:.2f}"))
            await asyncio.sleep(STEP)
        await asyncio.sleep(3.0)
        counters = ingest.venues[0].venue.counters
        assert len(lines.attempts[0]) == 1, "no connection was lost"
        assert counters.received == key
    return Outcome(sink.signals, sink.scores(), sink.flagged, counters.rejected, sink.sunk)


def compared(count: int, seed: int) -> Compared:
    """So many ordinary trades, with and without one wrong one to a hundred."""
    put: Counter[str] = Counter()
    return Compared(virtually(_run(count, seed, None)), virtually(_run(count, seed, put)), put, count)
