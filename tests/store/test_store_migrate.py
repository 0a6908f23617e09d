from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from pricewatch.domain.errors import ConfigError
from pricewatch.store.migrate import find_folder, migrate, read
from pricewatch.store.pool import Connection, Database

pytestmark = pytest.mark.postgres


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    async with Database(empty_database_url) as database:
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (n int); CREATE TABLE two (n int);")
    (tmp_path / "0010_ten.plain.sql").write_text("INSERT INTO one VALUES (10);")
    (tmp_path / "0010_ten.timescale.sql").write_text("this is not run here;")
    return tmp_path


async def test_each_runs_once_in_order(empty: Database, folder: Path) -> None:
    assert await migrate(empty, folder) == "plain"
    assert await migrate(empty, folder) == "plain"
    (folder / "0011_more.sql").write_text("INSERT INTO one VALUES (11);")
    await migrate(empty, folder)
    assert [row["n"] for row in await empty.fetch("SELECT n FROM one ORDER BY n")] == [10, 11]


async def test_several_services_migrate_at_once(empty: Database, folder: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(migrate(empty, folder))
    assert await empty.fetchval("SELECT count(*) FROM one") == 1


async def test_a_changed_file_is_refused(empty: Database, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE other (n int);")
    with pytest.raises(ConfigError, match=r"0001_one\.sql is not the one"):
        await migrate(empty, folder)


async def test_a_schema_of_a_newer_version_is_refused(empty: Database, folder: Path) -> None:
    newer = folder / "0012_newer.sql"
    newer.write_text("SELECT 1;")
    await migrate(empty, folder)
    newer.unlink()
    with pytest.raises(ConfigError, match=r"another version of pricewatch \(0012_newer\.sql\)"):
        await migrate(empty, folder)


async def test_a_failing_file_leaves_everything_as_it_was(empty: Database, folder: Path) -> None:
    (folder / "0011_wrong.sql").write_text("CREATE TABLE three (n int); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty, folder)
    assert await empty.fetchval("SELECT count(*) FROM pg_class WHERE relname IN ('one', 'three')") == 0


async def test_a_file_with_an_odd_name_is_refused(empty: Database, folder: Path) -> None:
    (folder / "12_odd.sql").write_text("SELECT 1;")
    with pytest.raises(ConfigError, match="12_odd"):
        await migrate(empty, folder)


def test_both_flavours_make_the_same_things() -> None:
    def made(flavour: str) -> set[str]:
        text = "".join(one.sql for one in read(find_folder(), "timescale" if flavour == "timescale" else "plain"))
        found = re.findall(r"CREATE (?:TABLE|UNIQUE INDEX|INDEX|MATERIALIZED VIEW|FUNCTION) (\w+)", text)
        return set(found)

    assert made("plain") - made("timescale") == {"ohlcv_rollup", "candle_1m_bucket", "trade_times"}
    assert made("timescale") - made("plain") == set()


async def test_the_timescale_flavour_is_sql(empty: Database) -> None:
    """As far as a server without the extension can tell: its own words are given a stand-in that checks names."""
    stand_in = """
    CREATE FUNCTION create_hypertable(regclass, name, chunk_time_interval interval, create_default_indexes boolean)
        RETURNS void LANGUAGE sql AS 'SELECT';
    CREATE FUNCTION add_compression_policy(regclass, interval) RETURNS void LANGUAGE sql AS 'SELECT';
    CREATE FUNCTION add_retention_policy(regclass, drop_created_before interval) RETURNS void LANGUAGE sql AS 'SELECT';
    CREATE FUNCTION add_continuous_aggregate_policy(regclass, start_offset interval, end_offset interval,
        schedule_interval interval) RETURNS void LANGUAGE sql AS 'SELECT';
    CREATE FUNCTION drop_chunks(regclass, created_before timestamptz) RETURNS SETOF text LANGUAGE sql AS 'SELECT ''''';
    CREATE FUNCTION time_bucket(interval, timestamptz) RETURNS timestamptz LANGUAGE sql
        AS 'SELECT date_bin($1, $2, ''epoch'')';
    CREATE FUNCTION keep(float8, float8, timestamptz) RETURNS float8 LANGUAGE sql AS 'SELECT $1';
    CREATE AGGREGATE first(float8, timestamptz) (SFUNC = keep, STYPE = float8);
    CREATE AGGREGATE last(float8, timestamptz) (SFUNC = keep, STYPE = float8);
    """

    async def check(connection: Connection) -> None:
        await connection.execute(stand_in)
        for migration in read(find_folder(), "timescale"):
            if migration.number >= 10:
                continue
            sql = re.sub(r"ALTER TABLE \w+ SET \(\s*timescaledb\.[^)]*\);", "", migration.sql)
            sql = re.sub(r"WITH \(timescaledb\.continuous, timescaledb\.materialized_only = true\) AS", "AS", sql)
            await connection.execute(sql)
        await connection.execute("SELECT make_days('trade', '{2024-01-01}'), drop_days('trade', now())")

    await empty.transaction(check)
