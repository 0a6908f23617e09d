"""Looks through the stored trades for holes that nobody declared: whatever lost them, they do not stay unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import HOUR, MINUTE, SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import UNKNOWN_KEYS, Gap, GapLedger
from pricewatch.store.pool import Database
from pricewatch.store.settings import TickSettings
from pricewatch.store.sql import load
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

SQL = load("gaps")

OVERLAP = MINUTE
"""Venue time by which ids may be out of order: what is nearer to an edge of what is read is looked at later."""
_SLICE = HOUR
_REASON = "not stored"
_DROPPED = "given up, the spool being full"

Span = tuple[int, int]


class Writer(Protocol):
    """What the auditor asks of the tick writer."""

    def is_caught_up(self) -> bool:
        """Whether everything handed in is in the table."""
        ...

    def take_losses(self) -> Mapping[int, Span]:
        """By market the venue times of rows given up since the last call."""
        ...

    def put_back(self, losses: Mapping[int, Span]) -> None:
        """They could not be declared: keep them."""
        ...


class Auditor:
    """Declares undeclared holes in the ids of the given markets, and lost times of the others (a `Part`)."""

    name = "audit"

    def __init__(
        self,
        database: Database,
        settings: TickSettings,
        *,
        clock: Clock,
        ledger: GapLedger,
        writer: Writer,
        consecutive: Callable[[], Sequence[int]],
        found: Callable[[int, Gap], None],
    ) -> None:
        """`consecutive`: markets whose ids grow by one. `found` is told of every hole declared here, with its id."""
        self.declared = 0
        self.looks = 0
        self._database = database.for_ticks(1)
        self._settings = settings
        self._clock = clock
        self._ledger = ledger
        self._writer = writer
        self._consecutive = consecutive
        self._found = found

    async def run(self) -> None:
        """Until cancelled."""
        async with self._database:
            while True:
                await asyncio.sleep(self._settings.audit_interval)
                try:
                    await self.look()
                except Unavailable as error:
                    log.debug("audit.postponed", error=str(error))

    async def look(self) -> None:
        """Once; raises `Unavailable`, and goes on there the next time."""
        settled = self._clock.now() - round(self._settings.audit_settle * SECOND)
        if not self._writer.is_caught_up():
            return
        await self._declare_losses()
        for market in self._consecutive():
            await self._look_at(market, settled)
        self.looks += 1

    async def _declare_losses(self) -> None:
        losses = dict(self._writer.take_losses())
        numbered = set(self._consecutive())
        try:
            for market in sorted(losses):
                if market not in numbered or await self._is_before_all(market, losses[market]):
                    await self._declare(Gap(market, *UNKNOWN_KEYS, *losses[market], _DROPPED))
                del losses[market]
        finally:
            self._writer.put_back(losses)

    async def _is_before_all(self, market: int, lost: Span) -> bool:
        """Ids show what is lost between stored ones, not what is lost before the first."""
        row = await self._database.fetchrow(SQL["audit_span"], market, self._clock.now())
        return row is None or row["first"] is None or lost[0] < row["first"]

    async def _look_at(self, market: int, settled: int) -> None:
        row = await self._database.fetchrow(SQL["audit_span"], market, settled)
        if row is None or row["last"] is None:
            return
        reached = row["first"] if row["reached"] <= 0 else row["reached"]
        end = row["last"] - OVERLAP
        while reached < end:
            until = min(reached + _SLICE, end)
            holes = await self._database.fetch(
                SQL["audit_holes"], market, reached - OVERLAP, reached, until + OVERLAP, until
            )
            for first, last, from_at, to_at in holes:
                await self._compare(market, (first, last), from_at, to_at)
            await self._database.execute(SQL["audit_reached"], market, until)
            reached = until

    async def _compare(self, market: int, hole: Span, from_at: int, to_at: int) -> None:
        known = [(row[0], row[1]) for row in await self._database.fetch(SQL["audit_known"], market, *hole)]
        for first, last in without(hole, known):
            await self._declare(Gap(market, first, last, from_at, to_at, _REASON))

    async def _declare(self, gap: Gap) -> None:
        log.warning("audit.hole", market=gap.market, first=gap.first_key, last=gap.last_key, reason=gap.reason)
        number = await self._ledger.declare(gap, opened_seen=self._clock.now())
        self.declared += 1
        self._found(number, gap)

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts."""
        return {"looks": self.looks, "declared": self.declared}

    def trouble(self) -> str | None:
        """Never: what cannot be looked at now is looked at later."""
        return None

    def samples(self) -> Iterable[Sample]:
        """Counters."""
        yield Sample("looks", self.looks, help="Times all markets' stored ids were looked through")
        yield Sample("holes_declared", self.declared, help="Holes found in what is stored, and declared")


def without(hole: Span, known: Iterable[Span]) -> list[Span]:
    """What of a range none of the others covers; all inclusive."""
    left, (first, last) = [], hole
    for begin, end in sorted(known):
        if begin > first:
            left.append((first, min(begin - 1, last)))
        first = max(first, end + 1)
        if first > last:
            break
    return [*left, (first, last)] if first <= last else left
