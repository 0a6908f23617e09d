"""Every frame and reply of the simulator against the recorded ones, field for field."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.simulator.sim_support import START, seeded

from pricewatch.simulator.market import Sweep
from pricewatch.simulator.session import Live, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape
from pricewatch.simulator.venues.binance import Binance
from pricewatch.simulator.venues.coinbase import Coinbase
from pricewatch.simulator.venues.kraken import Kraken

pytestmark = pytest.mark.shared

DECIMAL = re.compile(r"-?\d+(?:\.(\d+))?\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d+)Z\Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


class Number(str):
    """A JSON number with a point, as written."""

    __slots__ = ()


class Listener:
    """An audience that hears everything."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    def hears(self, topic: str) -> bool:
        return not (topic.endswith("+")) or "@" in topic

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        self.frames.append(frame.decode())


def load(text: str) -> Any:
    return json.loads(text, parse_float=Number)


def kind(value: Any) -> str:
    """The JSON type of a value, and the format of what its text says."""
    if isinstance(value, Number):
        return "float"
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    if isinstance(value, int):
        return "int"
    if isinstance(value, str):
        if moment := TIME.match(value):
            return f"time{len(moment[1])}"
        return "uuid" if UUID.match(value) else "decimal" if DECIMAL.match(value) else "text"
    return type(value).__name__


def shape(value: Any) -> Any:
    """Keys in their order with the types of their values."""
    if isinstance(value, dict):
        return tuple((key, shape(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return tuple(dict.fromkeys(shape(inner) for inner in value))
    return kind(value)


def decimals(frames: Iterable[dict[str, Any]]) -> dict[str, set[int]]:
    """How many decimals each decimal text of each field has."""
    found = defaultdict(set)
    for frame in frames:
        for key, value in frame.items():
            if isinstance(value, str) and not isinstance(value, Number) and (match := DECIMAL.match(value)):
                found[key].add(len(match[1] or ""))
    return dict(found)


def trailing(frames: Iterable[dict[str, Any]], key: str) -> bool:
    """Whether a field ever ends in a needless zero."""
    return any("." in str(frame[key]) and str(frame[key])[-1] in "0." for frame in frames)


def recorded(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record["dir"] == "in":
                yield load(record["raw"])


def simulated(venue: type[Binance | Coinbase | Kraken], **changes: Any) -> list[dict[str, Any]]:
    settings = SimulatorSettings(history_minutes=30, **changes)
    tape = SeededTape(settings, start=START)
    house: Venue = venue({key: ledger for key, ledger in tape.ledgers.items() if key.startswith(venue.id)}, settings)
    listener = Listener()
    for item in tape.take(START + 20_000_000, 100_000, heard=True):
        assert isinstance(item, Live)
        if item.ledger.listing.venue == venue.id:
            house.publish(item, listener)
    return [load(frame) for frame in listener.frames]


def house(venue: type[Any], **changes: Any) -> Any:
    tape = seeded(**changes)
    mine = {key: ledger for key, ledger in tape.ledgers.items() if key.startswith(venue.id)}
    return venue(mine, SimulatorSettings(**changes))


def example(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The acknowledgement and the pushed message of an example conversation."""
    text = file.read_text(encoding="utf-8").replace("|1|", "1")
    answer = next(line[2:] for line in text.splitlines() if line.startswith("< "))
    return load(answer), load(text[text.index("\n=") + 2 :])


def test_binance_streams_are_as_recorded(shared: Path) -> None:
    theirs = list(recorded(shared / "data/binance/binance-btcusdt-20240808T235413Z.jsonl.gz"))
    ours = [frame for frame in simulated(Binance) if "stream" in frame]
    raw = [frame for frame in simulated(Binance) if "stream" not in frame]
    for stream in ("trade", "bookTicker"):
        real = [frame for frame in theirs if frame["stream"].endswith(f"@{stream}")]
        mine = [frame for frame in ours if frame["stream"].endswith(f"@{stream}")]
        assert len(mine) > 20
        assert {shape(frame) for frame in mine} == {shape(frame) for frame in real}
        assert decimals(frame["data"] for frame in mine) == decimals(frame["data"] for frame in real)
        data = {shape(frame["data"]) for frame in real}
        assert data <= {shape(frame) for frame in raw}
    assert all(frame["stream"].partition("@")[0].upper() == frame["data"]["s"] for frame in ours)


def test_binance_answers_are_as_the_example(shared: Path) -> None:
    answer, pushed = example(shared / "data/frames/binance/BookTicker.txt")
    ours = [frame for frame in simulated(Binance) if frame.get("stream", "").endswith("@bookTicker")]
    assert shape(ours[0]) == shape(pushed)
    binance, session = house(Binance), Session(opened=START)
    binance.open(session, "/ws", {}, START)
    reply = binance.receive(session, '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}', START)
    assert shape(load(reply.frames[0].decode())) == shape(answer)
    # The example of a trade still has the order ids `b` and `a`, which the venue took out in 2023.
    _, trade = example(shared / "data/frames/binance/Trades.txt")
    mine = next(frame for frame in simulated(Binance) if frame.get("stream", "").endswith("@trade"))
    assert [key for key in trade["data"] if key not in {"a", "b"}] == list(mine["data"])


def test_binance_rest_is_as_the_examples(shared: Path) -> None:
    lines = (shared / "data/rest/binance/GetKlines.txt").read_text(encoding="utf-8").split("\n", 3)
    theirs = load(lines[3])
    binance = house(Binance)
    reply = binance.rest("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m"}, START)
    ours = load(msgspec.json.encode(reply.body).decode())
    assert [kind(value) for value in ours[0]] == [kind(value) for value in theirs[0]]
    assert [len(value.partition(".")[2]) for value in ours[0] if isinstance(value, str)] == [8] * 8 + [0]
    listing = next(recorded_http(shared / "data/binance/binance-20210417T163612Z-instruments.jsonl.gz"))
    mine = load(msgspec.json.encode(binance.rest("/api/v3/exchangeInfo", {}, START).body).decode())
    assert list(mine) == list(listing)
    assert list(mine["symbols"][0]) == list(listing["symbols"][0])
    filters = {one["filterType"]: shape(one) for one in listing["symbols"][0]["filters"]}
    assert all(shape(one) == filters[one["filterType"]] for one in mine["symbols"][0]["filters"])


def recorded_http(file: Path) -> Iterator[Any]:
    with gzip.open(file, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record["dir"] == "http":
                yield load(record["raw"])


def test_coinbase_frames_are_as_recorded(shared: Path) -> None:
    theirs = list(recorded(shared / "data/coinbase/coinbase-20210417T164337Z-a.jsonl.gz"))
    ours = simulated(Coinbase)
    for name in ("ticker", "match"):
        real = [frame for frame in theirs if frame["type"] == name]
        mine = [frame for frame in ours if frame["type"] == name]
        assert {shape(frame) for frame in mine} == {shape(frame) for frame in real}
        fixed = {key: found for key, found in decimals(real).items() if found == {8}}
        assert {key: decimals(mine)[key] for key in fixed} == fixed
        for key in decimals(real):
            assert trailing(mine, key) <= trailing(real, key), key
    coinbase, session = house(Coinbase), Session(opened=START)
    request = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["ticker", "matches", "heartbeat"]}
    frames = [load(frame.decode()) for frame in coinbase.receive(session, json.dumps(request), START).frames]
    for name, frame in zip(("subscriptions", "ticker", "last_match"), frames, strict=True):
        assert shape(frame) in {shape(one) for one in theirs if one["type"] == name}


def test_coinbase_products_are_as_recorded(shared: Path) -> None:
    theirs = next(recorded_http(shared / "data/coinbase/coinbase-20210417T164337Z-instruments.jsonl.gz"))
    ours = load(msgspec.json.encode(house(Coinbase).rest("/products", {}, START).body).decode())
    real = next(product for product in theirs if product["id"] == "BTC-USD")
    assert shape(ours[0]) == shape(real)
    assert ours[0]["quote_increment"] == real["quote_increment"]
    assert ours[0]["base_increment"] == real["base_increment"]


@pytest.mark.parametrize(("file", "channel"), [("Ticker", "ticker"), ("Trades", "trade")])
def test_kraken_frames_are_as_the_examples(shared: Path, file: str, channel: str) -> None:
    answer, pushed = example(shared / f"data/frames/kraken_v2/{file}.txt")
    ours = [frame for frame in simulated(Kraken) if frame["channel"] == channel]
    assert len(ours) > 20
    assert {shape(frame) for frame in ours} == {shape(pushed)}
    kraken, session = house(Kraken), Session(opened=START)
    request = {
        "method": "subscribe",
        "params": {"channel": channel, "symbol": ["BTC/USD"], "snapshot": True},
        "req_id": 1,
    }
    frames = [load(frame.decode()) for frame in kraken.receive(session, json.dumps(request), START).frames]
    assert sorted(shape(frames[0])) == sorted((*shape(answer)[:1], *shape(frames[0])[1:2], *shape(answer)[2:]))
    assert sorted(shape(frames[0]["result"])) == sorted(shape(answer["result"]))
    assert frames[1]["type"] == "snapshot"
    assert shape(frames[1]) == shape({**pushed, "type": "snapshot"})


def test_kraken_rest_is_as_the_examples(shared: Path) -> None:
    lines = (shared / "data/rest/kraken_v2/GetKlines.txt").read_text(encoding="utf-8").split("\n", 3)
    theirs = load(lines[3])
    kraken = house(Kraken)
    ours = load(msgspec.json.encode(kraken.rest("/0/public/OHLC", {"pair": "XBTUSD"}, START).body).decode())
    assert list(ours["result"]) == list(theirs["result"])
    assert [kind(value) for value in ours["result"]["XXBTZUSD"][0]] == [
        kind(value) for value in theirs["result"]["XXBTZUSD"][0]
    ]
    assert [len(value.partition(".")[2]) for value in ours["result"]["XXBTZUSD"][0][1:7]] == [1, 1, 1, 1, 1, 8]
    listing = next(recorded_http(shared / "data/kraken/kraken-20210417T164852Z-instruments.jsonl.gz"))
    pairs = load(msgspec.json.encode(kraken.rest("/0/public/AssetPairs", {}, START).body).decode())["result"]
    real = listing["result"]["XXBTZUSD"]
    assert list(pairs["XXBTZUSD"]) == list(real)
    for key in ("altname", "wsname", "base", "quote", "pair_decimals", "lot_decimals"):
        assert pairs["XXBTZUSD"][key] == real[key]


def test_current_fields_are_added_only_where_asked() -> None:
    ticker = next(frame for frame in simulated(Coinbase, fields="current") if frame["type"] == "ticker")
    assert {"best_bid_size", "best_ask_size"} <= set(ticker)
    kraken = next(frame for frame in simulated(Kraken, fields="current") if frame["channel"] == "ticker")
    assert kind(kraken["data"][0]["timestamp"]) == "time6"


def test_kraken_bundles_the_trades_of_one_taker() -> None:
    tape = SeededTape(SimulatorSettings(history_minutes=0), start=START)
    sweeps = [
        item.event.prints
        for item in tape.take(START + 30_000_000, 100_000, heard=True)
        if isinstance(item, Live) and isinstance(item.event, Sweep)
    ]
    frames = [frame for frame in simulated(Kraken) if frame["channel"] == "trade"]
    assert max(len(frame["data"]) for frame in frames) > 1
    assert any(len({trade.at for trade in prints}) == 1 and len(prints) > 1 for prints in sweeps)
