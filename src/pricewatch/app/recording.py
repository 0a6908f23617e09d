"""`pricewatch record`: what venues send, written down unchanged, without a database."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import structlog

from pricewatch.app.clock import SystemClock
from pricewatch.app.wiring import instrument_lists, stay_away
from pricewatch.config import Settings
from pricewatch.domain.market import Market, Tick, Trade
from pricewatch.ingest.capture import Recording
from pricewatch.ingest.instruments import Directory
from pricewatch.ingest.upload import Uploader, objects
from pricewatch.ingest.worker import Ingest, listings
from pricewatch.ports.ticks import Closed, Gap
from pricewatch.store.folder import FolderLock
from pricewatch.telemetry.logs import configure

log = structlog.get_logger(__name__)


class _Counting:
    """A `TickSink` that only counts."""

    def __init__(self) -> None:
        self.trades = 0
        self.quotes = 0

    def offer(self, tick: Tick) -> None:
        if isinstance(tick, Trade):
            self.trades += 1
        else:
            self.quotes += 1

    def blind(self, market: int) -> None:
        """The capture shows it."""

    def sighted(self, market: int) -> None:
        """The capture shows it."""


class _NoLedger:
    """A recording declares nothing: the capture itself shows what was missed."""

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        del gap, opened_seen
        return 0

    async def close(self, gap_id: int, *, closed_seen: int, how: Closed = Closed.FILLED) -> None:
        del gap_id, closed_seen, how

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        return []

    async def patched_gaps(self) -> list[Gap]:
        return []


async def record(settings: Settings, folder: Path, span: int | None) -> dict[str, Any]:
    """Write captures until interrupted or for `span` microseconds; returns what was counted.

    Raises `ConfigError` for a store that cannot be, or a folder another process records into.
    """
    configure(settings.log)
    lock = FolderLock(folder)
    lock.hold()
    try:
        return await _record(settings, folder, span)
    finally:
        lock.release()


async def _record(settings: Settings, folder: Path, span: int | None) -> dict[str, Any]:
    clock, own = SystemClock(), settings.ingest.record
    uploader = None
    if own.store:
        uploader = Uploader(
            objects(own.store), folder, retry=own.upload_retry, retry_cap=own.upload_retry_cap, keep=own.keep
        )
        uploader.add_left()
    recording = Recording(folder, level=own.level, finished=uploader.add if uploader else _left_there)
    counts = _Counting()
    directory = Directory(instrument_lists(settings), clock, stay_away(settings, clock))
    await directory.look_up(settings.ingest)
    markets = [
        Market(number, listing.venue, listing.symbol, listing.native, listing.step)
        for number, listing in enumerate(listings(settings.ingest, directory), 1)
    ]
    ingest = Ingest(
        settings.ingest, markets, sink=counts, clock=clock, marks={}, gaps=_NoLedger(), candles=None, tap=recording
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(ingest.run(), name="ingest"),
                group.create_task(_flush(recording, own.flush_interval), name="record.flush"),
            ]
            if uploader is not None:
                work.append(group.create_task(uploader.run(), name="record.upload"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if span is None else span / 1e6):
                    await stop.wait()
            for task in work:
                task.cancel()
    finally:
        recording.close()
    if uploader is not None:
        await uploader.drain(own.upload_timeout)
    return {
        "files": [str(file) for file in recording.files],
        "frames": recording.frames,
        "trades": counts.trades,
        "quotes": counts.quotes,
        "uploaded": uploader.uploaded if uploader else 0,
        "waiting": uploader.waiting if uploader else 0,
    }


def _left_there(file: Path) -> None:
    """Without a store a finished capture stays where it is."""
    log.info("capture.finished", file=str(file))


async def _flush(recording: Recording, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        recording.flush()
