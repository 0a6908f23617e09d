"""Binance.US: frames and list as recorded, past trades without a key only the newest."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import msgspec
import pytest
from tests.simulator.sim_support import START, connect, seeded, serving
from tests.simulator.test_sim_frames import Listener, load, recorded, shape

from pricewatch.simulator.capture import load as loaded
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import SeededTape
from pricewatch.simulator.venues.binance_us import BinanceUS

MARKETS = {"markets": {"binance_us": ("BTC-USD", "MANA-USD")}}


@pytest.mark.shared
def test_best_prices_are_as_recorded(shared: Path) -> None:
    theirs = list(recorded(shared / "data/binance_us/binance_us-20210814T144513Z.jsonl.gz"))
    settings = SimulatorSettings.model_validate({"history_minutes": 30, **MARKETS})
    tape = SeededTape(settings, start=START)
    venue, listener = BinanceUS(tape.ledgers, settings), Listener()
    for item in tape.take(START + 20_000_000, 100_000, heard=True):
        assert isinstance(item, Live)
        venue.publish(item, listener)
    ours = [load(frame) for frame in listener.frames if frame.startswith('{"stream":"manausd@bookTicker')]
    real = {shape(frame) for frame in theirs if frame["stream"].endswith("@bookTicker")}
    assert len(ours) > 20
    assert {shape(frame) for frame in ours} == real


@pytest.mark.shared
def test_the_list_is_as_recorded(shared: Path) -> None:
    with gzip.open(shared / "data/binance_us/binance_us-20210814T144513Z-instruments.jsonl.gz", "rt") as lines:
        theirs = next(json.loads(json.loads(line)["raw"]) for line in lines if '"http"' in line)
    venue = BinanceUS(seeded(**MARKETS).ledgers, SimulatorSettings())
    ours = json.loads(msgspec.json.encode(venue.rest("/api/v3/exchangeInfo", {}, START).body))
    assert list(ours) == list(theirs)
    assert list(ours["symbols"][0]) == list(theirs["symbols"][0])


def test_older_trades_want_a_key() -> None:
    venue = BinanceUS(seeded(**MARKETS).ledgers, SimulatorSettings())
    query = {"symbol": "BTCUSD", "fromId": "1", "limit": "1000"}
    assert venue.rest("/api/v3/historicalTrades", query, START).status == 401
    reply = venue.rest("/api/v3/trades", {"symbol": "BTCUSD", "limit": "3"}, START)
    assert [row["id"] for row in reply.body] == [one.id for one in venue._ledgers["BTCUSD"].newest(3)]


@pytest.mark.shared
async def test_its_recording_comes_back(shared: Path) -> None:
    file = shared / "data/binance_us/binance_us-20210814T144513Z.jsonl.gz"
    settings = SimulatorSettings(speed="max")
    (tape,) = loaded([file], settings)
    theirs = [frame["data"] for frame in recorded(file) if frame["stream"] == "manausd@bookTicker"]
    async with serving(settings, [tape]) as running:
        address = f"{running.addresses.ws}/binance_us/ws/manausd@bookTicker"
        async with connect(address) as socket, asyncio.timeout(60):
            ours = [load(str(await socket.recv())) for _ in theirs]
    assert (tape.name, ours) == ("binance_us", theirs)
