"""Two engines on one database and bus, while their owner is killed and frozen: the signals of an undisturbed run.

`python -m tests.acceptance.takeover` runs it in full: 100,000 trades, 10 kills, 3 freezes of 5 s, then the same
recording twice undisturbed. Prints a line a run; exits 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from tests.acceptance.captures import Trades, prints, trades
from tests.acceptance.cuts import tape
from tests.acceptance.oracle import expected
from tests.acceptance.rig import Process, Rig, rigged, until
from tests.acceptance.world import World

from pricewatch.testing.bus import RedisServer

MARKETS = {"binance": ["BTC-USDT", "ETH-USDT"]}
FENCED = 6
"""The exit code of an engine whose shard is another's."""
FIRES = 60
"""About so many trades of a market lie beyond a level."""


class Size(NamedTuple):
    """How much of it."""

    trades: int
    speed: float
    """Times a thousand trades a second."""
    kills: int
    freezes: int
    frozen: float = 5.0
    """Seconds, longer than the lease."""


class Outcome(NamedTuple):
    """What a run left behind."""

    left: World
    wanted: Trades
    capture: set[uuid.UUID]
    """Signals of the capture's trades alone, whatever happened."""
    takeovers: list[tuple[str, float]]
    """What befell the owner, and the seconds until another one's cursor had passed its own."""
    handover: float
    """The same after a SIGTERM."""
    woken: list[int]
    """Exit codes of the frozen ones."""
    complaints: list[int]
    """How often each of them said so."""
    idle: int
    """So many of the takeovers came after the tape's last trade: a machine too slow for the speed."""

    @property
    def ids(self) -> set[uuid.UUID]:
        return set(self.left.ids())

    def named(self) -> set[tuple[str, str, str]]:
        """What makes the ids, but for the rules' own, which are made anew in every run."""
        documents = [json.loads(one["payload"]) for one in self.left.signals]
        return {(one["title"], one["cause"], str(one["direction"])) for one in documents}

    def line(self) -> str:
        wanted, found = {one.id for one in self.left.expected()}, self.left.ids()
        slowest = {
            what: round(max(seconds for kind, seconds in self.takeovers if kind == what), 2)
            for what in sorted({kind for kind, _ in self.takeovers})
        }
        middle = sorted(seconds for _, seconds in self.takeovers)
        return (
            f"{len(self.left.prints)} trades of {sum(map(len, self.wanted.values()))} stored, {len(found)} signals, "
            f"{len(wanted - set(found))} missing, {len(set(found) - wanted)} extra, {len(found) - len(set(found))} "
            f"doubled; {len(self.takeovers)} takeovers, slowest {slowest} s, "
            f"median {middle[len(middle) // 2] if middle else 0.0:.2f} s, {self.idle} after the last trade; "
            f"handed over in {self.handover:.2f} s"
        )

    def check(self) -> None:
        """The same as if nothing had happened."""
        for market, ids in self.wanted.items():
            assert self.left.keys(market) == sorted(ids), market
            assert self.left.prices(market) == ids, market
        assert self.ids == {one.id for one in self.left.expected()}
        assert self.ids == self.capture
        self.left.assert_feeds_are_whole()
        assert len(self.ids) > FIRES
        assert self.woken == [FENCED] * len(self.woken)
        assert self.complaints == [1] * len(self.complaints)


def rules(wanted: Trades) -> list[dict[str, Any]]:
    """Levels in the tails, so that no rule is paused for firing too often."""
    bitcoin, ether = (sorted(wanted[market].values()) for market in ("binance:BTC-USDT", "binance:ETH-USDT"))
    return [
        {"title": title, "symbols": [symbol], "when": when, "policy": {"hysteresis": "0.01%"}}
        for title, symbol, when in (
            ("above", "BTC-USDT", {"type": "above", "level": str(bitcoin[-FIRES])}),
            ("below", "BTC-USDT", {"type": "below", "level": str(bitcoin[FIRES])}),
            ("crosses", "BTC-USDT", {"type": "crosses", "direction": "up", "level": str(bitcoin[-2 * FIRES])}),
            ("ether above", "ETH-USDT", {"type": "above", "level": str(ether[-FIRES])}),
            ("ether below", "ETH-USDT", {"type": "below", "level": str(ether[FIRES])}),
        )
    ]


class Pair:
    """Two engines that are to be told apart by their process ids only."""

    def __init__(self, rig: Rig, url: str) -> None:
        self._rig = rig
        self._url = url
        self.engines: dict[str, Process] = {}

    async def start(self, name: str) -> None:
        self.engines[name] = await Process.start(
            ["run", "--config", str(self._rig.folder / f"{name}.toml")], self._rig.folder, name
        )

    async def shard(self) -> tuple[int, int, int]:
        """The owner's process, the term, the cursor."""
        connection = await asyncpg.connect(self._url)
        try:
            row = await connection.fetchrow("SELECT owner, term, cursor_seen FROM shard WHERE shard = 0")
        finally:
            await connection.close()
        return (int(row["owner"].rpartition(":")[2] or 0), row["term"], row["cursor_seen"]) if row else (0, 0, 0)

    async def owner(self) -> str:
        number, _, _ = await self.shard()
        return next(name for name, one in self.engines.items() if one.process.pid == number)

    async def stands_by(self, name: str) -> None:
        """Wait until it does; after every start it says so once."""
        before = self._said(name, "shard.standby")

        async def says_so() -> bool:
            return self._said(name, "shard.standby") > before

        await self.start(name)
        await until(says_so, within=60, what=f"{name} stands by", every=0.1)

    def _said(self, name: str, event: str) -> int:
        log = self._rig.folder / f"{name}.log"
        return log.read_text().count(event) if log.exists() else 0

    def lost(self) -> int:
        """How often any of them has said that it lost the shard."""
        return sum(self._said(name, "shard.lost") for name in self.engines)

    async def taken_over(self, before: tuple[int, int, int], began: float) -> float:
        """Seconds until another engine has evaluated beyond where the last one stood."""

        async def goes_on() -> bool:
            _, term, cursor = await self.shard()
            return term > before[1] and cursor > before[2]

        await until(goes_on, within=30, what="another engine goes on", every=0.02)
        return time.monotonic() - began


def configure(rig: Rig, redis: RedisServer, url: str, name: str, roles: list[str]) -> None:
    """One file a process."""
    rig.config = rig.folder / f"{name}.toml"
    rig.configure(
        MARKETS,
        app={"data": str(rig.folder / name), "roles": roles},
        bus={"url": redis.url},
        database={"url": url},
        engine={"models": False},
        evaluation={"recovery_hold": 0.5},
    )


@asynccontextmanager
async def paired() -> AsyncIterator[tuple[Rig, RedisServer, str]]:
    async with rigged(external=True) as rig:
        assert rig.external is not None
        await rig.external.start()
        redis = RedisServer(rig.folder)
        redis.start()
        try:
            yield rig, redis, rig.external.url()
        finally:
            redis.kill()


async def kill(pair: Pair, name: str, _: Size) -> tuple[float, int | None]:
    before, began = await pair.shard(), time.monotonic()
    await pair.engines[name].kill()
    return await pair.taken_over(before, began), None


async def freeze(pair: Pair, name: str, size: Size) -> tuple[float, int | None]:
    """It wakes up in the middle of another one's work."""
    before, began = await pair.shard(), time.monotonic()
    process = pair.engines[name].process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        seconds = await pair.taken_over(before, began)
        await asyncio.sleep(max(0.0, began + size.frozen - time.monotonic()))
    finally:
        os.kill(process.pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        return seconds, await process.wait()


ACTS: dict[str, Callable[[Pair, str, Size], Awaitable[tuple[float, int | None]]]] = {"kill": kill, "freeze": freeze}


async def battered(size: Size, *, seed: int) -> Outcome:
    """One run; with no kills and freezes an undisturbed one."""
    acts = ["kill"] * size.kills + ["freeze"] * size.freezes
    random.Random(seed).shuffle(acts)
    async with paired() as (rig, redis, url):
        file = rig.folder / "tape.jsonl.gz"
        tape(file, size.trades)
        wanted = trades(file)
        rig.reserve_venue()
        for name, role in (("one", "engine"), ("two", "engine"), ("ingest", "ingest")):
            configure(rig, redis, url, name, [role])
        await rig.prepare(rules(wanted))
        pair = Pair(rig, url)
        ingest: Process | None = None
        try:
            await pair.start("one")

            async def owned() -> bool:
                return pair.engines["one"].words().count("service.started") > 0

            await until(owned, within=60, what="the first engine works")
            await pair.stands_by("two")
            await rig.start_venue([file], speed=size.speed, mode="pause")
            ingest = await Process.start(["run", "--config", str(rig.folder / "ingest.toml")], rig.folder, "ingest")
            return await disturbed(rig, pair, size, acts, wanted, file, ingest)
        finally:
            for process in [*pair.engines.values(), *([ingest] if ingest else [])]:
                await process.kill()


async def disturbed(
    rig: Rig, pair: Pair, size: Size, acts: list[str], wanted: Trades, file: Path, ingest: Process
) -> Outcome:
    takeovers: list[tuple[str, float]] = []
    woken: list[int] = []
    complaints: list[int] = []
    idle = 0
    for number, act in enumerate(acts):

        async def reached(share: float = 0.05 + 0.85 * number / len(acts)) -> bool:
            return float((await rig.venue_status())["trades"]) >= share * size.trades

        await until(reached, within=600, what=f"the tape's place for act {number}", every=0.02)
        name, lost = await pair.owner(), pair.lost()
        seconds, code = await ACTS[act](pair, name, size)
        takeovers.append((act, seconds))
        if code is not None:
            woken.append(code)
            complaints.append(pair.lost() - lost)
        idle += await rig.venue_done()
        await pair.stands_by(name)
    before, began = await pair.shard(), time.monotonic()
    name = await pair.owner()
    assert await pair.engines[name].stop() == 0
    handover = await pair.taken_over(before, began)
    await until(rig.venue_done, within=600, what="the tape has been played", every=0.1)

    async def complete() -> bool:
        left = await rig.left()
        return len(left.prints) >= size.trades and left.cursor >= left.prints[-1].seen

    await until(complete, within=60, what="everything is stored and evaluated", every=0.5)
    assert await ingest.stop() == 0
    for engine in pair.engines.values():
        if engine.alive:
            assert await engine.stop() == 0
    left = await rig.left()
    eager = [dataclasses.replace(rule, from_seen=0) for rule in left.rules]
    capture = {one.id for one in expected(eager, prints(file))}
    return Outcome(left, wanted, capture, takeovers, handover, woken, complaints, idle)


SMALL = Size(trades=3_000, speed=0.2, kills=1, freezes=1)
FULL = Size(trades=100_000, speed=0.4, kills=10, freezes=3)


def main() -> int:
    """Battered once, undisturbed twice; 1 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.takeover")
    parser.add_argument("--trades", type=int, default=FULL.trades)
    parser.add_argument("--speed", type=float, default=FULL.speed, help="times a thousand trades a second")
    parser.add_argument("--kills", type=int, default=FULL.kills)
    parser.add_argument("--freezes", type=int, default=FULL.freezes)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    size = Size(options.trades, options.speed, options.kills, options.freezes)
    quiet = size._replace(kills=0, freezes=0, speed=4 * size.speed)
    found: list[set[tuple[str, str, str]]] = []
    for name, one in (("battered", size), ("again", quiet), ("and again", quiet)):
        outcome = asyncio.run(battered(one, seed=options.seed))
        sys.stdout.write(f"{name}: {outcome.line()}\n")
        sys.stdout.flush()
        outcome.check()
        assert not outcome.idle, "this machine is too slow for the tape: give it a lower --speed"
        found.append(outcome.named())
    same = all(one == found[0] for one in found)
    sys.stdout.write(f"{len(found)} runs, signals {'identical' if same else 'DIFFERENT'}\n")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
