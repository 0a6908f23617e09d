"""`cost`: µs of CPU a trade by stage, each beside one `json.loads` of the same frames in the same run.

Stages are added one by one to the chain that runs in the service; a row is what its stage adds.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks import rig
from benchmarks.crowd import Crowd
from benchmarks.machine import median
from benchmarks.source import START, adapter, made
from pricewatch.app.clock import SystemClock
from pricewatch.app.fanout import Tapes
from pricewatch.domain.account import Role
from pricewatch.domain.market import Tick
from pricewatch.domain.rule import RuleState, StateRow
from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import SECOND
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.gate import Limits
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.evaluation.worker import Evaluation
from pricewatch.exchanges.base import Exchange, Output
from pricewatch.gateway.board import Board
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.sequence import Sequence
from pricewatch.ingest.session import Session, Venue
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.journal import Change
from pricewatch.rules.document import parse
from pricewatch.store.accounts import PostgresAccounts
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.migrate import migrate
from pricewatch.store.pool import Database
from pricewatch.store.rulebook import PostgresRuleBook
from pricewatch.store.settings import EmbeddedSettings, TickSettings
from pricewatch.store.writer import TickStore
from pricewatch.testing.journal import MemoryStore
from pricewatch.testing.models import MemoryModelStore
from pricewatch.testing.ticks import MemoryTicks

HEAD = ["stage", "a unit", "a trade", "to json.loads"]
SIGNALS = 65
"""A second, at 10,000 trades a second: what signals cost is spread over so many trades."""
READ = 22
"""Frames that came together when the whole service was watched."""
_SPOOLED = 50
Step = Callable[[bytes], object]


class _Nothing:
    """A sink, tape, writer, connection and keeper that does nothing."""

    def offer(self, tick: Tick) -> None: ...
    def blind(self, market: int) -> None: ...
    def sighted(self, market: int) -> None: ...
    def trade(self, trade: object, seen: int) -> None: ...
    def quote(self, quote: object, seen: int) -> None: ...
    def spool(self) -> None: ...
    def heard(self, native: str) -> None: ...

    async def drain(self) -> None: ...
    def committed(self, entries: object) -> None: ...


class Chain:
    """The synchronous chain of one venue up to some stage."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.exchange: Exchange = adapter("binance", names)
        self.evaluation: Evaluation | None = None

    async def evaluate(self, load: rig.Load, *, rules: bool, models: bool, writer: Any, tape: Any) -> None:
        """With evaluation behind it; `rules` as the whole-service benchmark has them."""
        clock = SystemClock()
        memory, ticks = MemoryStore(clock), MemoryTicks()
        engine = Engine(EngineSettings(models=models))
        self.evaluation = Evaluation(
            EvaluationSettings(spool_interval=1e6), lambda: engine, clock=clock, owner="bench", writer=writer,
            ticks=ticks, history=ticks, journal=memory.journal, rules=memory.rules, models=MemoryModelStore(),
            tape=tape, signals=_Nothing(),
        )  # fmt: skip
        await self.evaluation.recover(list(self.exchange.markets.values()))
        for number, document in rig.rules(load) if rules else ():
            engine.arm(ActiveRule(number, uuid.UUID(int=0), 1, parse(document), 0))
        self.engine = engine

    def step(self) -> Step:
        """One frame through all of it."""
        sink: Any = self.evaluation or _Nothing()
        limits = Limits(frozenset(market.id for market in self.exchange.markets.values()), ahead=1 << 60)
        counters = Counters()
        feeds = {
            market.id: MarketFeed(
                market, Sequence(), sink=sink, limits=limits, counters=counters,
                hole_found=lambda *_: False, capacity=1,
            )
            for market in self.exchange.markets.values()
        }  # fmt: skip
        clock = SystemClock()
        venue = Venue("binance", VenueSettings(), feeds, limits, counters, clock, asyncio.sleep, 0)
        nothing: Any = _Nothing()
        session = Session(venue, self.exchange, nothing, "bench", nothing)
        frame_in = session._frame

        def step(frame: bytes) -> None:
            frame_in(frame, clock.now())

        return step


def _timed(step: Step, frames: list[bytes], after: Callable[[], None] | None = None) -> float:
    began = time.thread_time()
    for number, frame in enumerate(frames):
        step(frame)
        if after is not None and number % _SPOOLED == 0:
            after()
    return 1e6 * (time.thread_time() - began) / len(frames)


@asynccontextmanager
async def _chains(load: rig.Load, folder: Path) -> AsyncIterator[dict[str, tuple[Step, Callable[[], None] | None]]]:
    """Each stage's chain, by what the stage is."""
    names = tuple(rig.symbols(load.markets))
    decoder, out = adapter("binance", names), list[Output]()

    def decode(frame: bytes) -> None:
        decoder.receive(frame, START, out)
        out.clear()

    found: dict[str, tuple[Step, Callable[[], None] | None]] = {
        "`json.loads` of the frame, for comparison": (json.loads, None),
        "decode, normalise": (decode, None),
        "gate, sequence": (Chain(names).step(), None),
    }
    nothing = _Nothing()
    spool = TickStore(Database("postgresql://nobody@nowhere/none"), folder / "spool", TickSettings())
    await spool.open()
    board = Board(SystemClock(), quiet_after=10, blind_after=60)
    stages: dict[str, dict[str, Any]] = {
        "order, bars, no rule": {"rules": False, "models": False, "writer": nothing, "tape": nothing},
        f"{load.rules:,} rules a market": {"rules": True, "models": False, "writer": nothing, "tape": nothing},
        "models": {"rules": True, "models": True, "writer": nothing, "tape": nothing},
        "row, spool": {"rules": True, "models": True, "writer": spool, "tape": nothing},
        "last prices": {"rules": True, "models": True, "writer": spool, "tape": Tapes(board)},
    }
    for what, how in stages.items():
        chain = Chain(names)
        await chain.evaluate(load, **how)
        found[what] = (_with_changes_taken(chain), spool.spool if how["writer"] is spool else None)
    yield found
    spool._spool.close()


def _with_changes_taken(chain: Chain) -> Step:
    step, engine = chain.step(), chain.engine

    def both(frame: bytes) -> None:
        step(frame)
        if engine.transitions:
            engine.transitions.clear()
            engine.is_urgent = False

    return both


async def _stages(load: rig.Load, frames: list[bytes], repetitions: int) -> Iterator[tuple[str, float]]:
    """Each stage with the µs a frame of the chain that ends with it."""
    with tempfile.TemporaryDirectory(prefix="pw-bench-") as folder:
        async with _chains(load, Path(folder)) as chains:
            size = len(frames) // (repetitions + 1)
            took: dict[str, list[float]] = {what: [] for what in chains}
            for part in range(repetitions + 1):
                for what, (step, after) in chains.items():
                    micros = _timed(step, frames[part * size : (part + 1) * size], after)
                    if part:  # the first arms the rules
                        took[what].append(micros)
    return iter([(what, median(some)) for what, some in took.items()])


def _signal(account: uuid.UUID, rule: uuid.UUID, number: int) -> Signal:
    return Signal(
        id=uuid.uuid5(rig.NAMES, str(number)), account_id=account, rule_id=rule, rule_version=1, title="M0001-USDT 11",
        kind="crosses", severity="info", direction=Direction.FIRED, scope="binance:M0001-USDT", market=1,
        venue="binance", symbol="M0001-USDT", cause=f"trade:{number}", at=START + number, seen=START + number,
        received=START + number, price=2.5, since=START + number, channels=("email",),
        evidence={"v": 1, "feature": "price", "price": "2.5", "value": "2.5", "prior": "2.4", "level": "2.45"},
    )  # fmt: skip


async def _commits(count: int, rows: int) -> tuple[float, float, float]:
    """µs of our CPU a committed signal, its ms of wall time, and µs of our CPU a copied row."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pw-bench-")))
        await asyncio.to_thread(folder.chmod, 0o711)
        server = await stack.enter_async_context(EmbeddedPostgres(folder / "postgres", EmbeddedSettings()))
        database = await stack.enter_async_context(Database(server.url()))
        await migrate(database)
        clock = SystemClock()
        account = await PostgresAccounts(database, clock).create("bench", "", Role.USER)
        (_, document), *_ = rig.rules(rig.Load(markets=1, rules=1, crossings=0))
        rule = await PostgresRuleBook(database, clock).create(account.id, document)
        journal = PostgresJournal(await stack.enter_async_context(database.alone()), clock)
        claim = await journal.claim(0, "bench")
        cpu, wall = [], []
        for number in range(1, count + 1):
            state = StateRow(rule.id, 1, 1, RuleState(), START + number)
            change = Change(cursor=START + number, states=[state], signals=[_signal(account.id, rule.id, number)])
            began, clocked = time.thread_time(), time.perf_counter()
            await journal.commit(claim, change)
            cpu.append(1e6 * (time.thread_time() - began))
            wall.append(1e3 * (time.perf_counter() - clocked))
        return median(cpu), median(wall), await _copied(server.url(), folder, rows)


async def _copied(url: str, folder: Path, rows: int) -> float:
    store = TickStore(Database(url), folder / "spool", TickSettings())
    await store.open()
    await store.recover()
    exchange, out = adapter("binance", ("M0001-USDT",)), list[Output]()
    for frame in made("binance", rows, ("M0001-USDT",)).frames:
        exchange.receive(frame, START, out)
    took = []
    for start in range(0, len(out) - 500, 500):
        for number, trade in enumerate(out[start : start + 500], start):
            store.trade(trade, START + SECOND + number)  # type: ignore[arg-type]
        store.spool()
        began = time.thread_time()
        await store.drain()
        took.append(1e6 * (time.thread_time() - began) / 500)
    await store.close()
    return median(took)


def run(*, quick: bool, say: Callable[[str], None]) -> list[list[str]]:
    """Rows: stage, µs a unit, µs a trade, times one `json.loads`."""
    load = rig.Load(markets=4, rules=20, crossings=2) if quick else rig.Load(rules=250, crossings=30)
    repetitions, size = (1, 100) if quick else (7, 10_000)
    say("frames")
    frames = made("binance", (repetitions + 1) * size, tuple(rig.symbols(load.markets))).frames
    say("the chain, stage by stage")
    stages = list(asyncio.run(_stages(load, frames, repetitions)))
    (reference, one), *chain = stages
    rows = [[reference, f"{one:.2f} µs", f"{one:.2f} µs", "1.0"]]
    before = 0.0

    def add(what: str, unit: float, trade: float) -> None:
        rows.append([what, f"{unit:.2f} µs", f"{trade:.2f} µs", f"{trade / one:.1f}"])

    for what, micros in chain:
        add(what, micros - before, micros - before)
        before = micros
    add("**the chain so far**", before, before)
    say("commits and copies")
    commit, wall, row = asyncio.run(_commits(20 if quick else 600, 1_100 if quick else 20_000))
    say("one hundred sockets")
    send = asyncio.run(Crowd(5 if quick else 100).cost(_signal, 10 if quick else 1_000))
    share = SIGNALS / 10_000
    add("copy a row", row, row)
    add(f"commit a signal ({wall:.1f} ms)", commit, commit * share)
    add("a signal to all sockets", send, send * share)
    for library in ("websockets", "aiohttp"):
        say(f"receive with {library}")
        told = rig.child_json(["-m", "benchmarks.bare", library, "", "0.5" if quick else "4", str(READ)])
        micros = 10_000 * told["cpu"] / told["rate"]
        add(f"receive with {library}, {READ} frames at a time", micros, micros)
    return rows
