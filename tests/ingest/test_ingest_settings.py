from __future__ import annotations

import pytest
from pydantic import ValidationError

from pricewatch.ingest.settings import IngestSettings
from pricewatch.ingest.worker import listings
from pricewatch.ports.ticks import Listing


def test_the_defaults_need_no_key() -> None:
    assert {listing.venue for listing in listings(IngestSettings())} == {"coinbase", "kraken"}


def test_symbols_are_made_canonical() -> None:
    settings = IngestSettings.model_validate(
        {
            "venues": {
                "kraken": {"symbols": ["XBT/USD", "btc-usd"]},
                "binance": {"symbols": ["XDG-USDT"]},
                "coinbase": {"symbols": ["BTC-USD"], "enabled": False},
            }
        }
    )
    assert listings(settings) == [
        Listing("kraken", "BTC-USD", "BTC/USD", 1),
        Listing("binance", "DOGE-USDT", "DOGEUSDT", 1000),
    ]


@pytest.mark.parametrize(
    ("venues", "words"),
    [
        ({"krakn": {}}, "there is no venue 'krakn'; did you mean kraken"),
        ({"kraken": {"symbols": ["BTC"]}}, "is not BASE-QUOTE"),
        ({"kraken": {"symbol": []}}, "Extra inputs"),
    ],
)
def test_mistakes_are_named(venues: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        IngestSettings.model_validate({"venues": venues})
