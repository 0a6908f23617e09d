"""Every fault as a client sees it over a real socket, set at the start or while the simulator runs."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from contextlib import suppress
from random import Random
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError
from tests.simulator.sim_support import Running, connect, serving, until_closed
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus

from pricewatch.domain.errors import BadData, ConfigError, Refused, Unavailable
from pricewatch.domain.market import Market
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.transport.choice import connector
from pricewatch.ingest.transport.options import Options
from pricewatch.simulator.payloads import bomb, garbage
from pricewatch.simulator.settings import FaultSettings, SimulatorSettings

TRADES = "/binance/ws/btcusdt@trade"
WAIT = 30
"""Seconds for what comes at once on any machine."""


def settings(**faults: Any) -> SimulatorSettings:
    return SimulatorSettings(
        history_minutes=2, programme=False, rate=100.0, heartbeat=0.1, faults=FaultSettings(**faults)
    )


async def asked(running: Running, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    url = running.addresses.rest + path
    async with aiohttp.ClientSession() as http, http.request(method, url, json=body) as reply:
        return reply.status, await reply.json()


async def heard(socket: ClientConnection, **wanted: Any) -> dict[str, Any]:
    """The next frame with these fields."""
    async with asyncio.timeout(WAIT):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if all(frame.get(key) == value for key, value in wanted.items()):
                return frame


SUBSCRIBE = {
    "type": "subscribe",
    "product_ids": ["BTC-USD", "ETH-USD"],
    "channels": ["matches", "ticker", "heartbeat"],
}


async def test_a_mute_market_is_acknowledged_and_silent_while_heartbeats_go_on() -> None:
    async with (
        serving(settings(mute=("coinbase:BTC-USD",))) as running,
        connect(running.addresses.ws + "/coinbase") as socket,
    ):
        await socket.send(json.dumps(SUBSCRIBE))
        answer = json.loads(await socket.recv())
        assert all(entry["product_ids"] == ["BTC-USD", "ETH-USD"] for entry in answer["channels"])
        kinds: dict[str, set[str]] = {"BTC-USD": set(), "ETH-USD": set()}
        beats = 0
        while beats < 8:
            frame = json.loads(await socket.recv())
            kinds[frame["product_id"]].add(frame["type"])
            beats += frame["type"] == "heartbeat"
        assert kinds == {"BTC-USD": {"heartbeat"}, "ETH-USD": {"heartbeat", "ticker", "match", "last_match"}}
        assert (await asked(running, "POST", "/control/faults?venue=coinbase", {"mute": []}))[0] == 200
        await heard(socket, product_id="BTC-USD", type="match")


async def test_a_market_goes_mute_while_it_is_heard() -> None:
    async with serving(settings()) as running, connect(running.addresses.ws + "/binance/stream") as socket:
        names = ["btcusdt@trade", "ethusdt@trade"]
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        await heard(socket, stream="btcusdt@trade")
        running.server.change("binance", {"mute": ["binance:BTC-USDT"]})
        known = running.server.status()["markets"]["binance:BTC-USDT"]["last_id"]
        for _ in range(60):
            frame = json.loads(await socket.recv())
            assert frame["stream"] == "ethusdt@trade" or frame["data"]["t"] <= known
        assert running.server.status()["markets"]["binance:BTC-USDT"]["last_id"] > known


async def test_frozen_times_stand_still_on_the_socket() -> None:
    async with (
        serving(settings(freeze=("binance:BTC-USDT",))) as running,
        connect(running.addresses.ws + TRADES) as socket,
    ):
        frames = [json.loads(await socket.recv()) for _ in range(30)]
        assert len({frame["T"] for frame in frames}) == 1
        assert len({frame["t"] for frame in frames}) == 30
        running.server.change(None, {"freeze": []})
        async with asyncio.timeout(WAIT):
            while json.loads(await socket.recv())["T"] == frames[0]["T"]:
                pass


async def test_frozen_best_prices_and_a_second_freeze_at_another_time() -> None:
    frozen = settings(freeze=("kraken:BTC-USD",)).model_copy(update={"fields": "current"})
    request = {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "bbo"}}
    async with serving(frozen) as running, connect(running.addresses.ws + "/kraken") as socket:
        await socket.send(json.dumps(request))
        first = [(await heard(socket, type="update", channel="ticker"))["data"][0]["timestamp"] for _ in range(9)]
        running.server.change(None, {"freeze": []})
        async with asyncio.timeout(WAIT):
            while (await heard(socket, channel="ticker"))["data"][0]["timestamp"] == first[0]:
                pass
        running.server.change(None, {"freeze": ["kraken:BTC-USD"]})
        now = running.server.now()
        assert now
        again = [(await heard(socket, channel="ticker"))["data"][0]["timestamp"] for _ in range(9)]
    assert len(set(first)) == 1
    assert first[0] not in again


async def test_half_acknowledged_subscriptions_are_neither_confirmed_nor_served() -> None:
    symbols = [f"C{number}-USD" for number in range(12)]
    chosen = settings(half_ack=0.5).model_copy(update={"markets": {"kraken": tuple(symbols)}})
    request = {"method": "subscribe", "params": {"channel": "trade", "symbol": [f"C{n}/USD" for n in range(12)]}}
    async with serving(chosen) as running, connect(running.addresses.ws + "/kraken") as socket:
        confirmed: set[str] = set()
        served: set[str] = set()
        await socket.send(json.dumps(request))
        async with asyncio.timeout(WAIT):
            while len(served) < max(len(confirmed), 1) or running.server.status()["trades"] < 1_000:
                frame = json.loads(await socket.recv())
                if frame.get("method") == "subscribe":
                    confirmed.add(frame["result"]["symbol"])
                elif frame.get("channel") == "trade":
                    served |= {row["symbol"] for row in frame["data"]}
        assert served == confirmed
        assert 0 < len(confirmed) < 12
        running.server.change("kraken", {"half_ack": 0})
        missing = sorted(set(request["params"]["symbol"]) - confirmed)  # type: ignore[index]
        await socket.send(json.dumps({**request, "params": {"channel": "trade", "symbol": missing}}))
        assert {(await heard(socket, method="subscribe"))["result"]["symbol"] for _ in missing} == set(missing)


async def test_a_venue_that_lists_its_subscriptions_lists_half_of_them() -> None:
    async with serving(settings(half_ack=1.0)) as running, connect(running.addresses.ws + "/coinbase") as socket:
        await socket.send(json.dumps(SUBSCRIBE))
        assert json.loads(await socket.recv()) == {"type": "subscriptions", "channels": []}


async def test_slow_handshakes_and_handshakes_turned_away() -> None:
    async with serving(settings(handshake_delay=0.5)) as running:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with connect(running.addresses.ws + TRADES, open_timeout=0.05):
                pass
        begun = loop.time()
        async with connect(running.addresses.ws + TRADES, open_timeout=WAIT) as socket:
            assert loop.time() - begun >= 0.5
            await socket.recv()
        changes = {"handshake_delay": 0, "handshake_limit": 1, "rest_limit": 1, "limit_status": 418, "retry_after": 7}
        assert (await asked(running, "POST", "/control/faults", changes))[0] == 200
        with pytest.raises(InvalidStatus) as refused:
            async with connect(running.addresses.ws + TRADES):
                pass
        assert refused.value.response.status_code == 418
        assert refused.value.response.headers["Retry-After"] == "7"
        async with aiohttp.ClientSession() as http:
            async with http.get(running.addresses.rest + "/binance/api/v3/time") as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (418, "7")
            async with http.get(running.addresses.rest + "/kraken/0/public/Time") as reply:
                assert reply.status == 200
        for library in ("websockets", "aiohttp"):
            with pytest.raises(Refused) as error:
                async with connector(library, Options()).connect(running.addresses.ws + TRADES):
                    pass
            assert error.value.retry_after == 7
        await asked(running, "POST", "/control/faults?venue=binance", {"limit_status": 429})
        with pytest.raises(InvalidStatus, match="429"):
            async with connect(running.addresses.ws + TRADES):
                pass
        assert (await asked(running, "DELETE", "/control/faults"))[1]["binance"] == {"handshake_delay": 0.5}


async def test_a_rotation_is_announced_and_frames_flow_until_the_close() -> None:
    async with serving(settings(notice_lead=0.4)) as running:
        async with (
            connect(running.addresses.ws + "/binance/stream?streams=btcusdt@trade") as socket,
            connect(running.addresses.ws + "/kraken"),
        ):
            await socket.recv()
            assert await asked(running, "POST", "/control/accident?kind=notice") == (200, {"befell": 1})
            assert await asked(running, "POST", "/control/accident?kind=notice") == (200, {"befell": 0})
            assert (await heard(socket, stream="!serverShutdown"))["data"]["e"] == "serverShutdown"
            await heard(socket, stream="btcusdt@trade")
            with pytest.raises(ConnectionClosedOK):
                await until_closed(socket)
        running.server.change("binance", {"notice": 1, "notice_lead": 0})
        async with connect(running.addresses.ws + "/binance/stream") as socket:
            with pytest.raises(ConnectionClosedOK) as ended:
                await until_closed(socket)
            assert "serverShutdown" in ended.value.__notes__[0]


@pytest.mark.parametrize("kind", ["drop", "close", "stall", "garbage"])
async def test_accidents_on_demand(kind: str) -> None:
    async with serving(settings(stall_span=0.2)) as running, connect(running.addresses.ws + TRADES) as socket:
        await socket.recv()
        assert await asked(running, "POST", f"/control/accident?venue=binance&kind={kind}") == (200, {"befell": 1})
        if kind in {"drop", "close"}:
            with pytest.raises(ConnectionClosed) as ended:
                await until_closed(socket)
            assert (ended.value.rcvd is None) == (kind == "drop")
        else:
            for _ in range(50):
                await socket.recv(decode=False)


async def test_garbage_between_good_frames() -> None:
    async with serving(settings(garbage=1.0)) as running, connect(running.addresses.ws + TRADES) as socket:
        good, bad = 0, 0
        async with asyncio.timeout(WAIT):
            while good < 50 or bad < 5:
                try:
                    good += "t" in json.loads(await socket.recv(decode=False))
                except (ValueError, RecursionError, TypeError):
                    bad += 1


@pytest.mark.parametrize("venue", sorted(EXCHANGES))
def test_garbage_is_bad_data_to_every_adapter_and_nothing_else(venue: str) -> None:
    kind = EXCHANGES[venue]
    adapter = kind([Market(1, venue, "BTC-USD", kind.native("BTC-USD"), kind.step)])
    rng = Random(5)
    for _ in range(300):
        frame = garbage(rng)
        size = frame[1]
        payload = frame[2:] if size < 126 else frame[4:] if size == 126 else frame[10:]
        with suppress(BadData):
            adapter.receive(payload, 1_800_000_000_000_000, [])


async def test_a_bomb_inflates_for_who_lets_it() -> None:
    async with serving(settings(deflate=True, bomb_bytes=8 * 1_048_576)) as running:
        async with connect(running.addresses.ws + "/binance/ws") as socket:
            assert running.server.befall("binance", "bomb") == 1
            assert await socket.recv(decode=False) == b" " * (8 * 1_048_576)
        async with connect(running.addresses.ws + "/binance/ws", compression=None):
            assert await asked(running, "POST", "/control/accident?kind=bomb") == (200, {"befell": 0})
    assert len(bomb(1 << 30)) < 3 << 20


@pytest.mark.parametrize("library", ["websockets", "aiohttp"])
async def test_a_bomb_does_not_inflate_beyond_the_limit_of_our_clients(library: Any) -> None:
    size = 512 * 1_048_576
    options = Options(compression=True, max_frame=1_048_576)
    bomb(size)  # made beforehand: only the client's memory is measured
    async with (
        serving(settings(deflate=True, bomb_bytes=size)) as running,
        connector(library, options).connect(running.addresses.ws + "/binance/ws") as connection,
    ):
        tracemalloc.start()
        try:
            assert running.server.befall("binance", "bomb") == 1
            with pytest.raises((Unavailable, Refused)):
                async with asyncio.timeout(WAIT):
                    await connection.receive()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 64 * 1_048_576


def test_a_bomb_needs_compression() -> None:
    with pytest.raises(ValidationError, match="bomb needs deflate"):
        FaultSettings(bomb=0.1)


async def test_faults_are_told_changed_and_reset_for_one_venue_or_all() -> None:
    async with serving(settings(gap=0.1)) as running:
        assert await asked(running, "GET", "/control/faults") == (
            200,
            {"coinbase": {"gap": 0.1}, "kraken": {"gap": 0.1}, "binance": {"gap": 0.1}},
        )
        status, told = await asked(running, "POST", "/control/faults?venue=kraken", {"duplicate": 0.5, "gap": 0})
        assert (status, told["kraken"], told["binance"]) == (200, {"duplicate": 0.5}, {"gap": 0.1})
        for path, body, words in (
            ("/control/faults", {"colour": 1}, "colour"),
            ("/control/faults", {"gap": 2}, "gap"),
            ("/control/faults", {"seed": 9}, "settled at the start"),
            ("/control/faults", {"mute": ["kraken:X-Y"]}, "there is no market 'kraken:X-Y'; there are"),
            ("/control/faults", [1], "object"),
            ("/control/accident?kind=miracle", None, "there are drop, close"),
        ):
            status, reply = await asked(running, "POST", path, body)
            assert status == 422
            assert words in reply["error"]
        assert (await asked(running, "POST", "/control/faults?venue=nasdaq", {}))[0] == 404
        status, told = await asked(running, "DELETE", "/control/faults?venue=kraken")
        assert told["kraken"] == {"gap": 0.1}


async def test_a_fault_of_an_unknown_market_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"simulator\.faults\.freeze: there is no market 'binance:X-Y'"):
        async with serving(settings(freeze=("binance:X-Y",))):
            pass
