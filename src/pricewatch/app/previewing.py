"""The process that works on previews: `python -m pricewatch.app.previewing`, spoken to over its pipes."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import BinaryIO

from pydantic import SecretStr

from pricewatch.backtest.desk import Desk
from pricewatch.backtest.messages import Setup, decode_setup, receive
from pricewatch.backtest.process import Write, prepare_memory, serve
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.config import Settings
from pricewatch.ports.clock import Clock
from pricewatch.store.catalog import PostgresCatalog
from pricewatch.store.history import PostgresHistory
from pricewatch.store.models import PostgresModelStore
from pricewatch.store.past import PostgresPast
from pricewatch.store.pool import Database
from pricewatch.store.settings import StoreSettings
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings

COMMAND = (sys.executable, "-m", "pricewatch.app.previewing")


def desk(settings: Settings, url: str, clock: Clock) -> Desk:
    """Where previews are asked for; their processes read the database at `url`."""
    setup = Setup(
        url=url,
        database=settings.database.model_dump(mode="json", exclude={"url"}),
        engine=settings.engine.model_dump(mode="json"),
        preview=settings.preview.model_dump(mode="json"),
    )
    return Desk(settings.preview, COMMAND, setup, clock=clock)


async def work(reader: asyncio.StreamReader, write: Write) -> None:
    """Read the set-up, then answer questions until the other side closes."""
    from pricewatch.backtest.replay import Replay
    from pricewatch.engine.settings import EngineSettings

    prepare_memory()
    setup = decode_setup(await receive(reader))
    preview = PreviewSettings(**setup.preview)
    os.nice(preview.nice)
    store = StoreSettings(**{**setup.database, "url": SecretStr(setup.url)})
    async with Database(setup.url, store, size=2) as database, database.for_ticks(2, by_index=True) as ticks:
        catalog = PostgresCatalog(database)
        past = PostgresPast(ticks, PostgresHistory(ticks, catalog.steps), PostgresModelStore(database))
        replay = Replay(past, preview, EngineSettings(**setup.engine))
        await catalog.markets()  # how fine each market's times are
        await serve(reader, write, replay, signals=preview.signals)


async def _on_pipes() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out: BinaryIO = sys.stdout.buffer

    def write(message: bytes) -> None:
        out.write(message)
        out.flush()

    await work(reader, write)


if __name__ == "__main__":
    configure(LogSettings(level="warning"))
    asyncio.run(_on_pipes())
