from __future__ import annotations

import pytest

from pricewatch.domain.errors import Invalid
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.exchanges.symbols import canonical, split


@pytest.mark.parametrize("text", ["BTC-USD", "xbt/usd", " XBT_USD ", "btc-usd"])
def test_one_name_for_one_thing(text: str) -> None:
    assert canonical(text) == "BTC-USD"


def test_dogecoin_and_its_quote() -> None:
    assert canonical("XDG/XBT") == "DOGE-BTC"
    assert split("DOGE-BTC") == ("DOGE", "BTC")


@pytest.mark.parametrize("text", ["", "BTC", "BTC-", "-USD", "A-B-C", "B\0C-USD", "B" * 40 + "-USD", "BT C-USD"])
def test_what_is_no_symbol(text: str) -> None:
    with pytest.raises(Invalid):
        canonical(text)


@pytest.mark.parametrize(
    ("venue", "native"),
    [
        ("binance", "BTCUSD"),
        ("binance_us", "BTCUSD"),
        ("bitfinex", "tBTCUSD"),
        ("bitget", "BTCUSD"),
        ("bitstamp", "btcusd"),
        ("bybit", "BTCUSD"),
        ("coinbase", "BTC-USD"),
        ("coinbase_advanced", "BTC-USD"),
        ("cryptocom", "BTC_USD"),
        ("deribit", "BTC_USD"),
        ("gateio", "BTC_USD"),
        ("gemini", "BTCUSD"),
        ("htx", "btcusd"),
        ("hyperliquid", "BTC/USD"),
        ("kraken", "BTC/USD"),
        ("kucoin", "BTC-USD"),
        ("okx", "BTC-USD"),
        ("upbit", "USD-BTC"),
    ],
)
def test_native_names(venue: str, native: str) -> None:
    assert EXCHANGES[venue].native("BTC-USD") == native
