"""What any venue may need of the server: binary frames, counters, numbered channels, POST, a start by REST."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs
from tests.simulator.sim_support import connect, serving

from pricewatch.domain.errors import ConfigError
from pricewatch.simulator.capture import load
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.registry import VENUES, listed
from pricewatch.simulator.session import Answer, Audience, Foreign, Heard, Live, Reply, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.venues.binance import Binance


class Bazaar(Venue):
    """Numbers its channels, counts its frames, names its trades and speaks gzip: everything at once."""

    id = "bazaar"
    hosts = ("ws.bazaar.example",)
    binary = True
    stamps = True

    def __init__(self, ledgers: Mapping[str, Ledger], settings: SimulatorSettings) -> None:
        del settings
        self.ledgers = {ledger.listing.native: ledger for ledger in ledgers.values()}

    @staticmethod
    def read(frame: bytes, memory: dict[str, Any]) -> Heard | None:
        if not frame.startswith(b"\x1f\x8b"):
            raise Foreign("it is not compressed")
        found = json.loads(gzip.decompress(frame))
        if "opened" in found:
            memory[found["number"]] = found["opened"]
            return Heard((found["opened"],), marks={"trades": found["number"]})
        if "number" not in found:
            return None
        native = memory[found["number"]]
        trade = Print(0, 1_000_000, found["price"], 1.0, 1, ref=found["ref"])
        return Heard((native,), ((native, frame),), ((native, trade),))

    def open(self, session: Session, path: str, query: Mapping[str, str], now: int) -> Answer:
        del path, now
        session.notes["count"] = 0
        return Answer((gzip.compress(b"{}"),)) if query.get("token") == "secret" else Answer(close=(1008, "token"))

    def receive(self, session: Session, text: str | bytes, now: int) -> Answer:
        del now
        session.topics[str(text)] = None
        mark = self.ledgers[str(text)].marks.get("trades", "0")
        return Answer((gzip.compress(json.dumps({"opened": str(text), "number": mark}).encode()),))

    def publish(self, live: Live, audience: Audience) -> None:
        if isinstance(live.event, Sweep):
            audience.send(live.ledger.listing.native, gzip.compress(b'{"live":1}'), trade=True)

    def stamp(self, session: Session, frame: bytes) -> bytes:
        session.notes["count"] += 1
        return gzip.compress(gzip.decompress(frame) + f" #{session.notes['count']}".encode())

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Reply:
        del path, query, now
        return Reply({})

    def post(self, path: str, query: Mapping[str, str], body: bytes, now: int) -> Reply:
        if path != "/start":
            return super().post(path, query, body, now)
        return Reply({"endpoint": self.socket, "token": json.loads(body)["wanted"]})


def line(**fields: Any) -> str:
    return json.dumps({"conn": "ws.1", **fields}) + "\n"


def packed(at: float, **fields: Any) -> str:
    return line(t=at, dir="in", b64=base64.b64encode(gzip.compress(json.dumps(fields).encode())).decode())


RECORDING = (
    packed(1, opened="BTC-USD", number="77")
    + packed(2, number="77", price=5.0, ref="a")
    + packed(2, number="77", price=5.0, ref="a")
    + packed(3, number="77", price=6.0, ref="b")
)
OPENED = line(t=0, dir="open", url="wss://eu.ws.bazaar.example/feed")


@pytest.fixture(autouse=True)
def bazaar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, "bazaar", Bazaar)


def said(message: str | bytes) -> str:
    assert isinstance(message, bytes), "a text message"
    return gzip.decompress(message).decode()


async def test_a_binary_recording_is_served_with_its_numbers_and_counted_for_each_client(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(OPENED + RECORDING, encoding="utf-8")
    settings = SimulatorSettings(speed="max")
    async with serving(settings, load([file], settings)) as running, aiohttp.ClientSession() as http:
        start = running.addresses.rest + "/bazaar/start"
        async with http.post(start, json={"wanted": "secret"}) as reply:
            told = await reply.json()
        async with http.post(running.addresses.rest + "/bazaar/else", json={}) as reply:
            assert reply.status == 405
        async with http.post(running.addresses.rest + "/nasdaq/start", json={}) as reply:
            assert reply.status == 404
        async with connect(f"{told['endpoint']}?token={told['token']}") as socket:
            assert said(await socket.recv()) == "{} #1"
            await socket.send("BTC-USD")
            frames = [said(await socket.recv()) for _ in range(4)]
    assert frames[0] == '{"opened": "BTC-USD", "number": "77"} #2'
    assert [json.loads(frame.partition(" #")[0])["ref"] for frame in frames[1:]] == ["a", "a", "b"]
    assert [frame.partition(" #")[2] for frame in frames[1:]] == ["3", "4", "5"]
    venue = running.server.houses["bazaar"].venue
    assert isinstance(venue, Bazaar)
    ledger = venue.ledgers["BTC-USD"]
    assert [(trade.id, trade.ref) for trade in ledger.newest(9)] == [(1, "a"), (2, "b")]


async def test_a_seeded_market_in_binary_and_no_word_before_a_maintenance() -> None:
    settings = SimulatorSettings(markets={"bazaar": ("BTC-USD",)}, programme=False, rate=100.0, history_minutes=1)
    async with serving(settings) as running, connect(running.addresses.ws + "/bazaar?token=secret") as socket:
        await socket.recv()
        await socket.send("BTC-USD")
        await socket.recv()
        assert said(await socket.recv()) == '{"live":1} #3'
        assert running.server.disconnect("bazaar", clean=True, notice=True) == 1


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("x.jsonl", OPENED),
        ("x.jsonl", line(t=0, dir="open", url="ws://127.0.0.1:9/bazaar/feed")),
        ("bazaar-20260101.jsonl", ""),
        ("bazaar/1.jsonl", ""),
        ("x.jsonl", ""),
    ],
)
def test_a_venue_is_told_by_address_name_folder_or_frames(tmp_path: Path, name: str, head: str) -> None:
    (tape,) = load([write(tmp_path, name, head + RECORDING)], SimulatorSettings())
    assert (tape.name, list(tape.ledgers)) == ("bazaar", ["bazaar:BTC-USD"])


def test_connections_of_several_venues_in_one_file(tmp_path: Path) -> None:
    coinbase = json.dumps({"type": "ticker", "product_id": "ETH-USD"})
    text = OPENED + line(t=1, dir="in", conn="ws.2", raw=coinbase) + RECORDING
    tapes = load([write(tmp_path, "x.jsonl", text)], SimulatorSettings())
    assert {tape.name for tape in tapes} == {"bazaar", "coinbase"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OPENED + line(t=1, dir="in", raw="{}"), "line 2: b'{}' is no frame of bazaar: it is not compressed"),
        (OPENED + packed(1, number="5"), "line 2: not a frame of bazaar that can be served"),
        (OPENED + line(t=1, dir="in", b64="?"), "line 2: not a line of a recording"),
        (OPENED + line(t=1, dir="in"), "'raw' .text. or 'b64'"),
        (OPENED + line(t=None, dir="in", raw="{}"), "line 2: field 't' is missing"),
        (OPENED + packed(1), "there is no frame of"),
    ],
)
def test_what_is_wrong_is_told_by_file_line_and_field(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load([write(tmp_path, "x.jsonl", text)], SimulatorSettings())


def test_a_daily_file_goes_on_with_the_connections_of_the_one_before(tmp_path: Path) -> None:
    first, second = RECORDING.splitlines(keepends=True)[:2], RECORDING.splitlines(keepends=True)[2:]
    folder = tmp_path / "bazaar"
    write(folder, "bazaar-20260101T000000Z.jsonl", OPENED + "".join(first))
    later = write(folder, "bazaar-20260102T000000Z.jsonl", "".join(second))
    (tape,) = load([folder], SimulatorSettings(speed="max"))
    assert len(list(tape.take(0, 10, heard=True))) == 3
    with pytest.raises(ConfigError, match="line 1: not a frame of bazaar"):
        load([later], SimulatorSettings())


def test_a_recording_of_which_a_venue_knows_only_a_word_is_not_its(tmp_path: Path) -> None:
    known, foreign = line(t=1, dir="in", raw='{"result":null,"id":1}'), line(t=1, dir="in", raw='{"odd":1}')
    with pytest.raises(ConfigError, match="no frame of"):
        load([write(tmp_path, "x.jsonl", known + foreign * 5)], SimulatorSettings())


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_file_whose_writer_was_killed_is_read_up_to_its_torn_end(tmp_path: Path, cut: int) -> None:
    whole = (OPENED + RECORDING).encode()
    plain = tmp_path / "x.jsonl"
    plain.write_bytes(whole[:-cut])
    compressed = tmp_path / "y.jsonl.gz"
    compressed.write_bytes(gzip.compress(OPENED.encode() + whole, compresslevel=0)[:-cut])
    for file in (plain, compressed):
        with capture_logs() as logs:
            (tape,) = load([file], SimulatorSettings(speed="max"))
        assert [entry["event"] for entry in logs] == (["recording.torn"] if file is compressed or cut > 1 else [])
        assert len(list(tape.take(0, 10, heard=True))) >= 1


def test_a_market_of_no_venue_or_without_a_quote_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no venue 'nasdaq'; there are"):
        listed("nasdaq", "A-B")
    with pytest.raises(ConfigError, match="'BTC' is not BASE-QUOTE"):
        listed("binance", "BTC")
    assert listed("bazaar", "BTC-USD").native == "BTC-USD"
    assert Bazaar.recognised("BTC").symbol == "BTC"


def test_the_registry_is_sorted_and_every_venue_names_its_hosts() -> None:
    ours = [name for name in VENUES if name != "bazaar"]
    assert ours == sorted(ours)
    assert all(VENUES[name].id == name and VENUES[name].hosts for name in VENUES)


def test_defaults_of_a_venue() -> None:
    venue = Bazaar({}, SimulatorSettings())
    session = Session(opened=0)
    assert venue.beat(session, 0) == Answer()
    assert venue.limited(7).headers == {"Retry-After": "7"}
    assert venue.announce(0) is None
    assert Venue.stamp(venue, session, b"x") == b"x"
    plain = Binance({}, SimulatorSettings())
    assert plain.announce(5_000) == b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":5}}'


def test_binance_control_frames_are_left_to_the_server() -> None:
    for frame in (b'{"result":null,"id":1}', b'{"code":2,"msg":"x"}', b'{"stream":"!serverShutdown","data":{}}'):
        assert Binance.read(frame, {}) is None
    with pytest.raises(Foreign):
        Binance.read(b'{"a":1}', {})
