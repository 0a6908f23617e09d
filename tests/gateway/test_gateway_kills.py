"""kill -9 and freezing of a gateway under two clients that share one named consumer."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.acceptance.rig import free_port
from tests.gateway.gateway_world import make_signal, until

from pricewatch.accounts.tokens import mint
from pricewatch.app.clock import SystemClock
from pricewatch.client import Client, Options
from pricewatch.domain.account import Account, Role
from pricewatch.ports.journal import Change
from pricewatch.store.accounts import PostgresAccounts
from pricewatch.store.consumers import PostgresConsumers
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.pool import Database

Act = tuple[str, int]
"""The signal's id, and the attempt it came with."""
REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = Options(pause_first=0.05, pause_cap=0.2)
SERVE = """
import asyncio, sys
from tests.gateway.postgres_world import GENEROUS, house

async def main(url, port):
    async with house(url, GENEROUS.model_copy(update={"port": int(port), "consumer_poll": 0.05})):
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


class Victim:
    """A gateway in a process of its own, which shares nothing with us but the database."""

    def __init__(self, url: str, port: int) -> None:
        self._url = url
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SERVE,
            self._url,
            str(self._port),
            cwd=REPOSITORY,
            env={"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
            stdout=asyncio.subprocess.DEVNULL,
        )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.returncode is None, "it died by itself"
        self._process.send_signal(number)

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self._process is not None
        await self._process.wait()


@asynccontextmanager
async def following(clients: list[Client], acted: list[Act], ack_wait: float) -> AsyncIterator[None]:
    """All of them under one name, in this process; each act is noted."""

    async def follow(client: Client) -> None:
        async for one in client.signals(consumer="bot", start="oldest", ack_wait=ack_wait, max_in_flight=4):
            acted.append((str(one.id), one.attempt))
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(client)) for client in clients]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def longer(acted: list[Act], than: int) -> bool:
    return len(dict(acted)) > than


async def emit(journal: PostgresJournal, account: Account, count: int) -> list[str]:
    claim = await journal.claim(0, "here")
    made = [make_signal(account.id, at=SystemClock().now()) for _ in range(count)]
    return [str(entry.signal.id) for entry in await journal.commit(claim, Change(cursor=0, signals=made))]


@pytest.mark.postgres
@pytest.mark.slow
async def test_kills_and_freezes_lose_nothing_and_double_nothing(database: Database, database_url: str) -> None:
    clock = SystemClock()
    accounts, consumers = PostgresAccounts(database, clock), PostgresConsumers(database, clock)
    account = await accounts.create("ann", "ann@example.org", Role.USER)
    minted = mint(account.id, now=clock.now())
    await accounts.add_key(minted.key)
    victim, journal = Victim(database_url, port := free_port()), PostgresJournal(database, clock)
    wanted: list[str] = []
    acted: list[Act] = []
    url = f"ws://127.0.0.1:{port}/ws/v1"
    async with Client(minted.text, url, options=QUICK) as one, Client(minted.text, url, options=QUICK) as two:
        await victim.start()
        # What was handed out by a transaction whose frame died with its process comes again after ack_wait; it is long
        # enough for everybody to be back before that, so that whoever has acted can still say so.
        async with following([one, two], acted, ack_wait=15.0):
            for turn in range(3):
                wanted += await emit(journal, account, 40)
                await until(partial(longer, acted, len(wanted) - 25))
                if turn == 1:
                    victim.send(signal.SIGSTOP)
                    wanted += await emit(journal, account, 10)
                    await asyncio.sleep(0.5)
                    victim.send(signal.SIGCONT)
                else:
                    await victim.kill()
                    wanted += await emit(journal, account, 10)
                    await victim.start()
            await until(lambda: dict(acted).keys() >= set(wanted))
            async with asyncio.timeout(60):
                while (await consumers.listing(account.id))[0].in_flight:
                    await asyncio.sleep(0.05)
    await victim.kill()
    assert dict(acted).keys() == set(wanted)
    # Twice only where the lease ran out in between, which takes a machine that is busy for that long.
    assert len(set(acted)) == len(acted)
    twice = len(acted) - len(wanted)
    print(f"{len(wanted)} signals, acted twice on {twice}")
