"""Foreseen troubles: one clear message that names the thing and the fix, a count, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.captures import BTC, ETH, trades
from tests.acceptance.rig import Process, Rig, rigged, tell, until
from tests.acceptance.test_acceptance_kills import MARKETS, rules

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(360)]

BITCOIN = {"binance": ["BTC-USDT"]}


def events(process: Process | None, name: str) -> list[dict[str, Any]]:
    """What the service logged under a name."""
    assert process is not None
    lines = [json.loads(line) for line in process.words().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


async def exits(rig: Rig, words: list[str], code: int) -> str:
    """A command that refuses: its one message."""
    process = await Process.start(words, rig.folder, f"refused-{code}")
    async with asyncio.timeout(60):
        assert await process.process.wait() == code, process.words()
    message = process.words()
    assert "Traceback" not in message
    assert message.count("pricewatch:") == 1
    return message


@pytest.mark.shared
async def test_a_database_that_comes_late_and_goes_away(shared: Path) -> None:
    wanted = trades(shared / "data" / BTC)
    async with rigged(external=True) as rig:
        server = rig.external
        assert server is not None
        await server.start()
        rig.reserve_venue()
        rig.configure(BITCOIN, database={"url": server.url(), "probe_interval": 0.2})
        await rig.prepare(rules(wanted | trades(shared / "data" / ETH))[:3])
        await server.stop()
        await rig.command("check", expect=5)
        await rig.start_service()

        async def waits() -> bool:
            return (await rig.readiness())[0] == 503

        await until(waits, within=20, what="the gateway says 503")
        troubles = (await rig.readiness())[1]["troubles"]
        assert "database" in troubles
        await asyncio.sleep(2)
        assert len(events(rig.service, "database.awaited")) <= 1
        await server.start()
        await rig.start_venue([shared / "data" / BTC], speed=20.0)
        await rig.ready()
        await asyncio.sleep(2)
        await server.stop()

        async def piles_up() -> bool:
            return bool((await rig.status())["store"]["waiting"] > 300)

        await until(piles_up, within=15, what="ticks wait in the spool")
        assert (await rig.readiness())[0] == 503
        assert (await rig.status())["store"]["trouble"]
        await server.start()
        await until(rig.venue_done, within=30, what="the capture has been played")
        await rig.drained()
        left = await rig.left()
        assert left.keys("binance:BTC-USDT") == sorted(wanted["binance:BTC-USDT"])
        assert {one.id for one in left.expected()} == set(left.ids())
        left.assert_feeds_are_whole()
        assert left.deliveries
        for name in ("store.lost", "store.back"):
            assert len(events(rig.service, name)) == 1, name
        assert rig.service is not None
        assert await rig.service.stop() == 0


@pytest.mark.shared
async def test_a_mail_server_that_refuses_or_is_away(shared: Path) -> None:
    wanted = trades(shared / "data" / BTC) | trades(shared / "data" / ETH)
    async with rigged() as rig:
        rig.mailbox.refusing = True
        await rig.start_venue([shared / "data" / BTC, shared / "data" / ETH], speed=40.0)
        rig.configure(MARKETS)
        await rig.prepare(rules(wanted))
        await rig.start_service()
        await rig.ready()

        async def told_off() -> bool:
            return any("451" in (one["last_error"] or "") for one in (await rig.left()).deliveries)

        await until(told_off, within=20, what="the refusal is written down", every=0.2)
        await rig.mailbox.stop()

        async def away() -> bool:
            return str(rig.mailbox.port) in str((await rig.status())["delivery"]["trouble"])

        await until(away, within=20, what="status names the mail server's address")
        rig.mailbox.refusing = False
        await rig.mailbox.start()
        await until(rig.venue_done, within=30, what="the capture has been played")
        await rig.drained()
        left = await rig.left()
        assert set(rig.mailbox.ids().values()) == {1}
        assert len(rig.mailbox.mails) == len(left.deliveries) > 0
        assert (await rig.status())["delivery"]["trouble"] is None


@pytest.mark.shared
async def test_a_venue_that_accepts_and_closes_at_once(shared: Path) -> None:
    wanted = trades(shared / "data" / BTC)
    async with rigged() as rig:
        rig.reserve_venue()
        rig.configure(BITCOIN)
        await rig.start_venue([shared / "data" / BTC], speed="max", faults={"refuse": 1.0})
        await rig.start_service()

        async def counted() -> bool:
            venues = (await rig.status()).get("ingest", {}).get("venues", {})
            return "binance" in venues and venues["binance"]["counters"]["reconnects"] >= 5

        async def answers() -> bool:
            return (await rig.readiness())[0] == 503

        await until(answers, within=20, what="the gateway says 503")
        await until(counted, within=20, what="five connections were lost")
        before = (await rig.status())["ingest"]["venues"]["binance"]["counters"]["reconnects"]
        await asyncio.sleep(3)
        after = (await rig.status())["ingest"]["venues"]["binance"]["counters"]["reconnects"]
        assert after - before < 60, "0.5 s between tries at most, by luck less: but no storm"
        status, answer = await rig.readiness()
        assert status == 503
        assert "binance" in answer["troubles"]["ingest"]
        assert len(events(rig.service, "feed.lost")) == 1
        assert rig.venue is not None
        await rig.venue.stop()
        await rig.start_venue([shared / "data" / BTC], speed="max")
        await rig.ready()
        await until(rig.venue_done, within=30, what="the capture has been played")
        await rig.drained()
        left = await rig.left()
        assert left.prices("binance:BTC-USDT") == wanted["binance:BTC-USDT"]


@pytest.mark.shared
async def test_a_venue_on_its_worst_day(shared: Path) -> None:
    files = [shared / "data" / BTC, shared / "data" / ETH]
    wanted = trades(files[0]) | trades(files[1])
    luck = {"gap": 0.02, "duplicate": 0.02, "reorder": 0.02, "drop": 0.1, "close": 0.1, "rest_limit": 0.05}
    async with rigged() as rig:
        rig.reserve_venue()
        rig.configure(MARKETS)
        await rig.prepare(rules(wanted))
        await rig.start_service()
        await rig.start_venue(files, speed=15.0, mode="pause", faults=luck)
        await rig.ready()
        await until(rig.venue_done, within=45, what="the capture has been played")

        async def complete() -> bool:
            left = await rig.left()
            return len(left.prints) == sum(map(len, wanted.values())) and all(one["closed_seen"] for one in left.gaps)

        await until(complete, within=15, what="every trade is there and every gap closed", every=0.5)
        await rig.drained()
        parts = await rig.status()
        counted = parts["ingest"]["venues"]["binance"]["counters"]
        left = await rig.left()
        tell(counted, len(left.signals), "signals", len(left.gaps), "gaps")
        for market, ids in wanted.items():
            assert left.prices(market) == ids
        assert all(one["closed_seen"] for one in left.gaps)
        assert counted["duplicates"] > 0 < counted["refilled"]
        offered = counted["received"] - counted["duplicates"] - sum(counted["rejected"].values())
        assert offered == parts["store"]["stored"] + parts["store"]["conflicts"] == len(left.prints)
        found, expected = set(left.ids()), {one.id: one for one in left.expected()}
        assert not [one for key, one in expected.items() if key not in found]
        assert found <= expected.keys()
        assert {one["state"] for one in left.deliveries} == {"sent"}


async def test_a_second_service_on_the_same_folder_is_refused() -> None:
    async with rigged() as rig:
        await rig.start_venue()
        rig.configure({"coinbase": ["BTC-USD"]})
        await rig.start_service()
        await rig.ready()
        message = await exits(rig, ["run", "--config", str(rig.config)], 3)
        assert rig.service is not None
        assert str(rig.service.process.pid) in message
        assert str(rig.folder / "data") in message
        assert "stop it, or" in message
        await rig.ready()


async def test_an_unknown_key_is_named_with_its_nearest_neighbour() -> None:
    async with rigged() as rig:
        rig.reserve_venue()
        rig.configure({"coinbase": ["BTC-USD"]}, engine={"warmup": 5})
        message = await exits(rig, ["run", "--config", str(rig.config)], 3)
        assert "engine.warmup" in message
        assert "did you mean engine.warm_up?" in message
        assert not (rig.folder / "data").exists()


async def test_a_rule_with_a_wrong_field_is_refused_everywhere() -> None:
    wrong = {"title": "x", "symbols": ["BTC-USD"], "when": {"type": "above", "levle": "5"}}
    async with rigged() as rig:
        await rig.start_venue()
        rig.configure({"coinbase": ["BTC-USD"]})
        await rig.prepare([])
        await rig.start_service()
        await rig.ready()
        status, answer = await rig.post("rules", wrong)
        assert status == 422, answer
        assert answer["field"] == "$.when"
        assert "did you mean 'level'?" in answer["detail"]
        file = rig.folder / "wrong.json"
        file.write_text(json.dumps([wrong]))
        message = await exits(rig, ["rules", "add", str(file), "--account", "trader", "--config", str(rig.config)], 4)
        assert "wrong.json[0].$.when" in message
        assert "did you mean 'level'?" in message
        good = wrong | {"when": {"type": "above", "level": "5"}}
        status, answer = await rig.post("rules", good)
        assert status == 201
        assert len(json.loads(await rig.command("rules", "list", "--account", "trader", "--json"))) == 1
        assert rig.service is not None
        rig.service.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):  # a second signal would end it at once
            assert await rig.service.process.wait() == 0
