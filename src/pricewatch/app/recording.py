"""`pricewatch record`: what venues send, written down unchanged, without a database."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from pricewatch.app.clock import SystemClock
from pricewatch.app.wiring import instrument_lists, stay_away
from pricewatch.config import Settings
from pricewatch.domain.market import Market, Tick, Trade
from pricewatch.domain.time import to_datetime
from pricewatch.ingest.capture import Recorder
from pricewatch.ingest.instruments import Directory
from pricewatch.ingest.worker import Ingest, listings
from pricewatch.ports.ticks import Closed, Gap
from pricewatch.telemetry.logs import configure


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
    """Write one capture file until interrupted or for `span` microseconds; returns what was counted."""
    configure(settings.log)
    clock = SystemClock()
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    stamp = to_datetime(clock.now()).strftime("%Y%m%dT%H%M%SZ")
    recorder = Recorder(folder / f"pricewatch-{stamp}.jsonl.gz")
    counts = _Counting()
    directory = Directory(instrument_lists(settings), clock, stay_away(settings, clock))
    await directory.look_up(settings.ingest)
    markets = [
        Market(number, listing.venue, listing.symbol, listing.native, listing.step)
        for number, listing in enumerate(listings(settings.ingest, directory), 1)
    ]
    ingest = Ingest(
        settings.ingest, markets, sink=counts, clock=clock, marks={}, gaps=_NoLedger(), candles=None, tap=recorder
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(ingest.run(), name="ingest")
            try:
                async with asyncio.timeout(None if span is None else span / 1e6):
                    await stop.wait()
            except TimeoutError:
                pass
            work.cancel()
    finally:
        recorder.close()
    return {
        "file": str(recorder.path),
        "frames": recorder.frames,
        "trades": counts.trades,
        "quotes": counts.quotes,
    }
