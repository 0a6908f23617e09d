"""The process that works on previews, in this one and as the service starts it."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import aiohttp
import pytest
from tests.app.conftest import quick, running
from tests.backtest.conftest import BTC, START, M, document, question, trade

from pricewatch.accounts.tokens import mint
from pricewatch.app.clock import SystemClock
from pricewatch.app.previewing import COMMAND, desk, work
from pricewatch.app.runtime import Service
from pricewatch.app.wiring import Store, open_store
from pricewatch.backtest.messages import Answered, Ask, decode_reply, frame, receive
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.account import Role
from pricewatch.ports.ticks import Listing

pytestmark = pytest.mark.postgres
ABOVE = document({"type": "above", "level": "100"})


async def fill(store: Store, start: int = START) -> None:
    """A minute of trades up and down."""
    await store.catalog.register([Listing(BTC.venue, BTC.symbol, BTC.native)])
    await store.ticks.open()
    await store.ticks.recover()
    for number in range(60):
        one = trade(number + 1, start + number * 1_000_000, 99.0 + 2 * (number // 10 % 2))
        store.ticks.trade(one.trade, one.seen)
    await store.ticks.drain()
    await store.ticks.close()


async def test_it_reads_its_set_up_then_questions(database_url: str, open_folder: Path) -> None:
    settings = quick(open_folder, database_url, preview=PreviewSettings(nice=0))
    async with open_store(settings) as store:
        await fill(store)
    reader = asyncio.StreamReader()
    written = asyncio.StreamReader()
    setup = desk(settings, database_url, SystemClock())._lanes[True]._setup
    reader.feed_data(frame(setup) + frame(Ask(question(ABOVE, end=START + 2 * M))))
    async with asyncio.TaskGroup() as group:
        group.create_task(work(reader, written.feed_data))
        async with asyncio.timeout(60):
            while not isinstance(reply := decode_reply(await receive(written)), Answered):
                pass
        reader.feed_eof()
    told = json.loads(bytes(reply.document))
    assert (told["fired"], told["resolution"]) == (3, "tick")


async def test_the_service_answers_over_rest_and_nothing_is_left_when_it_stops(
    database_url: str, open_folder: Path
) -> None:
    key: list[str] = []

    async def prepare(service: Service) -> None:
        account = await service.store.accounts.create("ann", "", Role.USER)
        minted = mint(account.id, now=service.clock.now(), expires=None)
        await service.store.accounts.add_key(minted.key)
        key.append(minted.text)

    settings = quick(open_folder, database_url)
    async with open_store(settings) as store:
        await fill(store)
    body = {
        "rule": json.loads(ABOVE),
        "from": "2027-01-15T08:00:00Z",
        "to": "2027-01-15T08:01:00Z",
    }
    async with running(settings, prepare=prepare) as run:
        headers = {"Authorization": f"Bearer {key[0]}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(f"{run.url}/api/v1/rules/preview", json=body) as answer:
                told = await answer.json()
            async with asyncio.timeout(60):
                while told["state"] in ("waiting", "running"):  # a machine that is very busy
                    await asyncio.sleep(0.1)
                    async with session.get(f"{run.url}/api/v1/previews/{told['id']}") as answer:
                        told = await answer.json()
        assert told["state"] == "done", told
        assert told["result"]["summary"] == "1 minute: fired 3 times, it sends no mail"
        assert uuid.UUID(told["result"]["signals"][0]["id"]).version == 5
        status = (await run.get("/status"))[1]["parts"]["previews"]
        assert status["processes"] == 1
        assert _children(COMMAND)
    assert not _children(COMMAND)


def _children(command: tuple[str, ...]) -> list[int]:
    """Ours that run this command."""
    import psutil

    return [one.pid for one in psutil.Process().children() if one.cmdline()[-1:] == [command[-1]]]
