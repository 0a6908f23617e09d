from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.migrate import migrate
from pricewatch.store.pool import Database
from pricewatch.store.settings import EmbeddedSettings

REPOSITORY = Path(__file__).resolve().parents[1]
# The gate tries the same examples every time: it judges a change, not its luck. Elsewhere every run tries new ones.
# A loaded machine is no failure: no deadline, and examples may be slow to make.
settings.register_profile("gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("elsewhere", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gate" if os.environ.get("PRICEWATCH_REQUIRE_ALL") else "elsewhere")  # noqa: TID251
_TEMPLATE = "migrated"
_numbers = itertools.count(1)


def missing(reason: str) -> NoReturn:
    """Skip with a reason, or fail where everything is promised to be there."""
    if os.environ.get("PRICEWATCH_REQUIRE_ALL"):  # noqa: TID251 - the one switch of the test run itself
        pytest.fail(f"PRICEWATCH_REQUIRE_ALL is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """A command sets up logs for its process; here the next test must not write to this one's stderr."""
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded venue data beside the repository."""
    folder = Path(os.environ.get("PRICEWATCH_SHARED", str(REPOSITORY.parent / "shared")))  # noqa: TID251
    if not (folder / "data").is_dir():
        missing("there is no recorded data in ../shared (set PRICEWATCH_SHARED to its folder)")
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A new folder that an unprivileged database server can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="pw-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One server for the whole run, with a migrated template; nothing on it survives."""
    folder = Path(tempfile.mkdtemp(prefix="pw-"))
    folder.chmod(0o711)
    fast = {"fsync": "off", "full_page_writes": "off", "max_connections": "100"}
    server = EmbeddedPostgres(folder, EmbeddedSettings(options=fast, stop_patience=3))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            runner.run(_make_template(server))
            yield server
        finally:
            runner.run(server.stop())
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a new, migrated, empty database."""
    name = f"test_{next(_numbers)}"
    await _administer(postgres_server, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    yield postgres_server.url(name)
    await _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a new database without any table."""
    name = f"test_{next(_numbers)}"
    await _administer(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    await _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool over a new, migrated, empty database."""
    async with Database(database_url) as database:
        yield database


async def _make_template(server: EmbeddedPostgres) -> None:
    await _administer(server, f"CREATE DATABASE {_TEMPLATE}")
    async with Database(server.url(_TEMPLATE)) as database:
        await migrate(database)


async def _administer(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
