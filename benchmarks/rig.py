"""The whole service under load: simulator, service and subscribers, each in a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks.machine import fsync_p99
from pricewatch.accounts.tokens import mint
from pricewatch.app.wiring import open_store
from pricewatch.config import load
from pricewatch.domain.account import Role
from pricewatch.simulator.registry import listed
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

ROOT = Path(__file__).resolve().parents[1]
NAMES = uuid.UUID("27a36a4a-66f7-5fb5-9a2c-8f8f4a6f5f6d")


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is put on the service; spans in seconds."""

    rate: float = 10_000.0
    """Trades a second, all markets together."""
    markets: int = 200
    rules: int = 1_000
    """Threshold rules a market."""
    crossings: int = 120
    """How many of them cross near the price, so that they fire."""
    subscribers: int = 100
    warm_up: float = 10.0
    span: float = 60.0
    transport: str = "aiohttp"
    step_back: int = 10
    """So many steps nicer than the service are simulator and subscribers: they stand for other machines."""


class Outcome(msgspec.Struct, kw_only=True):
    """What was measured over the span, after the warm-up; milliseconds, per cent of one core, MiB."""

    load: Load
    loading: float
    """Seconds to bulk-load the rules."""
    starting: float
    """Seconds from the process's start until every rule is armed, taken up and committed."""
    rate: float
    """Trades a second received over the span."""
    signals: int
    """Over the span."""
    received: int
    stored: int
    duplicates: int
    rejected: int
    gaps: int
    """Jumps in the venue's consecutive trade ids: 0 when nothing was missed."""
    service: float
    postgres: float
    simulator: float
    subscribers: float
    written: tuple[float, float, float]
    """p50, p99 and worst from frame received to written to every socket, as `/status` says, over the span."""
    read: tuple[float, float]
    """p50 and p99 from frame received to read by a subscriber in its own process, over the span."""
    late: tuple[float, float]
    """Mean and worst lateness of the event loop over the span."""
    stalls: int
    """How often it was late by more than 50 ms."""
    own: tuple[float, int]
    """Worst and stalls again, but for the time it was let no core."""
    starved: float
    """Per cent of the span in which the service's loop could have run but had to wait for a core."""
    stolen: float
    """Per cent of the span's core time the machine itself was not let run (steal)."""
    memory: float
    postgres_memory: float
    fsync: float
    """p99 of the disk's fsync just before."""
    complete: bool
    """Every subscriber read every signal."""
    status: dict[str, Any]


def symbols(count: int) -> list[str]:
    """Made-up coins whose smallest step is small beside their moves, as in lively markets."""
    names = (f"M{number:04d}-USDT" for number in itertools.count())
    return list(itertools.islice((name for name in names if 2 < listed("binance", name).price < 20), count))


def rules(load_: Load) -> list[tuple[uuid.UUID, bytes]]:
    """Crossings every half basis point around the price, the rest above and below it, up to 5 % away."""
    luck = random.Random(11)
    found = []
    for symbol in symbols(load_.markets):
        price = listed("binance", symbol).price
        for number in range(load_.rules):
            if number < load_.crossings:
                offset = (number - load_.crossings / 2 + luck.random()) * 5e-5
                when: dict[str, Any] = {"type": "crosses", "direction": "up" if number % 2 else "down"}
                policy = {"hysteresis": "0.03%"}
            else:
                above = bool(number % 2)
                offset = luck.uniform(0.001, 0.05) * (1 if above else -1)
                when, policy = {"type": "above" if above else "below"}, {}
            when["level"] = f"{price * (1 + offset):.7f}"
            title = f"{symbol} {number}"
            document = {"title": title, "symbols": [symbol], "when": when, "policy": policy}
            found.append((uuid.uuid5(NAMES, title), msgspec.json.encode(document)))
    return found


def run(load_: Load, say: Callable[[str], None], *, keep: Path | None = None) -> Outcome:
    """Everything from an empty folder to figures."""
    configure(LogSettings(level="warning"))
    with ExitStack() as stack:
        folder = keep or Path(tempfile.mkdtemp(prefix="pw-bench-"))
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        if keep is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        venues, simulator = stack.enter_context(simulated(load_, folder))
        config, port = _configure(load_, folder, venues)
        say("loading rules")
        began = time.perf_counter()
        key = asyncio.run(_prepare(config, rules(load_)))
        loading = time.perf_counter() - began
        fsync = fsync_p99(folder)
        say("starting the service")
        began = time.perf_counter()
        service = stack.enter_context(_child("service", folder, ["-m", "pricewatch", "run", "--config", str(config)]))
        _await(lambda: _is_up(status(port)), service, "the service's first commit", folder)
        starting = time.perf_counter() - began
        crowd = stack.enter_context(_subscribers(load_, port, key, folder))
        say("warming up")
        time.sleep(load_.warm_up)
        return _measure(load_, port, service, simulator, crowd, loading, starting, fsync, say)


def _measure(
    load_: Load,
    port: int,
    service: subprocess.Popen[bytes],
    simulator: subprocess.Popen[bytes],
    crowd: subprocess.Popen[bytes],
    loading: float,
    starting: float,
    fsync: float,
    say: Callable[[str], None],
) -> Outcome:
    say(f"measuring for {load_.span:g} s")
    _tell(crowd, "begin")
    before, clock = _snapshot(service, simulator, crowd), time.perf_counter()
    queued, stolen = _queued(service.pid), psutil.cpu_times()
    first = status(port)
    time.sleep(load_.span)
    last = status(port)
    after, passed = _snapshot(service, simulator, crowd), time.perf_counter() - clock
    starved = 100 * (_queued(service.pid) - queued) / passed
    lost = getattr(psutil.cpu_times(), "steal", 0.0) - getattr(stolen, "steal", 0.0)
    _tell(crowd, "end")
    told = _hear(crowd)
    shares = {name: 100 * (after[name] - before[name]) / passed for name in before}
    memory = psutil.Process(service.pid).memory_info().rss / 2**20
    server = sum(_shared_less(child) for child in _postgres(service)) / 2**20
    simulator.terminate()
    simulator.wait(20)
    final = _settle(port)
    latency = last["parts"]["gateway"]["signal_latency_seconds"]["recent"]
    loop = last["parts"]["loop"]["recent"]
    counted = _venue(final)["counters"]
    return Outcome(
        load=load_,
        loading=loading,
        starting=starting,
        rate=(_received(last) - _received(first)) / passed,
        signals=last["parts"]["evaluation"]["signals"] - first["parts"]["evaluation"]["signals"],
        received=counted["received"],
        stored=final["parts"]["store"]["stored"],
        duplicates=counted["duplicates"] + final["parts"]["store"]["conflicts"],
        rejected=sum(counted["rejected"].values()),
        gaps=counted["gaps_opened"],
        service=shares["service"],
        postgres=shares["postgres"],
        simulator=shares["simulator"],
        subscribers=shares["subscribers"],
        written=(1000 * (latency["p50"] or 0.0), 1000 * (latency["p99"] or 0.0), 1000 * (latency["worst"] or 0.0)),
        read=(told["p50_ms"], told["p99_ms"]),
        late=(loop["mean_ms"], loop["worst_ms"]),
        stalls=loop["stalls"],
        own=(loop["own_worst_ms"], loop["own_stalls"]),
        starved=starved,
        stolen=100 * lost / passed / (os.cpu_count() or 1),
        memory=memory,
        postgres_memory=server,
        fsync=fsync,
        complete=told["complete"],
        status=last,
    )


def status(port: int) -> dict[str, Any]:
    """The service's `/status`; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
            facts: dict[str, Any] = json.load(answer)
            return facts
    except OSError:
        return {}


def _venue(facts: dict[str, Any]) -> dict[str, Any]:
    venue: dict[str, Any] = facts.get("parts", {}).get("ingest", {}).get("venues", {}).get("binance", {})
    return venue


def _received(facts: dict[str, Any]) -> int:
    return int(_venue(facts).get("counters", {}).get("received", 0))


def _is_up(facts: dict[str, Any]) -> bool:
    evaluation = facts.get("parts", {}).get("evaluation", {})
    return _received(facts) > 0 and (evaluation.get("cursor") or 0) > 0


def _settle(port: int) -> dict[str, Any]:
    """The status once everything received is stored."""
    for _ in range(100):
        facts = status(port)
        if facts["parts"]["store"]["waiting"] == 0:
            time.sleep(0.3)
            return status(port)
        time.sleep(0.2)
    return status(port)


def _snapshot(*processes: subprocess.Popen[bytes]) -> dict[str, float]:
    """CPU seconds so far by role."""
    service, simulator, crowd = (psutil.Process(process.pid) for process in processes)
    return {
        "service": _cpu(service),
        "postgres": sum(map(_cpu, _postgres(processes[0]))),
        "simulator": _cpu(simulator),
        "subscribers": _cpu(crowd),
    }


def _queued(pid: int) -> float:
    """Seconds the main thread has waited for a core so far, as Linux counts them; 0 elsewhere."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _postgres(service: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [one for one in psutil.Process(service.pid).children(recursive=True) if "postgres" in one.name()]


def _shared_less(process: psutil.Process) -> int:
    """Bytes of its own; what all server processes share would count many times."""
    try:
        info = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(info.rss - info.shared)


@contextmanager
def simulated(load_: Load, folder: Path) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    """The simulated venue and its addresses."""
    options = {
        "seed": 5,
        "markets": {"binance": symbols(load_.markets)},
        "rate": load_.rate / load_.markets,
        "quote_rate": 0,
        "programme": False,
        "history_minutes": 0,
        "history_trades": 20_000,
        "lead": 0.2,
    }
    arguments = ["-m", "pricewatch.simulator", "--json", json.dumps(options)]
    with _child("simulator", folder, arguments, stdin=subprocess.PIPE, step_back=load_.step_back) as process:
        yield _hear(process), process


@contextmanager
def _subscribers(load_: Load, port: int, key: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ["-m", "benchmarks.subscribers", str(port), key, str(load_.subscribers)]
    with _child("subscribers", folder, arguments, stdin=subprocess.PIPE, step_back=load_.step_back) as process:
        _hear(process)  # all of them have their snapshot
        yield process


@contextmanager
def _child(
    name: str, folder: Path, arguments: list[str], *, stdin: int | None = None, step_back: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of ours, ended with SIGTERM; its errors go to a file in `folder`.

    It runs so many steps nicer than we: it steps back where it wants a core of the service's.
    """
    environment = _environment()
    with (folder / f"{name}.log").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd=folder,
        )
    if step_back:
        psutil.Process(process.pid).nice(psutil.Process().nice() + step_back)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _environment() -> dict[str, str]:
    """Ours, and where a child finds the product and the benchmarks."""
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    return os.environ | {"PYTHONPATH": paths}


def _tell(process: subprocess.Popen[bytes], word: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()


def _hear(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next line of JSON a child prints."""
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    found: dict[str, Any] = json.loads(line)
    return found


def _await(true: Callable[[], bool], process: subprocess.Popen[bytes], what: str, folder: Path) -> None:
    until = time.monotonic() + 120
    while not true():
        if time.monotonic() > until or process.poll() is not None:
            words = (folder / "service.log").read_text(errors="replace")[-2_000:]
            raise RuntimeError(f"{what} did not come: {words}")
        time.sleep(0.1)


def _configure(load_: Load, folder: Path, venues: dict[str, str]) -> tuple[Path, int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    path = folder / "pricewatch.toml"
    path.write_text(
        f"""[app]
data = "{folder / "data"}"
recent = {load_.span}

[log]
format = "json"

[gateway]
port = {port}
recent = {load_.span}

[ingest]
backfill_candles = 0
transport = "{load_.transport}"

[ingest.venues.binance]
symbols = {json.dumps(symbols(load_.markets))}
socket_url = "{venues["ws"]}/binance"
rest_url = "{venues["rest"]}/binance"
history_interval = 0.0
open_interval = 0.0
"""
    )
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data").chmod(0o711)
    return path, port


async def _prepare(config: Path, documents: list[tuple[uuid.UUID, bytes]]) -> str:
    """One account with a key and all rules; returns the key."""
    async with open_store(load(config)) as store:
        account = await store.accounts.create("bench", "bench@example.org", Role.USER)
        minted = mint(account.id, now=time.time_ns() // 1_000)
        await store.accounts.add_key(minted.key)
        await store.rules.create_many(account.id, documents)
        return minted.text


def child_json(arguments: list[str], *, within: float = 60) -> dict[str, Any]:
    """What a Python process of ours prints as one line of JSON, in at most so many seconds."""
    environment = _environment()
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, env=environment, check=True, timeout=within
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
