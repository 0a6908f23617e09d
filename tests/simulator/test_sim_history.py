"""REST: the whole history by paging, candles, and the venues' errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.simulator.sim_support import START, seeded

from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.session import Reply, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.binance import Binance
from pricewatch.simulator.venues.coinbase import Coinbase
from pricewatch.simulator.venues.kraken import Kraken

NOW = START + 20_000_000


class Service:
    def __init__(self, venue: type[Any], **changes: Any) -> None:
        tape = seeded(**{"rate": 60.0, **changes})
        mine = {key: one for key, one in tape.ledgers.items() if key.startswith(venue.id)}
        self.ledger: Ledger = next(iter(mine.values()))
        self.venue: Venue = venue(mine, SimulatorSettings())
        self.ids = [trade.id for trade in self.ledger.newest(10_000)]
        assert len(self.ids) > 1_000

    def reply(self, path: str, **query: str | int) -> Reply:
        return self.venue.rest(path, {key: str(value) for key, value in query.items()}, NOW)

    def get(self, path: str, **query: str | int) -> Any:
        reply = self.reply(path, **query)
        assert reply.status == 200
        return json.loads(msgspec.json.encode(reply.body))


def test_binance_pages_the_whole_history_by_id() -> None:
    service = Service(Binance)
    found: list[int] = []
    cursor = 0
    while page := service.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=cursor, limit=300):
        found += [trade["id"] for trade in page]
        cursor = found[-1] + 1
    assert found == service.ids
    newest = service.get("/api/v3/trades", symbol="BTCUSDT")
    assert [trade["id"] for trade in newest] == service.ids[-500:]
    assert list(newest[0]) == ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]
    assert len(service.get("/api/v3/historicalTrades", symbol="BTCUSDT", limit=5_000)) == 1_000


def test_coinbase_pages_back_with_after() -> None:
    service = Service(Coinbase)
    reply = service.reply("/products/BTC-USD/trades", limit=400)
    found: list[int] = []
    while reply.body:
        ids = [trade["trade_id"] for trade in reply.body]
        assert (int(reply.headers["CB-BEFORE"]), int(reply.headers["CB-AFTER"])) == (ids[0], ids[-1])
        found += ids
        reply = service.reply("/products/BTC-USD/trades", limit=400, after=reply.headers["CB-AFTER"])
    assert found == service.ids[::-1]
    assert not reply.headers


def test_coinbase_before_gives_the_newest_down_to_its_cursor() -> None:
    service = Service(Coinbase)
    cursor = service.ids[-600]
    page = service.get("/products/BTC-USD/trades", before=cursor, limit=100)
    assert [trade["trade_id"] for trade in page] == service.ids[:-101:-1]
    both = service.get("/products/BTC-USD/trades", before=cursor, after=cursor + 4)
    assert [trade["trade_id"] for trade in both] == [cursor + 3, cursor + 2, cursor + 1]


def test_kraken_pages_the_whole_history_by_nanoseconds() -> None:
    service = Service(Kraken)
    found: list[int] = []
    cursor = "0"
    while True:
        result = service.get("/0/public/Trades", pair="XBTUSD", since=cursor, count=300)["result"]
        if not result["XXBTZUSD"]:
            break
        found += [row[6] for row in result["XXBTZUSD"]]
        cursor = result["last"]
    assert found == service.ids
    assert result["last"] == cursor
    newest = service.get("/0/public/Trades", pair="BTC/USD")["result"]
    assert [row[6] for row in newest["XXBTZUSD"]] == service.ids[-1_000:]
    trade = service.ledger.newest(1)[0]
    row = newest["XXBTZUSD"][-1]
    assert (float(row[0]), float(row[1]), round(row[2] * 1e6)) == (trade.price, trade.size, trade.at)
    assert row[3] == ("b" if trade.side > 0 else "s")


def test_candles_agree_across_intervals_and_venues_orders() -> None:
    service = Service(Binance)
    minutes = service.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=1000)
    fives = service.get("/api/v3/klines", symbol="BTCUSDT", interval="5m", limit=1000)
    assert [row[0] for row in minutes] == sorted(row[0] for row in minutes)
    for five in fives:
        part = [row for row in minutes if five[0] <= row[0] <= five[6]]
        assert (five[1], five[4]) == (part[0][1], part[-1][4])
        assert float(five[2]) == max(float(row[2]) for row in part)
        assert float(five[5]) == pytest.approx(sum(float(row[5]) for row in part))
    window = service.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=minutes[3][0], limit=2)
    assert window == minutes[3:5]
    until = service.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", endTime=minutes[3][0], limit=2)
    assert until == minutes[2:4]
    candles = Service(Coinbase).get("/products/BTC-USD/candles", granularity=60)
    assert [row[0] for row in candles] == sorted((row[0] for row in candles), reverse=True)
    assert all(row[1] <= min(row[3:5]) <= max(row[3:5]) <= row[2] for row in candles)
    ohlc = Service(Kraken).get("/0/public/OHLC", pair="SOLUSD", interval=5)["result"]
    assert ohlc["last"] == ohlc["SOLUSD"][-2][0]


def test_coinbase_candles_by_time() -> None:
    service = Service(Coinbase)
    start, end = START // 1_000_000 - 600, START // 1_000_000
    rows = service.get("/products/BTC-USD/candles", granularity=60, start=start, end=end)
    assert 9 <= len(rows) <= 11
    same = service.get(
        "/products/BTC-USD/candles", granularity=60, start="2026-11-18T10:56:40Z", end="2026-11-18T11:06:40"
    )
    assert same == rows


@pytest.mark.parametrize(
    ("path", "query", "status", "word"),
    [
        ("/api/v3/klines", {"symbol": "NOPE", "interval": "1m"}, 400, "Invalid symbol"),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, "Invalid interval"),
        ("/api/v3/trades", {}, 400, "Mandatory parameter"),
        ("/api/v3/historicalTrades", {"symbol": "BTCUSDT", "fromId": "x"}, 400, "Illegal characters"),
        ("/api/v3/exchangeInfo", {"symbol": "NOPE"}, 400, "Invalid symbol"),
        ("/api/v9", {}, 404, "Not found"),
    ],
)
def test_binance_rest_errors(path: str, query: dict[str, str], status: int, word: str) -> None:
    reply = Service(Binance).venue.rest(path, query, NOW)
    assert reply.status == status
    assert word in str(reply.body)


@pytest.mark.parametrize(
    ("path", "query", "status", "word"),
    [
        ("/products/NO-PE/trades", {}, 404, "NotFound"),
        ("/products/BTC-USD/trades", {"after": "x"}, 400, "Invalid cursor"),
        ("/products/BTC-USD/candles", {"granularity": "61"}, 400, "Unsupported granularity"),
        ("/products/BTC-USD/candles", {"granularity": "60", "start": "rubbish"}, 400, "Invalid date"),
        ("/products/BTC-USD/candles", {"granularity": "60", "start": "1000000000"}, 400, "exceeds 300"),
    ],
)
def test_coinbase_rest_errors(path: str, query: dict[str, str], status: int, word: str) -> None:
    reply = Service(Coinbase).venue.rest(path, query, NOW)
    assert reply.status == status
    assert word in str(reply.body)


@pytest.mark.parametrize(
    ("path", "query", "word"),
    [
        ("/0/public/Trades", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("/0/public/Trades", {"pair": "XBTUSD", "count": "1001"}, "EGeneral:Invalid arguments"),
        ("/0/public/Trades", {"pair": "XBTUSD", "since": "x"}, "EGeneral:Invalid arguments"),
        ("/0/public/OHLC", {"pair": "XBTUSD", "interval": "7"}, "EGeneral:Invalid arguments"),
        ("/0/public/AssetPairs", {"pair": "XBTUSD,NOPE"}, "EQuery:Unknown asset pair"),
        ("/0/public/Nothing", {}, "EGeneral:Unknown method"),
    ],
)
def test_kraken_rest_errors(path: str, query: dict[str, str], word: str) -> None:
    reply = Service(Kraken).venue.rest(path, query, NOW)
    assert reply.status == 200
    assert reply.body["error"][0].startswith(word)


def test_small_services() -> None:
    assert Service(Binance).get("/api/v3/time") == {"serverTime": NOW // 1_000}
    assert Service(Binance).get("/api/v3/ping") == {}
    assert Service(Kraken).get("/0/public/Time")["result"]["unixtime"] == NOW // 1_000_000
    assert Service(Coinbase).get("/time")["iso"].endswith("Z")
    assert Service(Coinbase).get("/products/BTC-USD")["id"] == "BTC-USD"
