"""Who evaluates a shard: one engine at a time, for as long as its lease is renewed; the others stand by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import structlog

from pricewatch.domain.errors import Fenced, Unavailable
from pricewatch.domain.rule import StateRow
from pricewatch.domain.signal import FeedEntry
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.ports.journal import Change, Claim, Grant, LeasedJournal
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_SURE = 0.8
"""Share of the lease in which we rely on it: what we begin then reaches the others before they may take over."""


class Rows(Protocol):
    """The two calls of the tick writer that matter when another engine may take over."""

    def fence(self, shard: int, term: int) -> None:
        """Write rows under this term alone."""
        ...

    async def drain(self) -> None:
        """Return when everything handed in is in the table; raises `Unavailable` or `Fenced`."""
        ...


class Tenure:
    """The right to one shard (a `Part`, and the `Journal` that evaluation commits to).

    Commits renew the lease; `run` renews it where none came. Order of life: `acquire`, `run`, `release`.
    """

    name = "shard"

    def __init__(
        self,
        settings: EvaluationSettings,
        journal: LeasedJournal,
        *,
        owner: str,
        home: str,
        rows: Rows | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`owner` is for people, `home` names the data folder this process holds.

        With `rows` no cursor is committed beyond what is in the table, for the next owner reads nothing else; without
        them (one process, which comes back to its own spool) the spool is enough. `now` is any clock in seconds that
        goes on while the process is frozen.
        """
        self._settings = settings
        self._journal = journal
        self._owner = owner
        self._home = home
        self._rows = rows
        self._now = now
        self._claim: Claim | None = None
        self._fresh: Claim | None = None
        self._renewed = 0.0
        self._holder = ""
        self._is_lost = False
        self._asking = False
        """A new term is being asked for: the old one may end before we know the new one."""
        self.takeovers = 0

    # -- getting and keeping it ---------------------------------------------------------------------------------------

    async def acquire(self) -> Grant:
        """Stand by until the shard is ours, however long that takes; asked again, for a new term."""
        self._asking = True
        try:
            return await self._stand_by()
        finally:
            self._asking = False

    async def _stand_by(self) -> Grant:
        waiting = False
        while True:
            began = self._now()
            try:
                answer = await self._journal.request(
                    self._settings.shard, self._owner, home=self._home, lease=self._settings.lease
                )
            except Unavailable as error:  # the database itself logs when it goes and when it is back
                log.debug("shard.unknown", error=str(error))
            else:
                if isinstance(answer, Grant):
                    self._take(answer, began)
                    return answer
                self._holder = answer.owner
                if not waiting:
                    log.info("shard.standby", shard=self._settings.shard, owner=answer.owner)
                waiting = True
            await asyncio.sleep(self._settings.standby_interval)

    def _take(self, grant: Grant, began: float) -> None:
        self._claim = self._fresh = grant.claim
        self._is_lost = False
        self._renewed = began
        if self._rows is not None:
            self._rows.fence(grant.claim.shard, grant.claim.term)
        if grant.former and not grant.kept:
            self.takeovers += 1
            log.warning(
                "shard.taken_over",
                shard=grant.claim.shard,
                term=grant.claim.term,
                former=grant.former,
                silent_seconds=round(grant.silent, 3),
            )

    async def run(self) -> None:
        """Renew the lease when no commit did, until cancelled; raises `Fenced` when somebody else has the shard."""
        while True:
            due = self._renewed + self._settings.lease / 2
            await asyncio.sleep(max(due - self._now(), self._settings.lease / 20))
            if self._now() >= self._renewed + self._settings.lease / 2:
                try:
                    await self._renew()
                except Unavailable as error:  # then nobody else gets it either; and if they do, we are fenced
                    log.debug("shard.unrenewed", error=str(error))

    async def sure(self) -> None:
        """Return once the lease certainly runs, renewed if need be; raises `Fenced` when the shard is another's.

        To be asked before taking what another owner would then miss. While the database is away this waits.
        """
        while self._now() >= self._renewed + self._settings.lease * _SURE:
            try:
                await self._renew()
            except Unavailable as error:
                log.debug("shard.unsure", error=str(error))
                await asyncio.sleep(self._settings.commit_retry)

    async def release(self) -> None:
        """Hand over: whoever stands by takes the shard at once."""
        if self._claim is not None and not self._is_lost:
            try:
                await self._journal.release(self._claim)
            except Unavailable as error:
                log.info("shard.unreleased", error=str(error))

    async def _renew(self) -> None:
        claim = self._held
        try:
            await self._fenced_by(claim, Change(cursor=claim.cursor))
        except Fenced:
            if self._is_lost:
                raise
            log.info("shard.term_over", shard=claim.shard, term=claim.term)

    @property
    def _held(self) -> Claim:
        if self._claim is None:
            raise RuntimeError("acquire() comes before everything else")
        return self._claim

    # -- the journal of evaluation ------------------------------------------------------------------------------------

    async def claim(self, shard: int, owner: str) -> Claim:
        """What `acquire` got; asked again, a new term."""
        if (shard, owner) != (self._settings.shard, self._owner):
            raise RuntimeError(f"shard {shard} of {owner} is not what this tenure is about")
        if self._fresh is None:
            await self.acquire()
        fresh, self._fresh = self._held, None
        return fresh

    async def commit(self, claim: Claim, change: Change) -> list[FeedEntry]:
        """As the journal's; with rows, once everything up to the cursor is in the table."""
        if self._rows is not None:
            try:
                await self._rows.drain()
            except Fenced:
                self._lost(claim)
                raise
        return await self._fenced_by(claim, change)

    async def states(self, shard: int) -> list[StateRow]:
        """As the journal's."""
        return await self._journal.states(shard)

    async def _fenced_by(self, claim: Claim, change: Change) -> list[FeedEntry]:
        began = self._now()
        try:
            entries = await self._journal.commit(claim, change)
        except Fenced:
            self._lost(claim)
            raise
        self._renewed = max(self._renewed, began)
        return entries

    def _lost(self, claim: Claim) -> None:
        """Unless it was we who ended that term, by asking for a new one."""
        if not self._is_lost and not self._asking and claim is self._claim:
            self._is_lost = True
            silent = round(self._now() - self._renewed, 3)
            log.error("shard.lost", shard=claim.shard, term=claim.term, unrenewed_seconds=silent)

    # -- what it tells ------------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, Any]:
        """Who has it."""
        claim = self._claim
        return {
            "shard": self._settings.shard,
            "state": "standby" if claim is None else "lost" if self._is_lost else "owner",
            "owner": self._holder if claim is None else self._owner,
            "term": claim.term if claim is not None else None,
            "takeovers": self.takeovers,
        }

    def trouble(self) -> str | None:
        """A standby is not ready, and says so."""
        if self._claim is None:
            return f"standby: shard {self._settings.shard} is held by {self._holder or 'nobody we know of'}"
        return "the shard was taken over by another engine" if self._is_lost else None

    def samples(self) -> Iterable[Sample]:
        """Whether it is ours."""
        yield Sample(
            "owned", int(self._claim is not None and not self._is_lost), "gauge", help="Whether we own the shard"
        )
        yield Sample("takeovers", self.takeovers, help="Times the shard was taken over from another engine")
