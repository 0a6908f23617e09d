"""One-minute bars of one market, and when they are closed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from pricewatch.domain.time import MINUTE

_NUMBERS = msgspec.msgpack.Decoder(list[list[float]])
SCHEMA = 1


class Bar:
    """The trades with `start <= at < end` so far, and the highest anomaly score among them."""

    __slots__ = ("close", "due_seen", "end", "high", "low", "market", "open", "score", "start", "trades", "volume")

    def __init__(self, market: int, start: int, due_seen: int, price: float) -> None:
        self.market = market
        self.start = start
        self.end = start + MINUTE
        self.due_seen = due_seen
        """The place in the order at which it closes without further trades; 0 once it is closed."""
        self.open = self.high = self.low = self.close = price
        self.volume = 0.0
        self.trades = 0
        self.score = -1.0
        """-1 while no trade was scored."""

    def __lt__(self, other: object) -> bool:
        """Bars due together need no order."""
        return False

    def trade(self, price: float, size: float) -> None:
        """The next in-order trade."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size
        self.trades += 1

    def add(self, price: float, size: float) -> None:
        """An out-of-order trade counts, but opens and closes nothing."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += size
        self.trades += 1

    def dump(self) -> list[float]:
        """Everything as finite numbers; instants are exact up to the year 2255."""
        return [
            self.start, self.due_seen, self.open, self.high, self.low, self.close, self.volume, self.trades, self.score,
        ]  # fmt: skip


def load(market: int, numbers: Sequence[float]) -> Bar:
    """A bar as it was dumped; raises `ValueError`."""
    start, due_seen, first, high, low, close, volume, trades, score = numbers
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a bar has finite numbers")
    bar = Bar(market, int(start), int(due_seen), first)
    bar.high, bar.low, bar.close, bar.volume, bar.trades, bar.score = high, low, close, volume, int(trades), score
    return bar


def pack(bars: Sequence[Bar]) -> bytes:
    """Open bars, oldest first."""
    return msgspec.msgpack.encode([bar.dump() for bar in bars])


def unpack(market: int, payload: bytes) -> list[Bar]:
    """What `pack` packed; raises `ValueError`."""
    try:
        return [load(market, numbers) for numbers in _NUMBERS.decode(payload)]
    except msgspec.MsgspecError as exc:
        raise ValueError(str(exc)) from exc
