"""The way into the tick tables: packed on arrival, spooled, copied, redone until it is there."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Quote, Trade
from pricewatch.store.copier import Copier, Outcome, Reconnected
from pricewatch.store.copyrows import QUOTES, TRADES, Table, pack_quote, pack_trade, place, spans
from pricewatch.store.pool import Database
from pricewatch.store.settings import TickSettings
from pricewatch.store.spool import Frame, Spool, delete, sync
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_TABLES = {1: TRADES, 2: QUOTES}
_TRADES, _QUOTES = 1, 2


class TickStore:
    """Keeps `TickWriter`. Order of life: `open`, `recover`, `run`, `drain`, `close`.

    Once spooled a row survives kill -9 of everything; it is copied until the table has it, however often that is
    redone. Only rows beyond the spool's cap, rows the server refuses and quotes under pressure are given up, counted.
    """

    name = "store"

    def __init__(
        self, database: Database, folder: Path, settings: TickSettings, *, steps: Mapping[int, int] | None = None
    ) -> None:
        """`steps`: time resolution by market id, as the catalog keeps it up to date; 1 where it has none."""
        self._database = database.for_ticks(1)
        self._settings = settings
        self._steps = steps if steps is not None else {}
        self._spool = Spool(
            folder,
            segment_size=settings.segment_size,
            cap=settings.spool_cap,
            keep=settings.spool_keep,
            memory=settings.memory,
            given_up=self._given_up,
        )
        self._losses: dict[int, tuple[int, int]] = {}
        self._rows: list[tuple[Trade, int]] = []
        """What came since the last spooling, not packed yet: many at once are packed in half the time."""
        self._packed = bytearray()
        self._count = 0
        self._last_quotes: dict[int, tuple[Quote, int]] = {}
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._busy = asyncio.Lock()
        self._copier = Copier(self._database, settings.write_timeout)
        self._inherited = 0
        self._redone = 0
        self._earliest: int | None = None
        self._trouble: str | None = None
        self._spool_trouble: str | None = None
        self._received = 0
        self.stored = self.conflicts = self.quarantined = self.unspooled = self.replayed = 0
        self.quotes_stored = self.quotes_dropped = 0

    # -- the hot path -----------------------------------------------------------------------------------------------

    def trade(self, trade: Trade, seen: int) -> None:
        """Take the row. Nothing is durable yet."""
        self._rows.append((trade, seen))

    def quote(self, quote: Quote, seen: int) -> None:
        """Keep the last quote per market; one row per conflation interval is written."""
        self._last_quotes[quote.market] = (quote, seen)

    def spool(self) -> None:
        """`write(2)` everything packed so far: after this, kill -9 loses none of it.

        Raises `Unavailable` when the disk takes no more; the rows then wait in memory, up to its bound.
        """
        self._pack_trades()
        if not self._count:
            return
        try:
            self._spool.append(_TRADES, self._count, self._packed)
        except OSError as exc:
            self._unspooled(exc)
            raise Unavailable(f"the spool cannot be written: {exc}") from exc
        if self._spool_trouble is not None:
            log.info("spool.back")
            self._spool_trouble = None
        self._packed = bytearray()
        self._count = 0
        self._work.set()
        self._room.set()

    def _pack_trades(self) -> None:
        rows, self._rows = self._rows, []
        steps, packed = self._steps, self._packed
        for trade, seen in rows:
            try:
                packed += pack_trade(trade, seen, steps.get(trade.market, 1))
            except (struct.error, UnicodeEncodeError) as exc:
                self.quarantined += 1
                log.warning("store.quarantined", market=trade.market, seen=seen, error=str(exc))
            else:
                self._count += 1
        self._received += len(rows)

    @property
    def received(self) -> int:
        """Trades taken so far."""
        return self._received + len(self._rows)

    def is_full(self) -> bool:
        """Whether the disk takes no more and half of the memory for what waits is used (a `Backlog`)."""
        return not self._room.is_set()

    async def eased(self) -> None:
        """Return once the disk has taken what waited."""
        await self._room.wait()

    def _unspooled(self, error: OSError) -> None:
        if self._spool_trouble is None:
            log.error("spool.lost", error=str(error))
        self._spool_trouble = f"the spool cannot be written: {error}"
        if len(self._packed) > self._settings.memory // 2:
            self._room.clear()
        if len(self._packed) > self._settings.memory:
            self.unspooled += self._count
            self.put_back(spans(self._packed))
            log.error("spool.overflow", rows=self._count)
            self._packed = bytearray()
            self._count = 0

    # -- what is lost ------------------------------------------------------------------------------------------------

    def is_caught_up(self) -> bool:
        """Whether everything handed in is in the table."""
        return not self._rows and not self._count and not self._spool.behind

    def take_losses(self) -> Mapping[int, tuple[int, int]]:
        """By market the venue times of trades given up since the last call."""
        losses, self._losses = self._losses, {}
        return losses

    def put_back(self, losses: Mapping[int, tuple[int, int]]) -> None:
        """Remember these times as lost, beside those known."""
        for market, (first, last) in losses.items():
            known = self._losses.get(market, (first, last))
            self._losses[market] = (min(first, known[0]), max(last, known[1]))

    def _given_up(self, frame: Frame) -> None:
        if frame.kind == _TRADES:
            self.put_back(spans(frame.payload))

    # -- life -------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take the spool's folder; raises `ConfigError` when another process has it."""
        await asyncio.to_thread(self._spool.open)
        self._inherited = self._spool.last
        await self._database.open()

    async def close(self) -> None:
        """Let go; what is not stored stays in the spool for the next start."""
        self._pack_quotes()
        with contextlib.suppress(Unavailable):
            self.spool()
        await asyncio.to_thread(sync, self._spool.unsynced())
        self._spool.close()
        await self._database.close()

    async def recover(self) -> None:
        """Store what an earlier process left in the spool; returns once it is readable, however long that takes.

        Raises `ConfigError` when the tables are not those that rows are packed for.
        """
        wait = self._settings.retry_base
        while True:
            try:
                await self._copier.check_types()
                while self._spool.acknowledged < self._inherited:
                    await self._store_next()
            except Unavailable:
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._settings.retry_cap)
            else:
                return

    def fence(self, shard: int, term: int) -> None:
        """From now on rows are written under this term alone; `drain`, `recover` and `run` raise `Fenced` after it."""
        self._copier.fence = (shard, term)

    async def forget(self) -> None:
        """Before `recover`: what an earlier process left in the spool has been given its place by another owner."""
        rows, files = self._spool.discard()
        await asyncio.to_thread(delete, files)
        if rows:
            log.info("spool.forgotten", rows=rows)

    async def run(self) -> None:
        """Copy, conflate quotes, make the spool safe, until cancelled; what is packed then goes to the spool."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_loop(), name="store.write")
                group.create_task(self._quote_loop(), name="store.quotes")
                group.create_task(self._sync_loop(), name="store.sync")
        finally:
            with contextlib.suppress(Unavailable):
                self.spool()

    async def drain(self) -> None:
        """Return when everything spooled is in the table (or raise `Unavailable`)."""
        self.spool()
        target = self._spool.last
        while self._spool.acknowledged < target:
            await self._store_next()

    def take_earliest(self) -> int | None:
        """The earliest `seen` among the trades stored since the last call."""
        earliest, self._earliest = self._earliest, None
        return earliest

    # -- the loops --------------------------------------------------------------------------------------------------

    async def _write_loop(self) -> None:
        wait = self._settings.retry_base
        self._work.set()
        while True:
            await self._work.wait()
            self._work.clear()
            await asyncio.sleep(self._settings.batch_age)
            target = self._spool.last  # what comes meanwhile waits for more
            try:
                while self._spool.acknowledged < target and await self._store_next():
                    wait = self._settings.retry_base
            except Unavailable:
                self._work.set()
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._settings.retry_cap)

    async def _quote_loop(self) -> None:
        while True:
            await asyncio.sleep(self._settings.quote_interval)
            self._pack_quotes()

    def _pack_quotes(self) -> None:
        quotes, self._last_quotes = self._last_quotes, {}
        if not quotes:
            return
        packed = bytearray()
        count = 0
        if self._spool.behind <= self._settings.quote_pressure:
            for quote, seen in quotes.values():
                with contextlib.suppress(struct.error):  # counted below as dropped
                    packed += pack_quote(quote, seen)
                    count += 1
        try:
            if count:
                self._spool.append(_QUOTES, count, packed)
                self._work.set()
        except OSError:  # the next `spool` tells; quotes may be lost
            count = 0
        self.quotes_dropped += len(quotes) - count

    async def _sync_loop(self) -> None:
        while True:
            await asyncio.sleep(self._settings.fsync_interval)
            if self._settings.fsync:
                try:
                    await asyncio.to_thread(sync, self._spool.unsynced())
                except OSError as exc:
                    log.warning("spool.sync_failed", error=str(exc))
            if gone := self._spool.clean(asyncio.get_running_loop().time()):
                try:
                    await asyncio.to_thread(delete, gone)
                except OSError as exc:
                    log.warning("spool.delete_failed", error=str(exc))

    # -- into the table ---------------------------------------------------------------------------------------------

    async def _store_next(self) -> bool:
        """Store the next batch of the spool; False when there is none. Raises `Unavailable`; then all is redone."""
        async with self._busy:
            frames = self._of_one_past(self._spool.read(self._settings.batch_rows))
            if not frames:
                return False
            table = _TABLES[frames[0].kind]
            try:
                outcome = await self._copier.put(
                    table, b"".join(frame.payload for frame in frames), redo=self._known(frames)
                )
            except Reconnected:
                self._rewind()
                return True
            except Unavailable as exc:
                self._rewind()
                if self._trouble is None:
                    log.warning("store.lost", error=str(exc))
                self._trouble = f"ticks wait in the spool: {exc}"
                raise
            except BaseException:
                self._spool.unread(frames)
                raise
            self._count_outcome(table, frames, outcome)
            self._spool.acknowledge(frames, asyncio.get_running_loop().time())
            if self._trouble is not None:
                log.info("store.back", behind=self._spool.behind)
                self._trouble = None
            return True

    def _of_one_past(self, frames: list[Frame]) -> list[Frame]:
        """A batch is all inherited, all stored before, or all new, for these are counted differently."""
        for border in (self._inherited, self._spool.acknowledged):
            for position, frame in enumerate(frames):
                if position and frames[0].sequence <= border < frame.sequence:
                    self._spool.unread(frames[position:])
                    frames = frames[:position]
                    break
        return frames

    def _known(self, frames: list[Frame]) -> bool:
        """Whether the table most likely has these rows already."""
        return frames[0].sequence <= max(self._redone, self._inherited)

    def _rewind(self) -> None:
        self._redone = max(self._redone, self._spool.acknowledged)
        self._spool.rewind()

    def _count_outcome(self, table: Table, frames: list[Frame], outcome: Outcome) -> None:
        if table is TRADES:
            for frame in frames:
                earliest = place(frame.payload).seen
                if self._earliest is None or earliest < self._earliest:
                    self._earliest = earliest
        count = sum(frame.rows for frame in frames)
        if frames[0].sequence <= self._inherited:
            self.replayed += count
        elif frames[0].sequence <= self._spool.acknowledged:
            return
        elif table is TRADES:
            self.stored += outcome.stored
            self.quarantined += outcome.quarantined
            self.conflicts += count - outcome.stored - outcome.quarantined
        else:
            self.quotes_stored += outcome.stored

    # -- what it tells ----------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts."""
        return {
            "received": self.received,
            "stored": self.stored,
            "conflicts": self.conflicts,
            "quarantined": self.quarantined,
            "dropped": self._spool.dropped + self.unspooled,
            "replayed": self.replayed,
            "waiting": self._spool.behind,
            "spool_bytes": self._spool.size,
            "quotes_stored": self.quotes_stored,
            "quotes_dropped": self.quotes_dropped,
        }

    def trouble(self) -> str | None:
        """Why ticks do not reach their table."""
        return self._spool_trouble or self._trouble

    def samples(self) -> Iterable[Sample]:
        """Counters and gauges."""
        yield Sample("trades_received", self.received, help="Trades handed in")
        yield Sample("trades_stored", self.stored, help="Trades in the table")
        yield Sample("trades_conflicts", self.conflicts, help="Trades the table already had")
        yield Sample("trades_quarantined", self.quarantined, help="Trades no table takes")
        yield Sample(
            "trades_dropped", self._spool.dropped + self.unspooled, help="Trades given up, the spool being full"
        )
        yield Sample("rows_replayed", self.replayed, help="Rows found in the spool at the start")
        yield Sample("quotes_stored", self.quotes_stored, help="Quotes in the table")
        yield Sample("quotes_dropped", self.quotes_dropped, help="Conflated quotes given up")
        yield Sample("spool_rows", self._spool.behind, "gauge", help="Rows waiting for their table")
        yield Sample("spool_bytes", self._spool.size, "gauge", help="Size of the spool")
        yield Sample("spool_torn_bytes", self._spool.torn, help="Bytes cut off torn spool files")
