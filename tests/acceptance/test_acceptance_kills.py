"""kill -9 of the service, of PostgreSQL and of both: nothing lost, nothing doubled, the same signals, every mail."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import signal
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.acceptance.captures import BTC, ETH, Trades, prints, trades
from tests.acceptance.oracle import LATE, expected
from tests.acceptance.rig import Rig, rigged, tell, until
from tests.acceptance.world import World, scores

from pricewatch.gateway.settings import GatewaySettings

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.shared, pytest.mark.timeout(840)]

SPEED = 11.0
VICTIMS = ("service", "postmaster", "backend", "both")
MARKETS = {"binance": ["BTC-USDT", "ETH-USDT"]}
PATIENT = ("above for a while", "above once in a while")
"""Rules whose timers may come due by our own clock: what they say depends on when the service was away."""


class Outcome(NamedTuple):
    """What one battered run left behind."""

    left: World
    wanted: Trades
    mails: Counter[str]
    by_signal: dict[str, set[str]]
    notes: list[str]
    watched: list[dict[str, Any]]
    """What a follower of the feed was told."""


def rules(wanted: Trades) -> list[dict[str, Any]]:
    """A handful around the recorded prices, so that each fires several times."""
    bitcoin = sorted(wanted["binance:BTC-USDT"].values())
    ether = sorted(wanted["binance:ETH-USDT"].values())

    def at(prices: list[float], share: float) -> str:
        return str(prices[int(share * len(prices))])

    policy: dict[str, Any] = {"channels": ["email"], "hysteresis": "0.01%"}
    return [
        {"title": title, "symbols": [symbol], "when": when, "policy": policy | more}
        for title, symbol, when, more in (
            ("above", "BTC-USDT", {"type": "above", "level": at(bitcoin, 0.5)}, {}),
            ("below", "BTC-USDT", {"type": "below", "level": at(bitcoin, 0.3)}, {}),
            ("crosses", "BTC-USDT", {"type": "crosses", "direction": "up", "level": at(bitcoin, 0.6)}, {}),
            ("ether above", "ETH-USDT", {"type": "above", "level": at(ether, 0.5)}, {"mail_on_clear": True}),
            ("change", "ETH-USDT", {"type": "change", "window": "20s", "percent": "0.05", "direction": "either"}, {}),
            ("anomaly", "ETH-USDT", {"type": "anomaly", "score": "2.5"}, {"channels": []}),
            (PATIENT[0], "BTC-USDT", {"type": "above", "level": at(bitcoin, 0.5)}, {"for": "2s"}),
            (PATIENT[1], "BTC-USDT", {"type": "above", "level": at(bitcoin, 0.5)}, {"cooldown": "30s"}),
        )
    ]


async def begin(rig: Rig, files: list[Path], wanted: Trades, mode: str) -> None:
    rig.reserve_venue()
    # Models are saved often, so that restarts find some.
    rig.configure(MARKETS, evaluation={"snapshot_interval": 2.0})
    await rig.prepare(rules(wanted))
    await rig.start_service()
    await rig.start_watch()
    # Last, for a tape that runs on does not wait for its listeners.
    await rig.start_venue(files, speed=SPEED, mode=mode)
    await rig.ready()


async def end(rig: Rig, wanted: Trades, notes: list[str]) -> Outcome:
    await until(rig.venue_done, within=150, what="the capture has been played")
    await rig.ready()

    async def complete() -> bool:
        left = await rig.left()
        return all(len(left.keys(market)) >= len(since(left, market, ids)) for market, ids in wanted.items())

    with contextlib.suppress(AssertionError):  # told in detail by the tests
        await until(complete, within=15, what="all trades are there", every=0.5)
    await rig.drained()
    total = len((await rig.left()).signals)

    async def told() -> bool:
        return any(one["type"] == "signal" and one["seq"] >= total for one in rig.watched())

    with contextlib.suppress(AssertionError):  # told in detail by the tests
        await until(told, within=20, what="the follower has heard of all signals", every=0.5)
    watched = rig.watched()
    assert rig.watch is not None
    assert rig.watch.alive, rig.watch.words()
    assert rig.service is not None
    assert await rig.service.stop() == 0
    mailbox = rig.mailbox
    return Outcome(await rig.left(), wanted, mailbox.ids(), mailbox.by_signal(), notes, watched)


def since(left: World, market: str, ids: dict[int, float]) -> list[int]:
    """The capture's ids from the first one that was seen live."""
    first = min(left.keys(market), default=0)
    return [key for key in sorted(ids) if key >= first]


async def strike(rig: Rig, victim: str, luck: random.Random) -> None:
    """kill -9; a service is started again, its database is its own affair."""
    server = rig.server_pids()
    if victim in ("postmaster", "both") and server:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server[0], signal.SIGKILL)
    if victim == "backend" and len(server) > 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(luck.choice(server[1:]), signal.SIGKILL)
    if victim in ("service", "both"):
        assert rig.service is not None
        await rig.service.kill()
        await rig.start_service()


async def battered(files: list[Path], wanted: Trades, mode: str, seed: int) -> Outcome:
    luck = random.Random(seed)
    notes = [f"mode {mode}, seed {seed}"]
    async with rigged() as rig:
        await begin(rig, files, wanted, mode)
        victims = luck.sample(VICTIMS, len(VICTIMS)) + luck.sample(VICTIMS, 2)
        for victim in victims:
            await asyncio.sleep(luck.uniform(1.0, 5.0))
            if await rig.venue_done():
                break
            await strike(rig, victim, luck)
            notes.append(victim)
        return await end(rig, wanted, notes)


async def in_phases(files: list[Path], wanted: Trades) -> Outcome:
    """The three moments between which a crash must lose nothing, met exactly, from outside."""
    notes: list[str] = []
    async with rigged() as rig:
        rig.mailbox.silent = True
        await begin(rig, files, wanted, "pause")
        assert rig.service is not None

        async def owed() -> bool:
            return rig.mailbox.connections > 0 and len((await rig.left()).deliveries) > 0

        await until(owed, within=20, what="deliveries are committed and the mail server is silent", every=0.2)
        await rig.service.kill()
        notes.append(f"between commit and send: {len(rig.mailbox.mails)} mails")
        rig.mailbox.silent, rig.mailbox.holding = False, True
        await rig.start_service()

        async def held() -> bool:
            return rig.mailbox.held > 0

        await until(held, within=30, what="the mail server holds its answer")
        await rig.service.kill()
        rig.mailbox.holding = False
        notes.append(f"between send and mark: {len(rig.mailbox.mails)} mails")
        await rig.start_service()
        await rig.ready()
        rig.signal_server(signal.SIGSTOP)

        async def piling_up() -> bool:
            waiting: int = (await rig.status())["store"]["waiting"]
            return waiting > 200

        await until(piling_up, within=20, what="ticks wait in the spool")
        await rig.service.kill()
        notes.append("between append and COPY")
        rig.signal_server(signal.SIGKILL)
        await rig.start_service()
        return await end(rig, wanted, notes)


async def all_runs(shared: Path, seed: int) -> dict[str, Outcome]:
    files = [shared / "data" / BTC, shared / "data" / ETH]
    wanted = trades(files[0]) | trades(files[1])
    async with asyncio.TaskGroup() as group:
        runs = {mode: group.create_task(battered(files, wanted, mode, seed)) for mode in ("pause", "runon")}
        runs["phases"] = group.create_task(in_phases(files, wanted))
    return {name: run.result() for name, run in runs.items()}


@pytest.fixture(scope="module")
def outcomes(shared: Path, pytestconfig: pytest.Config) -> dict[str, Outcome]:
    """All of them at the same time: a loaded machine is part of it. The seed is that of the test run."""
    seed = pytestconfig.getoption("randomly_seed", default=random.SystemRandom().randrange(10_000))
    found = asyncio.run(all_runs(shared, int(seed)))
    for outcome in found.values():
        left, mails = outcome.left, sum(outcome.mails.values())
        tell(outcome.notes, len(left.prints), "trades", len(left.signals), "signals", len(left.deliveries), "owed")
        tell(mails, "mails", len(left.gaps), "gaps, by flags", Counter(one.flags for one in left.prints))
    return found


@pytest.fixture(params=["pause", "runon", "phases"])
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, Outcome]) -> Outcome:
    tell(outcomes[request.param].notes)
    return outcomes[request.param]


def test_no_trade_is_missing_or_doubled(outcome: Outcome) -> None:
    left = outcome.left
    for market, ids in outcome.wanted.items():
        assert left.keys(market) == since(left, market, ids)
        assert left.prices(market).items() <= ids.items()
        if outcome.notes[0].startswith("mode runon"):
            assert len(left.keys(market)) > 0.6 * len(ids)
        else:
            assert len(left.keys(market)) == len(ids)


def names(left: World) -> dict[uuid.UUID, str]:
    return {rule.id: rule.document["title"] for rule in left.rules}


def test_the_signals_are_those_of_an_undisturbed_run(outcome: Outcome) -> None:
    left, titles = outcome.left, names(outcome.left)
    wanted = {one.id: one for one in left.expected() if titles[one.rule] not in PATIENT}
    found = {one["id"]: one for one in left.signals if titles[one["rule_id"]] not in PATIENT}
    assert not [wanted[missing] for missing in wanted.keys() - found.keys()]
    assert not [found[extra] for extra in found.keys() - wanted.keys()]
    assert {titles[one["rule_id"]] for one in left.signals} >= {
        "above",
        "below",
        "crosses",
        "ether above",
        "change",
        "anomaly",
    }


@pytest.mark.parametrize("name", ["pause", "phases"])
def test_where_nothing_was_missed_the_capture_alone_decides(
    name: str, outcomes: dict[str, Outcome], shared: Path
) -> None:
    left = outcomes[name].left
    told = [one for file in (BTC, ETH) for one in prints(shared / "data" / file)]
    eager = [dataclasses.replace(rule, from_seen=0) for rule in left.rules if rule.document["title"] not in PATIENT]
    wanted = {one.id for one in expected(eager, told, scores=scores(told, 100))}
    titles = names(left)
    assert {one["id"] for one in left.signals if titles[one["rule_id"]] not in PATIENT} == wanted


def test_a_patient_rule_keeps_its_word(outcome: Outcome) -> None:
    left, titles = outcome.left, names(outcome.left)
    wanted = {one.id: one for one in left.expected() if titles[one.rule] in PATIENT}
    found = {one["id"]: one for one in left.signals if titles[one["rule_id"]] in PATIENT}
    assert not [wanted[missing] for missing in wanted.keys() - found.keys()]
    assert not [found[extra] for extra in found.keys() - wanted.keys()]
    assert found


def test_the_feed_has_no_hole(outcome: Outcome) -> None:
    outcome.left.assert_feeds_are_whole()


def test_a_follower_heard_every_signal_once_and_in_order(outcome: Outcome) -> None:
    first = next(one for one in outcome.watched if one["type"] == "snapshot" and one["channel"] == "signals")
    # Who comes late is shown the newest of what was before; from there on nothing is left out or repeated.
    told = [*first["data"], *(one["data"] for one in outcome.watched if one["type"] == "signal")]
    before = told[0]["seq"] - 1
    assert not before or len(first["data"]) == GatewaySettings().snapshot_signals
    course = [{**one, "data": ...} for one in outcome.watched if one["type"] != "ticker" and one["type"] != "heartbeat"]
    heard = outcome.left.signals[before:]
    assert [one["seq"] for one in told] == [one["seq"] for one in heard], course[:30]
    assert [one["id"] for one in told] == [str(one["id"]) for one in heard]
    assert any(one["type"] == "lost" for one in outcome.watched)


def test_what_was_learned_from_history_says_that_it_is_late(outcome: Outcome) -> None:
    late = {f"trade:{one.key}": one for one in outcome.left.prints if one.flags & LATE}
    documents = [json.loads(one["payload"]) for one in outcome.left.signals]
    for document in documents:
        if document["cause"] in late:
            assert document["late"], document


def test_every_mail_came_and_every_copy_is_the_same_message(outcome: Outcome) -> None:
    assert outcome.left.deliveries
    assert {one["state"] for one in outcome.left.deliveries} == {"sent"}
    for delivery in outcome.left.deliveries:
        assert len(outcome.by_signal[str(delivery["signal_id"])]) == 1
    assert len(outcome.mails) == len(outcome.left.deliveries)


def test_the_phases_were_met(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["phases"]
    assert outcome.notes[0] == "between commit and send: 0 mails"
    assert max(outcome.mails.values()) >= 2, "what was sent but not marked is sent again"
