"""What the venues answer to good, wrong and malformed requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.simulator.sim_support import START, seeded

from pricewatch.simulator.session import Answer, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.binance import Binance
from pricewatch.simulator.venues.coinbase import Coinbase
from pricewatch.simulator.venues.kraken import Kraken

SECOND = 1_000_000


class Client:
    """A client of one venue, without a socket."""

    def __init__(self, venue: type[Any], **changes: Any) -> None:
        ledgers = {key: one for key, one in seeded().ledgers.items() if key.startswith(venue.id)}
        self.venue: Venue = venue(ledgers, SimulatorSettings(**changes))
        self.session = Session(opened=START)
        self.now = START

    def connect(self, path: str = "", **query: str) -> Answer:
        return self.venue.open(self.session, path, query, self.now)

    def say(self, request: Any) -> list[Any]:
        text = request if isinstance(request, str | bytes) else json.dumps(request)
        return [json.loads(frame) for frame in self.venue.receive(self.session, text, self.now).frames]


def binance(path: str = "/ws", **query: str) -> Client:
    client = Client(Binance, message_limit=1_000)
    assert client.connect(path, **query).close is None
    return client


def test_binance_subscribes_by_address() -> None:
    assert list(binance("/stream", streams="btcusdt@trade/ethusdt@bookTicker").session.topics) == [
        "btcusdt@trade+",
        "ethusdt@bookTicker+",
    ]
    assert list(binance("/ws/btcusdt@trade").session.topics) == ["btcusdt@trade"]
    assert Client(Binance).connect("/elsewhere").close is not None
    assert Client(Binance).connect("/ws/rubbish").close is not None


def test_binance_subscribes_lists_and_unsubscribes() -> None:
    client = binance()
    assert client.say({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "nosuch@trade"], "id": 1}) == [
        {"result": None, "id": 1}
    ]
    assert client.say({"method": "LIST_SUBSCRIPTIONS", "id": "abc"}) == [
        {"result": ["btcusdt@trade", "nosuch@trade"], "id": "abc"}
    ]
    assert client.say({"method": "UNSUBSCRIBE", "params": ["nosuch@trade"], "id": None}) == [
        {"result": None, "id": None}
    ]
    assert list(client.session.topics) == ["btcusdt@trade"]


def test_binance_turns_the_envelope_on_and_off() -> None:
    client = binance("/ws/btcusdt@trade")
    assert client.say({"method": "GET_PROPERTY", "params": ["combined"], "id": 1}) == [{"result": False, "id": 1}]
    assert client.say({"method": "SET_PROPERTY", "params": ["combined", True], "id": 2}) == [{"result": None, "id": 2}]
    assert list(client.session.topics) == ["btcusdt@trade+"]


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ("{", 3, "Invalid JSON"),
        (b"\xff", 3, "Invalid JSON"),
        ([], 2, "must be an object"),
        ({"id": 1}, 2, "missing field `method`"),
        ({"method": "SUBSCRIBE", "params": ["btcusdt@trade"]}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": True}, 2, "request ID"),
        ({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": "x" * 37}, 2, "request ID"),
        ({"method": "subscribe", "id": 1}, 2, "unknown variant"),
        ({"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}, 2, "list"),
        ({"method": "SUBSCRIBE", "params": ["not a stream"], "id": 1}, 2, "invalid stream"),
        ({"method": "SUBSCRIBE", "params": [], "id": 1}, 2, "invalid stream"),
        ({"method": "SUBSCRIBE", "params": [f"x{n}@trade" for n in range(1_025)], "id": 1}, 2, "too many"),
        ({"method": "GET_PROPERTY", "params": [], "id": 1}, 2, "property name"),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 1}, 0, "Unknown property"),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}, 1, "expected Boolean"),
    ],
)
def test_binance_refuses_as_documented(request_: Any, code: int, words: str) -> None:
    (answer,) = binance().say(request_)
    assert answer["code"] == code
    assert words in answer["msg"]


def test_binance_ends_a_connection_that_talks_too_much_or_lives_too_long() -> None:
    client = Client(Binance)
    client.connect("/ws")
    for _ in range(5):
        client.say({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert client.venue.receive(client.session, "{}", START).close == (1008, "Too many requests")
    assert client.venue.beat(client.session, START + 19 * SECOND) == Answer()
    assert client.venue.beat(client.session, START + 20 * SECOND).ping is not None
    assert client.venue.beat(client.session, START + 86_400 * SECOND).close is not None


def coinbase() -> Client:
    client = Client(Coinbase)
    assert client.connect().close is None
    return client


def test_coinbase_answers_with_all_subscriptions_then_the_last_of_each() -> None:
    client = coinbase()
    client.say({"type": "subscribe", "product_ids": ["ETH-USD"], "channels": ["heartbeat"]})
    frames = client.say({"type": "subscribe", "channels": [{"name": "matches", "product_ids": ["BTC-USD", "ETH-USD"]}]})
    assert frames[0] == {
        "type": "subscriptions",
        "channels": [
            {"name": "heartbeat", "product_ids": ["ETH-USD"]},
            {"name": "matches", "product_ids": ["BTC-USD", "ETH-USD"]},
        ],
    }
    assert [frame["type"] for frame in frames[1:]] == ["last_match", "last_match"]
    assert client.say({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]})[1:] == []
    left = client.say({"type": "unsubscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channels": ["matches"]})
    assert left == [{"type": "subscriptions", "channels": [{"name": "heartbeat", "product_ids": ["ETH-USD"]}]}]


@pytest.mark.parametrize(
    ("request_", "message", "reason"),
    [
        ("{", "Malformed JSON", None),
        ([], "Type has to be either subscribe or unsubscribe", None),
        ({"type": "dance"}, "Type has to be either subscribe or unsubscribe", None),
        ({"type": "subscribe", "product_ids": ["BTC-USD"]}, "Failed to subscribe", "No channels provided"),
        ({"type": "subscribe", "channels": ["ticker"]}, "Failed to subscribe", "No product_ids provided"),
        (
            {"type": "subscribe", "product_ids": ["BTC-USD", "NO-PE"], "channels": ["ticker"]},
            "Failed to subscribe",
            "NO-PE is not a valid product",
        ),
        (
            {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channels": ["gossip"]},
            "Failed to unsubscribe",
            "gossip is not a valid channel",
        ),
    ],
)
def test_coinbase_refuses_the_whole_request(request_: Any, message: str, reason: str | None) -> None:
    client = coinbase()
    (answer,) = client.say(request_)
    assert (answer["type"], answer["message"], answer.get("reason")) == ("error", message, reason)
    assert not client.session.topics


def test_coinbase_waits_five_seconds_for_a_subscription_then_beats_once_a_second() -> None:
    client = coinbase()
    assert client.venue.beat(client.session, START + 4 * SECOND).close is None
    assert client.venue.beat(client.session, START + 5 * SECOND).close is not None
    client.say({"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channels": ["heartbeat"]})
    frames = [json.loads(frame) for frame in client.venue.beat(client.session, START + 6 * SECOND).frames]
    assert [(frame["type"], frame["product_id"]) for frame in frames] == [
        ("heartbeat", "BTC-USD"),
        ("heartbeat", "ETH-USD"),
    ]
    assert list(frames[0]) == ["type", "sequence", "last_trade_id", "product_id", "time"]
    assert frames[0]["last_trade_id"] > 0
    assert client.venue.beat(client.session, START + 6 * SECOND + 1).frames == ()
    assert Client(Coinbase).connect("/other").close is not None


def kraken() -> Client:
    client = Client(Kraken)
    (status,) = (json.loads(frame) for frame in client.connect().frames)
    assert status["channel"] == "status"
    assert status["data"][0]["system"] == "online"
    return client


def test_kraken_answers_each_symbol_on_its_own() -> None:
    client = kraken()
    params = {"channel": "ticker", "symbol": ["BTC/USD", "NO/PE"], "event_trigger": "bbo", "snapshot": False}
    good, bad = client.say({"method": "subscribe", "params": params, "req_id": 7})
    assert good["result"] == {"channel": "ticker", "snapshot": False, "symbol": "BTC/USD"}
    assert (good["success"], good["req_id"]) == (True, 7)
    assert (bad["success"], bad["symbol"], bad["req_id"]) == (False, "NO/PE", 7)
    assert bad["error"] == "Currency pair not supported NO/PE"
    assert list(client.session.topics) == ["ticker:bbo:BTC/USD"]
    (gone,) = client.say({"method": "unsubscribe", "params": params | {"symbol": ["BTC/USD"]}})
    assert gone["success"]
    assert "req_id" not in gone
    assert not client.session.topics


def test_kraken_sends_snapshots_where_asked() -> None:
    client = kraken()
    _, ticker = client.say({"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USD"]}})
    assert ticker["type"] == "snapshot"
    assert len(client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}})) == 1
    params = {"channel": "trade", "symbol": ["SOL/USD"], "snapshot": True}
    _, trades = client.say({"method": "subscribe", "params": params})
    assert len(trades["data"]) == 50
    ids = [trade["trade_id"] for trade in trades["data"]]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ("nonsense", "Malformed request"),
        ([], "Malformed request"),
        ({"method": 3}, "Malformed request"),
        ({"method": "fly"}, "Unsupported method"),
        ({"method": "subscribe"}, "Subscription channel invalid"),
        (
            {"method": "subscribe", "params": {"channel": "level9", "symbol": ["BTC/USD"]}},
            "Subscription channel invalid",
        ),
        ({"method": "subscribe", "params": {"channel": "trade"}}, "Symbol(s) not found"),
        (
            {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "x"}},
            "Event trigger invalid",
        ),
    ],
)
def test_kraken_refuses_with_an_error(request_: Any, error: str) -> None:
    (answer,) = kraken().say(request_)
    assert (answer["success"], answer["error"]) == (False, error)
    assert {"time_in", "time_out"} <= set(answer)


def test_kraken_pongs_and_beats_when_quiet() -> None:
    client = kraken()
    (pong,) = client.say({"method": "ping", "req_id": 9})
    assert (pong["method"], pong["req_id"]) == ("pong", 9)
    assert client.venue.beat(client.session, START + 9 * SECOND).frames == ()
    client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}})
    assert client.venue.beat(client.session, START + 9 * SECOND).frames == (b'{"channel":"heartbeat"}',)
    client.session.busy = START + 10 * SECOND
    assert client.venue.beat(client.session, START + 10 * SECOND + 5).frames == ()
    assert Client(Kraken).connect("/v1").close is not None
