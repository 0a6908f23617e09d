"""Markets change while the service runs: by an administrator's word, or a configuration read again."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.app.conftest import Run, quick, running, simulated, until

from pricewatch.accounts.tokens import mint
from pricewatch.app.following import Following, chosen
from pricewatch.app.runtime import Service, run_until_signalled
from pricewatch.config import Settings
from pricewatch.domain.account import Role
from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ports.markets import MarketChoice
from pricewatch.testing.markets import MemoryMarketBook

SETTINGS = IngestSettings(venues={"coinbase": VenueSettings(symbols=("BTC-USD", "ETH-USD"), backoff_base=7.0)})


def choice(venue: str, symbol: str, *, wanted: bool = True) -> MarketChoice:
    return MarketChoice(venue, symbol, wanted, uuid.UUID(int=1), 1)


def symbols(settings: IngestSettings) -> dict[str, tuple[str, ...]]:
    return {name: venue.symbols for name, venue in settings.venues.items()}


def test_choices_go_before_the_configuration() -> None:
    choices = [
        choice("coinbase", "BTC-USD", wanted=False),
        choice("coinbase", "ETH-USD"),
        choice("coinbase", "SOL-USD"),
        choice("kraken", "BTC-USD"),
    ]
    found = chosen(SETTINGS, choices)
    assert symbols(found) == {"coinbase": ("ETH-USD", "SOL-USD"), "kraken": ("BTC-USD",)}
    assert found.venues["coinbase"].backoff_base == 7.0


class Applied:
    """Who is told, and a database that may be away."""

    def __init__(self) -> None:
        self.told: list[dict[str, tuple[str, ...]]] = []
        self.away = 0

    async def __call__(self, settings: IngestSettings) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("no database")
        self.told.append(symbols(settings))


@asynccontextmanager
async def following(book: MemoryMarketBook, applied: Applied, interval: float) -> AsyncIterator[Following]:
    found = Following(SETTINGS, book, apply=applied, interval=interval)
    await found.current()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.run())
        yield found
        task.cancel()


async def test_only_changes_are_applied() -> None:
    book, applied = MemoryMarketBook(), Applied()
    await book.choose(choice("coinbase", "SOL-USD"))
    async with following(book, applied, 600.0) as found:
        found.markets_changed()
        await book.choose(choice("kraken", "BTC-USD"))
        await until(lambda: applied.told)
        assert applied.told == [{"coinbase": ("BTC-USD", "ETH-USD", "SOL-USD"), "kraken": ("BTC-USD",)}]
        await book.choose(choice("coinbase", "BTC-USD"))  # it is wanted anyway
        found.markets_changed()
        await book.forget("kraken", "BTC-USD")
        await until(lambda: len(applied.told) == 2)
        assert applied.told[1] == {"coinbase": ("BTC-USD", "ETH-USD", "SOL-USD")}


async def test_what_could_not_be_applied_is_applied_later() -> None:
    book, applied = MemoryMarketBook(), Applied()
    applied.away = 2
    async with following(book, applied, 0.02):
        await book.choose(choice("kraken", "BTC-USD"))  # told by nobody: another process
        await until(lambda: applied.told)


async def test_a_file_read_again_changes_symbols_only() -> None:
    book, applied = MemoryMarketBook(), Applied()
    await book.choose(choice("coinbase", "SOL-USD"))
    async with following(book, applied, 600.0) as found:
        again = {
            "coinbase": VenueSettings(symbols=("ETH-USD",), backoff_base=9.0),
            "kraken": VenueSettings(symbols=("BTC-USD",), backoff_base=9.0),
        }
        found.reread(IngestSettings(venues=again))
        await until(lambda: applied.told)
        assert applied.told[0] == {"coinbase": ("ETH-USD", "SOL-USD"), "kraken": ("BTC-USD",)}
        assert (await found.current()).venues["coinbase"].backoff_base == 7.0
        assert (await found.current()).venues["kraken"].backoff_base == 9.0
        found.reread(IngestSettings(venues={"kraken": again["kraken"].model_copy(update={"enabled": False})}))
        await until(lambda: len(applied.told) == 2)
        assert applied.told[1]["coinbase"] == ("SOL-USD",)


async def administrator(service: Service) -> str:
    account = await service.store.accounts.create("root", "root@example.org", Role.ADMIN)
    minted = mint(account.id, now=service.clock.now(), expires=None)
    await service.store.accounts.add_key(minted.key)
    return minted.text


def with_symbols(settings: Settings, wanted: Sequence[str]) -> Settings:
    venue = settings.ingest.venues["coinbase"].model_copy(update={"symbols": tuple(wanted)})
    ingest = settings.ingest.model_copy(update={"venues": {"coinbase": venue}})
    return settings.model_copy(update={"ingest": ingest})


def counted(run: Run) -> dict[str, int]:
    assert run.service.assembly is not None
    assert run.service.assembly.ingest is not None
    return {
        feed.market.key: feed.trades_live
        for live in run.service.assembly.ingest.venues
        for feed in live.venue.feeds.values()
    }


@pytest.mark.postgres
async def test_markets_come_and_go_while_the_service_runs(tmp_path: Path, database_url: str) -> None:
    async with simulated() as (addresses, _):
        settings = with_symbols(quick(tmp_path, database_url, addresses), ["BTC-USD"])
        async with running(settings) as run, aiohttp.ClientSession() as http:
            key = await administrator(run.service)
            api, headers = f"{run.url}/api/v1/markets", {"Authorization": f"Bearer {key}"}
            await until(lambda: counted(run).get("coinbase:BTC-USD", 0) > 0)
            async with http.post(api, json={"market": "coinbase:ETH-USD"}, headers=headers) as answer:
                assert answer.status == 202
            await until(lambda: counted(run).get("coinbase:ETH-USD", 0) > 0)
            ingest: Any = run.service.assembly.ingest  # type: ignore[union-attr]
            assert ingest.venues[0].venue.counters.connects == 1
            evaluation = run.service.assembly.evaluation  # type: ignore[union-attr]
            assert evaluation is not None
            await until(lambda: not any(evaluation.is_blind(market.id) for market in run.service.markets))
            async with http.delete(f"{api}/coinbase:BTC-USD", headers=headers) as answer:
                assert answer.status == 202
            await until(lambda: set(counted(run)) == {"coinbase:ETH-USD"})
            assert ingest.venues[0].venue.counters.connects == 1
        tally = run.service.tally()
        assert tally.received == tally.stored + tally.duplicates + tally.rejected
        async with running(settings) as run:  # the choices are stored
            await until(lambda: counted(run).get("coinbase:ETH-USD", 0) > 0)
            assert set(counted(run)) == {"coinbase:ETH-USD"}
            run.service.reread(with_symbols(settings, ["BTC-USD", "ETH-USD"]))  # they go before the file
            assert run.service.assembly is not None
            current = await run.service.assembly.following.current()
            assert symbols(current) == {"coinbase": ("ETH-USD",)}


@pytest.mark.postgres
async def test_a_signal_has_the_configuration_read_again(tmp_path: Path, database_url: str) -> None:
    async with simulated() as (addresses, _):
        settings = with_symbols(quick(tmp_path, database_url, addresses), ["BTC-USD"])
        answers: list[Settings | ConfigError] = [
            with_symbols(settings, ["BTC-USD", "ETH-USD"]),
            ConfigError("ingest.venues.coinbse: unknown key"),
        ]

        def read() -> Settings:
            found = answers.pop()
            if isinstance(found, ConfigError):
                raise found
            return found

        run = Run(settings)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run_until_signalled(run.service, read))
            async with asyncio.timeout(60):
                await run.service.started.wait()
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: len(answers) == 1)
            await until(lambda: set(counted(run)) == {"coinbase:BTC-USD"})
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: counted(run).get("coinbase:ETH-USD", 0) > 0)
            assert set(counted(run)) == {"coinbase:BTC-USD", "coinbase:ETH-USD"}
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(60):
                await task
