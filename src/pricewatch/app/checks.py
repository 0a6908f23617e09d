"""What `pricewatch check` looks at: everything the configuration names."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pricewatch.app.runtime import check_roles
from pricewatch.app.wiring import embedded, instrument_lists
from pricewatch.config import Settings
from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.domain.time import rfc3339
from pricewatch.exchanges.listing import absent
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.instruments import source_of
from pricewatch.store.folder import FolderInUse
from pricewatch.store.pool import Database

PATIENCE = 5.0
ROOM = 2 * 2**30


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at."""

    subject: str
    ok: bool
    says: str


def check_everything(settings: Settings) -> list[Finding]:
    """Look at all of it; a trouble is a finding, never an exception."""

    async def gather() -> list[Finding]:
        return [finding async for finding in _findings(settings)]

    return asyncio.run(gather())


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    yield _roles(settings)
    yield _folder(settings.app.data)
    yield await _database(settings)
    if settings.bus.url.get_secret_value():
        yield await _reachable("bus.url", settings.bus.url.get_secret_value(), 6379)
    mail = settings.delivery.email
    if mail.host:
        yield await _connects("delivery.email", mail.host, mail.port)
    else:
        yield Finding("delivery.email", ok=True, says="no host set: deliveries wait in the outbox, no mail goes out")
    for name, venue in settings.ingest.venues.items():
        if not venue.enabled:
            continue
        if not venue.symbols:
            yield Finding(f"ingest.venues.{name}", ok=False, says="enabled without symbols: add some, or disable it")
            continue
        yield await _reachable(f"ingest.venues.{name}", venue.socket_url or EXCHANGES[name].endpoints.socket, 443)
        if (finding := _symbols(settings, name)) is not None:
            yield finding


def _symbols(settings: Settings, name: str) -> Finding | None:
    """What the kept list of the venue's markets says to the configured symbols."""
    venue = settings.ingest.venues[name]
    found = instrument_lists(settings).read(name, source_of(name, venue)) if venue.instruments else None
    if found is None:
        return None
    subject = f"ingest.venues.{name}.symbols"
    listed = {one.symbol: one for one in found.instruments}
    wrong = [absent(name, symbol, found.instruments) for symbol in venue.symbols if symbol not in listed]
    asleep = [symbol for symbol in venue.symbols if symbol in listed and not listed[symbol].active]
    if asleep:
        wrong.append(f"{name} does not trade {', '.join(asleep)}")
    when = f"as listed {rfc3339(found.asked)[:16]}Z"
    if wrong:
        return Finding(subject, ok=False, says=f"{'; '.join(wrong)} ({when})")
    return Finding(subject, ok=True, says=f"{len(venue.symbols)} of {len(listed)} markets, {when}")


def _roles(settings: Settings) -> Finding:
    try:
        check_roles(settings)
    except ConfigError as error:
        return Finding("app.roles", ok=False, says=str(error))
    return Finding("app.roles", ok=True, says=", ".join(settings.app.roles))


def _folder(data: Path) -> Finding:
    existing = next(folder for folder in (data.resolve(), *data.resolve().parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("app.data", ok=False, says=f"{existing} is not writable for this user")
    free = shutil.disk_usage(existing).free
    if free < ROOM:
        return Finding("app.data", ok=False, says=f"only {free / 2**30:.1f} GiB free at {existing}; at least 2 needed")
    return Finding("app.data", ok=True, says=f"{data.resolve()} ({free / 2**30:.0f} GiB free)")


async def _database(settings: Settings) -> Finding:
    server = embedded(settings)
    if server is not None:
        try:
            await server.start()
            await server.stop()
        except FolderInUse:
            return Finding("database", ok=True, says="embedded; a service is running on this folder")
        except (ConfigError, Unavailable) as error:
            return Finding("database", ok=False, says=str(error))
        return Finding("database", ok=True, says="embedded; starts and stops here")
    try:
        async with Database(settings.database.url.get_secret_value(), settings.database) as database:
            version = await database.fetchval("SHOW server_version")
    except (ConfigError, Unavailable) as error:
        return Finding("database.url", ok=False, says=str(error))
    return Finding("database.url", ok=True, says=f"PostgreSQL {version}")


async def _reachable(subject: str, url: str, default_port: int) -> Finding:
    parts = urlsplit(url)
    if not parts.hostname:
        return Finding(subject, ok=False, says=f"{url!r} is not an address")
    plain = {"ws": 80, "http": 80}.get(parts.scheme, default_port)
    return await _connects(subject, parts.hostname, parts.port or plain)


async def _connects(subject: str, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
    except (OSError, TimeoutError) as error:
        return Finding(subject, ok=False, says=f"cannot connect to {host}:{port}: {str(error) or type(error).__name__}")
    return Finding(subject, ok=True, says=f"{host}:{port} answers")
