"""Many candles as a few pieces of bytes: cheap to read, to hand on and to take apart, however many there are."""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack

import msgspec

from pricewatch.domain.market import Candle

WIDTH = 8
"""Bytes of a number."""


class Packed(msgspec.Struct, frozen=True):
    """Candles by column, in any order; big-endian, as networks and databases send numbers."""

    at: bytes = b""
    """Integers of 8 bytes: where each begins, in µs."""
    high: bytes = b""
    """Doubles, as are the others."""
    low: bytes = b""
    close: bytes = b""
    volume: bytes = b""

    def __len__(self) -> int:
        return len(self.at) // WIDTH

    def __add__(self, more: Packed) -> Packed:
        """These and then those."""
        return Packed(
            self.at + more.at,
            self.high + more.high,
            self.low + more.low,
            self.close + more.close,
            self.volume + more.volume,
        )


def packed(candles: Iterable[Candle]) -> Packed:
    """The same candles by column."""
    found = list(candles)
    doubles = f">{len(found)}d"
    return Packed(
        pack(f">{len(found)}q", *(one.at for one in found)),
        pack(doubles, *(one.high for one in found)),
        pack(doubles, *(one.low for one in found)),
        pack(doubles, *(one.close for one in found)),
        pack(doubles, *(one.volume for one in found)),
    )
