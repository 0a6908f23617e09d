from __future__ import annotations

import msgspec

from pricewatch.domain.market import Market
from pricewatch.ports.ticks import UNKNOWN_KEYS, Closed, Gap, GapRow
from pricewatch.wire.gap import document

MARKET = Market(3, "kraken", "BTC-USD", "XBT/USD")


def test_an_open_hole_of_known_trades() -> None:
    row = GapRow(7, Gap(3, 10, 19, 1_000_000, 2_000_000, "trade ids jumped"), 3_000_000)
    assert msgspec.to_builtins(document(row, MARKET)) == {
        "id": 7, "market": "kraken:BTC-USD", "venue": "kraken", "symbol": "BTC-USD", "state": "open",
        "reason": "trade ids jumped", "first_key": "10", "last_key": "19", "missing": 10,
        "from": "1970-01-01T00:00:01.000000Z", "to": "1970-01-01T00:00:02.000000Z",
        "opened": "1970-01-01T00:00:03.000000Z", "closed": None,
    }  # fmt: skip


def test_a_closed_time_of_unknown_trades() -> None:
    told = document(GapRow(8, Gap(3, *UNKNOWN_KEYS, 1, 2, "closed"), 3, 4, Closed.CANDLES), MARKET)
    assert (told.state, told.first_key, told.last_key, told.missing) == ("candles", None, None, None)
    assert told.closed == "1970-01-01T00:00:00.000004Z"
