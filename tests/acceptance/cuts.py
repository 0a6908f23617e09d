"""The whole service against a venue that cuts its connections, while PostgreSQL and the service itself are killed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg
from tests.acceptance.captures import Trades, trades
from tests.acceptance.rig import QUICK_VENUE, Rig, rigged, until
from tests.acceptance.world import World

SYMBOLS = ("BTCUSDT", "ETHUSDT")
RATE = 1_000
"""Trades a second of the capture's own time."""
QUIET = 0.15
"""Share of the tape at its beginning and end that nothing disturbs: so that what came is known from the first trade
on, and so that a last cut without history has trades behind it."""

OVER = 0.97
"""Share of the tape from which on nothing may be disturbed any more: what comes after the last trade heard is known to
nobody but the venue, and can be neither stored nor declared without its history."""


class Size(NamedTuple):
    """How much of it."""

    trades: int
    speed: float
    """Of `RATE`."""
    cuts: int
    """Half of them without a close frame."""
    servers: int
    """Kills of PostgreSQL."""
    services: int


class Outcome(NamedTuple):
    """What a run left behind."""

    left: World
    wanted: Trades
    caught_up: float
    """Seconds from the venue's last trade until everything was stored or declared."""
    disturbances: Counter[str]
    away: float = 0.0
    """Seconds from kills of the service until it was ready again."""

    def expected(self, market: str) -> list[int]:
        """The ids from the first one that was seen live."""
        first = min(self.left.keys(market))
        return [key for key in sorted(self.wanted[market]) if key >= first]

    def declared(self) -> dict[str, set[int]]:
        """Ids in gaps that are still open, by market."""
        numbers = {one["number"]: one["market"] for one in self.left_markets()}
        found: dict[str, set[int]] = {market: set() for market in self.wanted}
        for gap in self.left.gaps:
            if gap["closed_seen"] is None:
                found[numbers[gap["instrument_id"]]].update(range(gap["first_key"], gap["last_key"] + 1))
        return found

    def left_markets(self) -> list[dict[str, Any]]:
        """The product's numbers of the markets: in the order of the settings."""
        return [{"number": number, "market": market} for number, market in enumerate(self.wanted, 1)]

    def check(self, *, history: bool) -> None:
        """What the service promises of every tick."""
        declared = self.declared()
        for market, ids in self.wanted.items():
            stored = self.left.keys(market)
            assert len(set(stored)) == len(stored), "doubled"
            assert self.left.prices(market).items() <= ids.items()
            expected = self.expected(market)
            assert len(expected) > 0.6 * len(ids), "it listened to most of the tape"
            assert set(stored).isdisjoint(declared[market])
            assert sorted({*stored, *(declared[market] & set(expected))}) == expected
            if history:
                assert not declared[market]
        if not history:
            assert any(declared.values()), "something was missed"
        self.left.assert_feeds_are_whole()

    def line(self) -> str:
        sent = sum(len(self.expected(market)) for market in self.wanted)
        declared = sum(map(len, self.declared().values()))
        stored = len(self.left.prints)
        doubled = stored - len({(one.market, one.key) for one in self.left.prints})
        return (
            f"{dict(self.disturbances)}: {sent} trades sent, {stored} stored, {declared} in open gaps, {doubled} "
            f"doubled, {sent - stored - declared} lost; the service was away for {self.away:.0f} s, "
            f"caught up {self.caught_up:.1f} s after the last trade"
        )


def tape(file: Path, count: int) -> None:
    """A capture of so many trades in two markets, ids one after the other."""
    luck = random.Random(count)
    start = 1_723_161_000_000
    with gzip.open(file, "wt", compresslevel=1) as out:
        for number in range(count):
            symbol = SYMBOLS[number % 2]
            at = start + number * 1_000 // RATE
            price = f"{(60_000 if number % 2 == 0 else 2_600) * (1 + luck.gauss(0, 0.0005)):.2f}"
            data = {
                "e": "trade", "E": at, "s": symbol, "t": 1_000_001 + number // 2, "p": price, "q": "0.01000000",
                "T": at, "m": False, "M": True,
            }  # fmt: skip
            frame = json.dumps({"stream": f"{symbol.lower()}@trade", "data": data}, separators=(",", ":"))
            out.write(json.dumps({"t": at / 1_000, "dir": "in", "conn": "ws.1", "raw": frame}) + "\n")


def _programme(size: Size, luck: random.Random) -> list[str]:
    """Kills lie before the last third: without history only a later trade can tell that earlier ones were missed."""
    cuts = ["drop", "close"] * (size.cuts // 2)
    luck.shuffle(cuts)
    kills = ["server"] * size.servers + ["service"] * size.services
    late = len(cuts) // 3
    acts = cuts[late:] + kills
    luck.shuffle(acts)
    return acts + cuts[:late]


async def _act(rig: Rig, what: str) -> None:
    if what == "server":
        for pid in rig.server_pids()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    elif what == "service":
        assert rig.service is not None
        await rig.service.kill()
        await rig.start_service()
        await rig.ready()
    else:
        url = f"{rig.addresses['rest']}/control/disconnect?venue=binance&clean={int(what == 'close')}"
        async with aiohttp.ClientSession() as session, session.post(url) as answer:
            assert answer.status == 200


def _due(acts: list[str]) -> Iterator[tuple[float, str]]:
    """Shares of the tape at which they happen."""
    for number, act in enumerate(acts):
        yield QUIET + (1 - 2 * QUIET) * number / len(acts), act


async def _share(rig: Rig, total: int) -> float:
    return float((await rig.venue_status())["trades"]) / total


async def battered(size: Size, *, history: bool, seed: int) -> Outcome:
    """One run; the tape goes on whether anybody listens or not."""
    luck = random.Random(seed)
    async with rigged() as rig:
        file = rig.folder / "tape.jsonl.gz"
        tape(file, size.trades)
        wanted = trades(file)
        rig.reserve_venue()
        address = {
            "symbols": ["BTC-USDT", "ETH-USDT"],
            "socket_url": f"{rig.addresses['ws']}/binance",
            "rest_url": f"{rig.addresses['rest']}/binance",
            "history": history,
        }
        rig.configure({"binance": []}, ingest={"backfill_candles": 0, "venues": {"binance": QUICK_VENUE | address}})
        await rig.start_service()

        async def listens() -> bool:
            return (await rig.readiness())[0] != 0

        await until(listens, within=60, what="the gateway answers")
        await rig.start_venue([file], speed=size.speed, mode="runon")
        await rig.ready()
        done: Counter[str] = Counter()
        away = 0.0
        for share, act in _due(_programme(size, luck)):

            async def reached(share: float = share) -> bool:
                return await _share(rig, size.trades) >= share

            await until(reached, within=600, what=f"{share:.0%} of the tape", every=0.02)
            began = time.monotonic()
            await _act(rig, act)
            done[act] += 1
            if await _share(rig, size.trades) > OVER:
                raise AssertionError(f"the tape was over before {act!r} was; this machine is too slow for its speed")
            away += time.monotonic() - began if act == "service" else 0.0
        await until(rig.venue_done, within=600, what="the tape has been played", every=0.02)
        ended = time.monotonic()

        async def complete() -> bool:
            try:
                outcome = Outcome(await rig.left(), wanted, 0.0, done)
            except (asyncpg.PostgresError, OSError):
                return False  # it is still recovering
            declared = outcome.declared()
            return all(
                outcome.left.keys(market)
                and set(outcome.expected(market)) <= {*outcome.left.keys(market), *declared[market]}
                for market in wanted
            )

        with contextlib.suppress(AssertionError):  # told in detail by `check`
            await until(complete, within=20, what="every trade is stored or declared", every=0.2)
        caught_up = time.monotonic() - ended
        await rig.ready()
        assert rig.service is not None
        assert await rig.service.stop() == 0
        return Outcome(await rig.left(), wanted, caught_up, done, away)


def run(size: Size, *, history: bool, seed: int) -> Outcome:
    """`battered`, from a program without a loop."""
    return asyncio.run(battered(size, history=history, seed=seed))


SMALL = Size(trades=8_000, speed=0.4, cuts=6, servers=1, services=1)
FULL = Size(trades=100_000, speed=1.0, cuts=20, servers=5, services=3)

__all__ = ["FULL", "SMALL", "Outcome", "Size", "battered", "run"]
