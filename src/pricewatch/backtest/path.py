"""A candle as the trades it may have been made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pricewatch.domain.market import Candle, Trade
from pricewatch.domain.time import MINUTE
from pricewatch.ports.ticks import Sequenced

_STEPS = (0, MINUTE // 3, 2 * MINUTE // 3, MINUTE - 1)


def walk(candles: Iterable[Candle]) -> Iterator[Sequenced]:
    """Open, the extreme further from the close, the other one, close; each at its place in time.

    A rising minute went down first, a falling one up: the calmest way through all four prices.
    """
    for candle in candles:
        rising = candle.close >= candle.open
        first, second = (candle.low, candle.high) if rising else (candle.high, candle.low)
        size = candle.volume / len(_STEPS)
        for step, price in zip(_STEPS, (candle.open, first, second, candle.close), strict=True):
            at = candle.at + step
            yield Sequenced(at, Trade(candle.market, at, price, size, 0, at, at))
