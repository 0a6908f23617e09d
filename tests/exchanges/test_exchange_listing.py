from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.exchanges.base import Instrument
from pricewatch.exchanges.listing import Listed, absent, instruments
from pricewatch.exchanges.registry import EXCHANGES

RECORDED = [
    ("binance/binance-20210417T163612Z", 1405, 1038),
    ("binance_us/binance_us-20210814T144513Z", 117, 113),
    ("coinbase/coinbase-20210417T164337Z", 162, 162),
    ("deribit/deribit-20210722T224203Z", 16, 16),
    ("kraken/kraken-20210417T164852Z", 292, 292),
]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "listed", "active"), RECORDED)
def test_recorded_listings(shared: Path, name: str, listed: int, active: int) -> None:
    with gzip.open(shared / f"data/{name}-instruments.jsonl.gz", "rt") as file:
        lines = [json.loads(line) for line in file]
    bodies = [line["raw"].encode() for line in lines if line["dir"] == "http"]
    exchange = EXCHANGES[name.partition("/")[0]]([])
    found = exchange.parse_instruments(bodies)
    assert (len(found), sum(item.active for item in found)) == (listed, active)
    assert all(exchange.native(item.symbol) == item.native for item in found)


def test_what_has_no_canonical_symbol_is_left_out_and_twins_stay_apart() -> None:
    rows = [
        Listed("tBTCUSD", "BTC", "USD", active=True),
        Listed("tBTCUST", "BTC", "USDT", active=True),
        Listed("ETH2.S/ETH", "ETH2.S", "ETH", active=True),
        Listed("one", "", "USD", active=True),
    ]
    assert [item.symbol for item in instruments(rows)] == ["BTC-USD", "BTC-USDT"]


def test_of_two_with_the_same_symbol_the_active_one_counts_else_the_first() -> None:
    old, new, third = (
        Listed("XBT/USD", "XBT", "USD", active=False),
        Listed("BTC/USD", "BTC", "USD", active=True),
        Listed("BTC/USD2", "BTC", "USD", active=True),
    )
    assert instruments([old, new, third]) == instruments([new, old]) == [Instrument("BTC/USD", "BTC-USD")]


@pytest.mark.parametrize("venue", ["binance", "coinbase", "coinbase_advanced", "deribit", "kraken"])
def test_a_listing_that_cannot_be_read(venue: str) -> None:
    with pytest.raises(BadData, match="malformed"):
        EXCHANGES[venue]([]).parse_instruments([b"nothing"])


def test_what_coinbase_has_switched_off_is_not_active() -> None:
    product = '{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","status":"online"}'
    shut = product.replace('"online"', '"online","trading_disabled":true').replace("BTC", "ETH")
    gone = product.replace("online", "delisted").replace("BTC", "SOL")
    found = EXCHANGES["coinbase"]([]).parse_instruments([f"[{product},{shut},{gone}]".encode()])
    assert {item.symbol: item.active for item in found} == {"BTC-USD": True, "ETH-USD": False, "SOL-USD": False}


def test_what_advanced_trade_has_switched_off_is_not_active() -> None:
    product = '{"product_id":"BTC-USD","base_currency_id":"BTC","quote_currency_id":"USD","status":"online"}'
    shut = product.replace('"online"', '"online","is_disabled":true').replace("BTC", "ETH")
    gone = product.replace('"online"', '"","trading_disabled":true').replace("BTC", "SOL")
    body = f'{{"products":[{product},{shut},{gone}],"num_products":3}}'.encode()
    found = EXCHANGES["coinbase_advanced"]([]).parse_instruments([body])
    assert {item.symbol: item.active for item in found} == {"BTC-USD": True, "ETH-USD": False, "SOL-USD": False}


def test_kraken_speaks_of_bitcoin_on_the_socket_and_has_dark_pools() -> None:
    body = (
        b'{"error":[],"result":{"XXBTZUSD":{"wsname":"XBT/USD"},"XXBTZUSD.d":{},"XDGXBT":{"wsname":"XDG/XBT",'
        b'"status":"cancel_only"},"X":{"wsname":null}}}'
    )
    assert EXCHANGES["kraken"]([]).parse_instruments([body]) == [
        Instrument("BTC/USD", "BTC-USD"),
        Instrument("DOGE/BTC", "DOGE-BTC", active=False),
    ]
    with pytest.raises(Unavailable):
        EXCHANGES["kraken"]([]).parse_instruments([b'{"error":["EAPI:Rate limit exceeded"]}'])


def test_deribit_lists_contracts_and_pairs_but_neither_options_nor_linear_contracts() -> None:
    names = ["BTC-PERPETUAL", "BTC-5DEC25", "BTC_USDC", "BTC_USDC-PERPETUAL", "BTC-27JUN25-100000-C", "X_PERPETUAL"]
    rows = [{"instrument_name": name, "is_active": name != "BTC-5DEC25"} for name in names]
    exchange = EXCHANGES["deribit"]([])
    assert [request.url.rpartition("&")[2] for request in exchange.instrument_requests()] == [
        "kind=future",
        "kind=spot",
    ]
    assert exchange.parse_instruments([json.dumps({"result": rows}).encode()]) == [
        Instrument("BTC-5DEC25", "BTC-5DEC25", active=False),
        Instrument("BTC-PERPETUAL", "BTC-PERPETUAL"),
        Instrument("BTC_USDC", "BTC-USDC"),
    ]
    with pytest.raises(Refused, match="-32602 Invalid params"):
        exchange.parse_instruments([b'{"error":{"code":-32602,"message":"Invalid params"}}'])


def test_what_looks_like_an_unknown_symbol() -> None:
    known = [Instrument("", symbol) for symbol in ("BTC-USD", "BTC-USDT", "ETH-USD")] + [
        Instrument("", "BTC-USDD", active=False)
    ]
    assert absent("kraken", "BTC-USDX", known) == "kraken has no 'BTC-USDX'; did you mean 'BTC-USD', 'BTC-USDT'?"
    assert absent("kraken", "Q-Z", known) == "kraken has no 'Q-Z'; 'pricewatch markets kraken' lists what it has"
