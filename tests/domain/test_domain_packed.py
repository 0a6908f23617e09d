from __future__ import annotations

import struct

from pricewatch.domain.market import Candle
from pricewatch.domain.packed import Packed, packed

ONE = Candle(1, 60, 1.0, 3.0, 0.5, 2.0, 10.0, 4)
TWO = Candle(1, -120, 2.0, 4.0, 1.5, 2.5, 0.0, 0)


def test_candles_stand_by_column_in_the_order_of_networks() -> None:
    found = packed([ONE, TWO])
    assert len(found) == 2
    assert struct.unpack(">2q", found.at) == (60, -120)
    assert struct.unpack(">2d", found.high) == (3.0, 4.0)
    assert struct.unpack(">2d", found.low) == (0.5, 1.5)
    assert struct.unpack(">2d", found.close) == (2.0, 2.5)
    assert struct.unpack(">2d", found.volume) == (10.0, 0.0)


def test_pieces_can_be_joined() -> None:
    assert packed([ONE]) + packed(iter([TWO])) == packed([ONE, TWO])
    assert packed([]) == Packed()
    assert len(Packed()) == 0
    assert not Packed()
