"""Deribit: what it answers, and its frames field for field as documented and recorded."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.simulator.sim_support import START, connect, seeded, serving
from tests.simulator.test_sim_frames import Listener, kind, load, shape

from pricewatch.simulator.capture import load as loaded
from pricewatch.simulator.session import Answer, Foreign, Heard, Live, Session
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape
from pricewatch.simulator.venues.deribit import Deribit, trades_frame

SECOND = 1_000_000
MARKETS: dict[str, Any] = {"markets": {"deribit": ("BTC-PERPETUAL", "ETH-USDC", "BTC-27JUN25")}}
DOCUMENTED = (
    '{"trade_seq":30289442,"trade_id":"48079269","timestamp":1590484512188,"tick_direction":2,"price":8950.0,'
    '"mark_price":8948.9,"instrument_name":"BTC-PERPETUAL","index_price":8955.88,"direction":"sell","amount":10.0}'
)


class Client:
    def __init__(self) -> None:
        self.venue = Deribit(seeded(**MARKETS).ledgers, SimulatorSettings())
        self.session = Session(opened=START)

    def say(self, request: Any) -> list[Any]:
        text = request if isinstance(request, str | bytes) else json.dumps(request)
        return [load(frame.decode()) for frame in self.venue.receive(self.session, text, START).frames]

    def call(self, method: str, **params: Any) -> list[Any]:
        return self.say({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})

    def get(self, path: str, **query: str) -> Any:
        reply = self.venue.rest(f"/public/{path}", query, START + 30 * SECOND)
        assert reply.status == 200
        return json.loads(msgspec.json.encode(reply.body))["result"]


def published(channel: str) -> list[Any]:
    settings = SimulatorSettings(history_minutes=30, **MARKETS)
    tape = SeededTape(settings, start=START)
    venue, listener = Deribit(tape.ledgers, settings), Listener()
    for item in tape.take(START + 20 * SECOND, 100_000, heard=True):
        assert isinstance(item, Live)
        venue.publish(item, listener)
    frames = [load(frame) for frame in listener.frames]
    return [frame for frame in frames if frame["params"]["channel"].startswith(channel)]


def test_trades_are_as_documented() -> None:
    frames = published("trades.BTC-PERPETUAL.100ms")
    assert len(frames) > 20
    rows = [row for frame in frames for row in frame["params"]["data"]]
    assert {shape(row) for row in rows} == {shape(load(DOCUMENTED))}
    assert [row["trade_seq"] for row in rows] == list(range(rows[0]["trade_seq"], rows[0]["trade_seq"] + len(rows)))
    (spot, *_) = published("trades.ETH_USDC.100ms")
    assert spot["params"]["data"][0]["trade_id"].startswith("ETH_USDC-")


@pytest.mark.shared
def test_tickers_are_as_recorded(shared: Path) -> None:
    with gzip.open(shared / "data/deribit/deribit-20210722T224203Z.jsonl.gz", "rt") as lines:
        raws = [json.loads(line)["raw"] for line in lines if '"dir": "in"' in line or '"dir":"in"' in line]
    tickers = [load(raw) for raw in raws if '"channel":"ticker.' in raw]
    theirs = next(one["params"]["data"] for one in tickers if one["params"]["data"]["stats"]["volume"] is not None)
    ours = published("ticker.BTC-PERPETUAL.100ms")
    assert len(ours) > 20
    data = ours[0]["params"]["data"]
    of_options = {"underlying_price", "underlying_index", "mark_iv", "bid_iv", "ask_iv", "greeks"}
    assert set(data) == set(theirs) - of_options
    assert all(shape(data[key]) == shape(theirs[key]) for key in set(data) - {"stats"})
    assert set(data["stats"]) == set(theirs["stats"])
    assert [*ours[0], *ours[0]["params"]] == [*tickers[0], *tickers[0]["params"]]
    answer = next(load(raw) for raw in raws if '"result"' in raw)
    (ours_answer, *_) = Client().call("public/subscribe", channels=["trades.BTC-PERPETUAL.100ms"])
    assert shape(ours_answer) == shape(answer)


def test_what_is_unknown_is_missing_among_the_accepted() -> None:
    client = Client()
    names = ["trades.BTC-PERPETUAL.100ms", "ticker.ETH_USDC.agg2", "ticker.X.100ms", "book.ETH_USDC.100ms", "nothing"]
    answer, ticker = client.call("public/subscribe", channels=names)
    assert answer["result"] == names[:2]
    assert ticker["params"]["channel"] == names[1]
    assert client.call("public/subscribe", channels=names[:2])[0]["result"] == names[:2]
    assert client.call("public/unsubscribe", channels=[names[0], "ticker.BTC-PERPETUAL.100ms"])[0]["result"] == [
        names[0]
    ]
    assert list(client.session.topics) == [names[1]]


def test_heartbeats_on_request() -> None:
    client = Client()
    assert client.venue.open(client.session, "/ws/api/v2", {}, START) == Answer()
    assert client.venue.beat(client.session, START + 90 * SECOND) == Answer()
    assert client.call("public/set_heartbeat", interval=10)[0]["result"] == "ok"
    beat = client.venue.beat(client.session, START + 10 * SECOND)
    assert [load(frame.decode())["params"]["type"] for frame in beat.frames] == ["heartbeat", "test_request"]
    assert client.call("public/test")[0]["result"] == {"version": "1.2.26"}
    assert client.venue.beat(client.session, START + 20 * SECOND).close is None
    assert client.venue.beat(client.session, START + 30 * SECOND).close is not None
    assert client.venue.open(client.session, "/elsewhere", {}, START).close is not None
    assert client.call("public/get_time")[0]["result"] == START // 1_000


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("{", -32700),
        ([], -32600),
        ({"method": "public/what"}, -32601),
        ({"method": "public/subscribe"}, -32602),
        ({"method": "public/subscribe", "params": {"channels": "trades"}}, -32602),
        ({"method": "public/set_heartbeat", "params": {"interval": 5}}, -32602),
        ({"method": "public/subscribe", "params": {"channels": ["trades.BTC-PERPETUAL.raw"]}}, 13778),
    ],
)
def test_wrong_requests(request_: Any, code: int) -> None:
    (answer,) = Client().say(request_)
    assert answer["error"]["code"] == code


@pytest.mark.shared
def test_instruments_are_as_recorded(shared: Path) -> None:
    with gzip.open(shared / "data/deribit/deribit-20210722T224203Z-instruments.jsonl.gz", "rt") as lines:
        rows = [row for line in lines if '"http"' in line for row in json.loads(json.loads(line)["raw"])["result"]]
    theirs = next(row for row in rows if row["instrument_name"] == "BTC-PERPETUAL")
    client = Client()
    ours = client.get("get_instruments", currency="any", kind="future")
    assert [row["instrument_name"] for row in ours] == ["BTC-PERPETUAL", "BTC-27JUN25"]
    assert set(ours[0]) == set(theirs) - {"max_leverage", "max_liquidation_commission"}
    for key in ("settlement_period", "quote_currency", "kind", "base_currency", "contract_size"):
        assert ours[0][key] == theirs[key]
    assert [row["instrument_name"] for row in client.get("get_instruments", currency="ETH")] == ["ETH_USDC"]


def test_trades_by_number() -> None:
    client = Client()
    ledger = client.venue._ledgers["BTC-PERPETUAL"]
    first = ledger.first_id
    assert first is not None
    page = client.get(
        "get_last_trades_by_instrument",
        instrument_name="BTC-PERPETUAL",
        start_seq=str(first),
        end_seq=str(first + 9),
        count="4",
        sorting="asc",
    )
    assert [row["trade_seq"] for row in page["trades"]] == list(range(first, first + 4))
    assert page["has_more"]
    assert [kind(value) for value in page["trades"][0].values()] == [kind(v) for v in json.loads(DOCUMENTED).values()]
    newest = client.get("get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL", start_seq=str(first))
    last = ledger.newest(1)[0].id
    assert [row["trade_seq"] for row in newest["trades"]] == list(range(last, last - 10, -1))
    rest = client.get(
        "get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL", start_seq=str(last), sorting="asc"
    )
    assert (len(rest["trades"]), rest["has_more"]) == (1, False)


def test_chart_data_are_columns() -> None:
    client = Client()
    start = START // 1_000 - 600_000
    options = {"instrument_name": "ETH_USDC", "resolution": "1", "start_timestamp": str(start)}
    chart = client.get("get_tradingview_chart_data", end_timestamp=str(START // 1_000), **options)
    assert chart["status"] == "ok"
    columns = {key: len(chart[key]) for key in ("ticks", "open", "high", "low", "close", "volume", "cost")}
    assert set(columns.values()) == {10}
    assert chart["ticks"] == sorted(chart["ticks"])
    empty = client.get("get_tradingview_chart_data", end_timestamp=str(start - 1), **options)
    assert (empty["status"], empty["ticks"]) == ("no_data", [])
    assert client.get("test") == {"version": "1.2.26"}
    assert client.get("get_time") == (START + 30 * SECOND) // 1_000


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("get_last_trades_by_instrument", {"instrument_name": "X"}),
        ("get_last_trades_by_instrument", {"instrument_name": "ETH_USDC", "count": "x"}),
        ("get_tradingview_chart_data", {"instrument_name": "ETH_USDC", "resolution": "7"}),
        ("get_instruments", {}),
        ("what", {}),
    ],
)
def test_rest_refuses(path: str, query: dict[str, str]) -> None:
    venue = Client().venue
    assert venue.rest(f"/public/{path}", query, START).status == 400
    assert venue.limited(3).headers == {"Retry-After": "3"}


@pytest.mark.shared
async def test_its_recording_comes_back_for_who_gathers_over_100_ms(shared: Path) -> None:
    file = shared / "data/deribit/deribit-20210722T224203Z.jsonl.gz"
    with gzip.open(file, "rt") as lines:
        raws = [record["raw"] for record in map(json.loads, lines) if record["dir"] == "in"]
    mine = [raw for raw in raws if '"channel":"ticker.BTC-31DEC21-34000-P.raw"' in raw]
    settings = SimulatorSettings(speed="max")
    (tape,) = loaded([file], settings)
    channel = "ticker.BTC-31DEC21-34000-P.100ms"
    request = {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": [channel]}}
    async with (
        serving(settings, [tape]) as running,
        connect(f"{running.addresses.ws}/deribit/ws/api/v2") as socket,
        asyncio.timeout(60),
    ):
        await socket.send(json.dumps(request))
        assert json.loads(await socket.recv())["result"] == [channel]
        ours = [str(await socket.recv()) for _ in mine]
    assert len(mine) > 5
    assert ours == [raw.replace(".raw", ".100ms", 1) for raw in mine]


def test_recorded_trades_are_known_by_number_and_text() -> None:
    params = f'{{"channel":"trades.BTC-PERPETUAL.raw","data":[{DOCUMENTED}]}}'
    frame = f'{{"jsonrpc":"2.0","method":"subscription","params":{params}}}'
    heard = Deribit.read(frame.encode(), {})
    assert isinstance(heard, Heard)
    ((native, trade),) = heard.prints
    assert (native, trade.id, trade.ref, trade.side) == ("BTC-PERPETUAL", 30289442, "48079269", -1)
    assert [topic for topic, _ in heard.topics] == ["trades.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.agg2"]
    assert Deribit.read(b'{"jsonrpc":"2.0","id":1,"result":[]}', {}) is None
    with pytest.raises(Foreign):
        Deribit.read(frame.replace("trades.BTC-PERPETUAL.raw", "trades").encode(), {})
    ledger = Client().venue._ledgers["BTC-PERPETUAL"]
    ledger.add(msgspec.structs.replace(trade, id=ledger.newest(1)[0].id + 1))
    assert f'"trade_id":"{trade.ref}"' in trades_frame("x", ledger, ledger.newest(1))
