"""`models`: what a row, a minute and a market cost, in time, in memory and saved."""

from __future__ import annotations

import gc
import math
import random
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pricewatch.models.bands.conformal import HorizonBand
from pricewatch.models.bank.price import PriceBank
from pricewatch.models.bank.rate import AlarmRate
from pricewatch.models.bars import BANDS, BANK, BarModels
from pricewatch.models.detector.rows import RowDetector
from pricewatch.models.drift import DriftWatch
from pricewatch.models.features import FeatureStream, Row, Shape

HEAD = ["model", "a step", "limit", "in memory", "saved", "restored in"]
_MINUTE = 60_000_000


def run(*, quick: bool) -> list[list[str]]:
    """Each model alone over the same minutes, the best of several rounds: the machine's mood only adds."""
    count, rounds = (400, 1) if quick else (12_000, 5)
    bars = _bars(count)
    rows = _rows(bars)
    judgements = _judgements(rows)
    parts: list[tuple[str, str, Callable[[], Any], Callable[[Any], None], Callable[[Any], int] | None]] = [
        (
            "row detector, a row",
            "25 µs",
            RowDetector,
            lambda model: _detect(model, bars),
            lambda model: len(model.dump()),
        ),
        (
            "features, a minute",
            "",
            FeatureStream,
            lambda model: _look(model, bars),
            lambda model: 8 * len(model.dump()),
        ),
        (
            "price bank, a minute",
            "10 µs",
            PriceBank,
            lambda model: _judge(model, rows),
            lambda model: _doubles(model.dump()),
        ),
        (
            "rate of alarms, a minute",
            "",
            AlarmRate,
            lambda model: _state(model, judgements),
            lambda model: 8 * len(model.dump()),
        ),
        (
            "band 1 minute ahead",
            "",
            lambda: HorizonBand(1),
            lambda model: _step(model, rows),
            lambda model: len(model.dump()),
        ),
        (
            "band 1 day ahead",
            "",
            lambda: HorizonBand(1_440),
            lambda model: _step(model, rows),
            lambda model: len(model.dump()),
        ),
        (
            "drift, a minute",
            "",
            DriftWatch,
            lambda model: _drift(model, rows),
            lambda model: sum(map(len, model.dump())),
        ),
        ("all of a market, a minute", "", BarModels, lambda model: _close(model, bars), _saved),
    ]
    return [_measured(name, limit, make, feed, saved, count, rounds) for name, limit, make, feed, saved in parts]


def _measured(
    name: str,
    limit: str,
    make: Callable[[], Any],
    feed: Callable[[Any], None],
    saved: Callable[[Any], int] | None,
    count: int,
    rounds: int,
) -> list[str]:
    best = math.inf
    for _ in range(rounds):
        model = make()
        began = time.process_time()
        feed(model)
        best = min(best, time.process_time() - began)
    model = make()
    gc.collect()
    tracemalloc.start()
    model = make()
    feed(model)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    restored = _restored(model)
    return [
        name,
        f"{1e6 * best / count:.1f} µs",
        limit,
        f"{size / 1024:.0f} KB",
        f"{saved(model) / 1000:.1f} KB" if saved else "",
        f"{1e3 * restored:.2f} ms" if restored else "",
    ]


def _restored(model: Any) -> float:
    best = math.inf
    for _ in range(5):
        began = time.process_time()
        if isinstance(model, BarModels):
            state, fresh = model.dump(), BarModels()
            began = time.process_time()
            for name, payload in state.items():
                fresh.load(name, payload)
        elif isinstance(model, HorizonBand):
            payload, band = model.dump(), HorizonBand(model.horizon)
            began = time.process_time()
            band.load(payload)
        else:
            state, fresh = model.dump(), type(model)()
            began = time.process_time()
            fresh.load(state)
        best = min(best, time.process_time() - began)
    return best


def _bars(count: int) -> list[Shape]:
    luck, price, found = random.Random(5), 100.0, []
    for number in range(count):
        size = 1e-3 * (2.0 if number // 700 % 2 else 1.0)
        high = low = price
        for _ in range(4):
            price *= math.exp(luck.gauss(0.0, size / 2))
            high, low = max(high, price), min(low, price)
        found.append(Shape(1_600_000_000_000_000 + number * _MINUTE, _MINUTE, high, low, price, luck.expovariate(0.1)))
    return found


def _rows(bars: Sequence[Shape]) -> list[Row]:
    stream, found = FeatureStream(), []
    for bar in bars:
        found.append(stream.look(bar))
        stream.learn(found[-1])
    return found


def _judgements(rows: Iterable[Row]) -> list[float]:
    bank, found = PriceBank(), []
    for row in rows:
        judgement = bank.look(row)
        bank.learn(judgement)
        found.append(judgement.rarity)
    return found


def _detect(model: RowDetector, bars: Sequence[Shape]) -> None:
    for bar in bars:
        model.step(bar.at / 1e6, bar.volume)


def _look(model: FeatureStream, bars: Sequence[Shape]) -> None:
    for bar in bars:
        model.learn(model.look(bar))


def _judge(model: PriceBank, rows: Sequence[Row]) -> None:
    for row in rows:
        model.learn(model.look(row))


def _state(model: AlarmRate, rarities: Sequence[float]) -> None:
    for rarity in rarities:
        model.step(rarity)


def _step(model: HorizonBand, rows: Sequence[Row]) -> None:
    for row in rows:
        model.step(row.log, row.sigma)


def _drift(model: DriftWatch, rows: Sequence[Row]) -> None:
    for row in rows:
        model.step(row.size / row.level, missed=False)


def _close(model: BarModels, bars: Sequence[Shape]) -> None:
    for bar in bars:
        model.close(bar)


def _doubles(parts: Sequence[Sequence[float]]) -> int:
    return 8 * sum(map(len, parts))


def _saved(model: BarModels) -> int:
    state = model.dump()
    return len(state[BANK]) + len(state[BANDS])
