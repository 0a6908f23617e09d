"""Numbered plain SQL files, each run once, in order, under a lock, with its checksum kept."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal, NamedTuple

import asyncpg
import structlog

from pricewatch.domain.errors import ConfigError
from pricewatch.store.pool import Connection, Database

log = structlog.get_logger(__name__)

Flavour = Literal["timescale", "plain"]

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(timescale|plain))?\.sql")
_LOCK = 7_031_982_244_190_671
_TABLES = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS schema_flavour (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    flavour text NOT NULL CHECK (flavour IN ('timescale', 'plain'))
);
"""


class Migration(NamedTuple):
    """One file; `variant` is empty for what every flavour runs."""

    number: int
    variant: str
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Of the very text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def find_folder() -> Path:
    """`pricewatch/migrations` in a wheel, the top-level `migrations` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "migrations", package.parents[1] / "migrations"):
        if folder.is_dir():
            return folder
    raise ConfigError(f"the migrations are missing beside {package}: install pricewatch again")


def read(folder: Path, flavour: Flavour) -> list[Migration]:
    """What this flavour runs, in order: per number first the common file, then the flavour's own."""
    found = []
    for path in folder.glob("*.sql"):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise ConfigError(f"{path} is no migration: name it 0001_what_it_does.sql")
        if match[3] in (None, flavour):
            found.append(Migration(int(match[1]), match[3] or "", path.name, path.read_text("utf-8")))
    return sorted(found)


async def migrate(database: Database, folder: Path | None = None, *, within: float = 600.0) -> Flavour:
    """Bring the schema up to date, or leave it as it was; returns its flavour.

    Raises `ConfigError` for a schema that this version does not know, `Unavailable` when the database is away.
    """
    place = folder or find_folder()
    usable = await _timescale(database)
    return await database.transaction(lambda connection: _migrate(connection, place, usable=usable), within=within)


async def _migrate(connection: Connection, folder: Path, *, usable: bool) -> Flavour:
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    await connection.execute(_TABLES)
    flavour = await _flavour(connection, usable=usable)
    migrations = read(folder, flavour)
    applied = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT * FROM schema_migration")}
    _check(migrations, applied)
    for migration in migrations:
        if migration.name in applied:
            continue
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migration (name, checksum) VALUES ($1, $2)", migration.name, migration.checksum
        )
        log.info("migrate.applied", name=migration.name)
    return flavour


def _check(migrations: list[Migration], applied: dict[str, str]) -> None:
    known = {migration.name: migration for migration in migrations}
    if strangers := sorted(applied.keys() - known.keys()):
        raise ConfigError(
            f"the database has been migrated by another version of pricewatch ({', '.join(strangers)}): "
            "run that version, or restore a backup"
        )
    for name, checksum in applied.items():
        if known[name].checksum != checksum:
            raise ConfigError(f"the migration {name} is not the one that made this database: restore the file")


async def _flavour(connection: Connection, *, usable: bool) -> Flavour:
    """Decided once, when the database is new."""
    stored: Flavour | None = await connection.fetchval("SELECT flavour FROM schema_flavour")
    if stored is not None:
        return stored
    flavour: Flavour = "timescale" if usable else "plain"
    await connection.execute("INSERT INTO schema_flavour (flavour) VALUES ($1)", flavour)
    return flavour


async def _timescale(database: Database) -> bool:
    """Whether TimescaleDB is here, preloaded, in the edition that has retention, columnstore and aggregates."""
    offered = await database.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'")
    if not offered:
        return False
    try:
        await database.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except asyncpg.PostgresError as exc:
        log.warning("migrate.timescale_unusable", error=str(exc))
        return False
    edition = await database.fetchval("SELECT current_setting('timescaledb.license', true)")
    if edition != "timescale":
        log.warning("migrate.timescale_unusable", edition=edition)
    return bool(edition == "timescale")
