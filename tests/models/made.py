"""Bars of a market that never was."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from pricewatch.models.features import Shape

MINUTE = 60_000_000
START = 1_600_000_000_000_000 - 1_600_000_000_000_000 % (24 * 60 * MINUTE)


def made(
    count: int, seed: int = 1, *, sigma: float = 1e-3, step: int = MINUTE, start: int = START, price: float = 100.0
) -> Iterator[Shape]:
    """A random walk of eight prices a bar; by day it moves twice as much as by night."""
    luck = random.Random(seed)
    for number in range(count):
        at = start + number * step
        hour = at // (60 * MINUTE) % 24
        size = sigma * (2.0 if 8 <= hour < 20 else 1.0)
        high = low = price
        for _ in range(8):
            price *= math.exp(luck.gauss(0.0, size / math.sqrt(8)))
            high, low = max(high, price), min(low, price)
        yield Shape(at, step, high, low, price, luck.expovariate(0.1))
