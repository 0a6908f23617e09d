"""Runs a client, as a command, through every scenario, and says what it did wrong."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pricewatch.conformance import faults
from pricewatch.conformance.server import KEY, Faulty


class Scenario(NamedTuple):
    """What happens, and what a client must make of it: every id once and in order, unless it says otherwise."""

    name: str
    demand: str
    plan: Callable[[], faults.Plan]
    signals: int = 40
    pace: float = 0.005
    consumer: bool = False
    stops: int | None = None
    """The client must end by itself after so many ids."""
    connections: int | None = None
    """It may connect so often at most."""
    work: float = 0.0
    """Seconds the client shall take over each signal."""
    ack_wait: float = 30.0
    """Seconds the server waits for an acknowledgement before it hands a signal to somebody else."""


SCENARIOS = (
    Scenario("plain", "acts on every signal", faults.Plan),
    Scenario("drops", "reconnects and resumes by epoch and seq", faults.Drops),
    Scenario("duplicates", "acts once per id", faults.Duplicates),
    Scenario("reorders", "looks at prev, and keeps the order", faults.Reorders),
    Scenario("gaps", "looks at prev, and asks again for what is missing", faults.Gaps),
    Scenario("silence", "gives up a connection without heartbeats", faults.Silence),
    Scenario("closes", "comes back after 4008, 1011 and 4010", faults.TooSlow),
    Scenario("restarts", "comes back after going_away and 503", faults.Restarts),
    Scenario("storm", "waits between tries, and tries on", faults.Storm, connections=6),
    Scenario("novelties", "passes over what it does not know; reads frames in pieces", faults.Novelties),
    Scenario("backlog", "takes a thousand signals at once across drops", faults.Drops, signals=1_000, pace=0.0),
    Scenario("revoked", "stops for good after 4001", faults.Revoked, stops=10, connections=1),
    Scenario("consumer", "acknowledges what it has handled", faults.Plan, consumer=True),
    Scenario("lost acks", "acts once on what is redelivered, and acknowledges it", faults.LostAcks, consumer=True),
    Scenario(
        "slow work",
        "extends what it works on, and what waits behind it",
        faults.Plan,
        signals=2,
        consumer=True,
        work=4.0,
        ack_wait=3.0,
    ),
)


class Verdict(NamedTuple):
    """How a client fared in one scenario."""

    scenario: Scenario
    faults: list[str]
    """What it did wrong; empty when it passed."""
    connections: int
    seconds: float


async def judge(scenario: Scenario, command: Sequence[str], *, patience: float) -> Verdict:
    """Run the command against a server of its own; it has `patience` seconds without any progress."""
    loop = asyncio.get_running_loop()
    server = Faulty(scenario.plan(), scenario.signals, pace=scenario.pace, ack_wait=scenario.ack_wait)
    acted, began = [], loop.time()
    expected = server.ids if scenario.stops is None else server.ids[: scenario.stops]
    async with server.running():
        client = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, env=_environment(server.url, scenario)
        )
        try:
            acted = await _lines(client, len(expected), patience)
            found = await _ending(scenario, client, server, acted, patience)
        finally:
            await _stop(client)
    found += _compare(acted, expected)
    if scenario.connections is not None and server.connections > scenario.connections:
        found.append(f"connected {server.connections} times, {scenario.connections} are enough")
    return Verdict(scenario, found, server.connections, loop.time() - began)


async def run(
    command: Sequence[str],
    *,
    scenarios: Sequence[Scenario] = SCENARIOS,
    patience: float = 15.0,
    at_once: int = 4,
    told: Callable[[Verdict], None] = lambda _: None,
) -> list[Verdict]:
    """All scenarios in their order, some at a time; `told` hears of each when it ends."""
    gate = asyncio.Semaphore(at_once)

    async def one(scenario: Scenario) -> Verdict:
        async with gate:
            verdict = await judge(scenario, command, patience=patience)
        told(verdict)
        return verdict

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(scenario), name=scenario.name) for scenario in scenarios]
    return [task.result() for task in tasks]


async def _lines(client: Process, count: int, patience: float) -> list[str]:
    """What the client prints, until it has printed enough, ends, or stays silent for too long."""
    acted: list[str] = []
    while len(acted) < count:
        line = await _line(client, patience)
        if not line:
            break
        acted.append(line)
    return acted


async def _line(client: Process, patience: float) -> str:
    if client.stdout is None:
        return ""
    try:
        async with asyncio.timeout(patience):
            return (await client.stdout.readline()).decode("utf-8", "replace").strip()
    except TimeoutError:
        return ""


async def _ending(scenario: Scenario, client: Process, server: Faulty, acted: list[str], patience: float) -> list[str]:
    """Wait for what must or must not happen after the last signal."""
    found: list[str] = []
    if scenario.stops is not None:
        try:
            async with asyncio.timeout(patience):
                await client.wait()
        except TimeoutError:
            found.append("goes on running though it may never come back")
        return found
    if scenario.consumer and not await server.all_acked(patience):
        found.append(f"acknowledged {len(server.acked)} of {len(server.ids)}")
    if server.waits.lapsed:
        found.append(f"held {len(server.waits.lapsed)} of {len(server.ids)} for longer than it had asked for")
    while line := await _line(client, 0.4):
        acted.append(line)
    return found


async def _stop(client: Process) -> None:
    if client.returncode is None:
        client.terminate()
        try:
            async with asyncio.timeout(5):
                await client.wait()
        except TimeoutError:
            client.kill()
            await client.wait()


def _compare(acted: Sequence[str], expected: Sequence[str]) -> list[str]:
    counts, known = Counter(acted), set(expected)
    doubled = [one for one, times in counts.items() if times > 1]
    strange = [one for one in counts if one not in known]
    missing = [one for one in expected if one not in counts]
    found = [f"{len(missing)} of {len(expected)} missing"] if missing else []
    found += [f"acted more than once on {len(doubled)}"] if doubled else []
    found += [f"printed what is no id: {strange[0][:60]!r}"] if strange else []
    order = [one for one in dict.fromkeys(acted) if one in known]
    return found + (["out of order"] if not found and order != list(expected) else [])


def _environment(url: str, scenario: Scenario) -> Mapping[str, str]:
    mine = {
        "PRICEWATCH_URL": url,
        "PRICEWATCH_KEY": KEY,
        "PRICEWATCH_CONSUMER": "conformance" if scenario.consumer else "",
        "PRICEWATCH_WORK": f"{scenario.work:g}",
    }
    return {**os.environ, **mine}  # noqa: TID251 - a client runs in its caller's environment
