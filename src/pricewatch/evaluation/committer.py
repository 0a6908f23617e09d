"""The way out of the engine: changes are committed in groups, then told."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.model import Activation, BarScore, Snapshot
from pricewatch.domain.rule import StateRow
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.state import Transition
from pricewatch.ports.journal import Change, Claim, Journal, SignalSink
from pricewatch.ports.models import ModelStore

log = structlog.get_logger(__name__)


_SLICE = 5_000
"""Rule versions taken up in one transaction: tens of milliseconds for the loop and for the database."""


class Spool(Protocol):
    """The one call of the tick writer that must precede every commit."""

    def spool(self) -> None:
        """Make everything packed so far survive kill -9."""
        ...


class Committer:
    """Collects what the engine changed and commits it with the cursor, a bounded number of changes at a time.

    What could not be committed is kept, in order, and tried again with what came after it: nothing is told before its
    commit, nothing is told twice. A burst is told piece by piece; nobody waits for the whole of it.
    """

    def __init__(
        self,
        engine: Engine,
        claim: Claim,
        *,
        journal: Journal,
        models: ModelStore,
        spool: Spool,
        signals: SignalSink,
        limit: int = 200,
    ) -> None:
        """`limit`: changes in one commit; only those of one and the same instant may be more."""
        self._engine = engine
        self._claim = claim
        self._journal = journal
        self._models = models
        self._spool = spool
        self._signals = signals
        self.cursor = claim.cursor
        self.committed = 0
        self.emitted = 0
        self.down_since: int | None = None
        self._limit = limit
        self._asked = claim.cursor
        """The newest cursor of any commit tried: one that failed may have been made all the same."""
        self._waiting: deque[Transition] = deque()
        self._effective: list[tuple[uuid.UUID, int, int]] = []
        self._commands: list[tuple[uuid.UUID, int, int]] = []
        self._activations: list[Activation] = []
        self._snapshots: dict[tuple[int, str], Snapshot] = {}

    @property
    def waiting(self) -> int:
        """How many rule changes wait for their commit."""
        return len(self._waiting) + len(self._engine.transitions)

    @property
    def idle(self) -> bool:
        """Whether only the cursor could be committed."""
        changed = self._engine.transitions or self._waiting or self._effective
        return not (changed or self._commands or self._activations)

    @property
    def taken_up(self) -> set[tuple[uuid.UUID, int]]:
        """Rule versions taken up whose commit is still to come."""
        return {(rule, version) for rule, version, _ in self._effective}

    def take_up(self, rule: uuid.UUID, version: int, seen: int) -> None:
        """A rule version counts from `seen` on."""
        self._effective.append((rule, version, seen))

    @property
    def obeyed(self) -> set[tuple[uuid.UUID, int]]:
        """Rule commands taken up whose commit is still to come."""
        return {(rule, number) for rule, number, _ in self._commands}

    def obey(self, rule: uuid.UUID, number: int, seen: int) -> None:
        """A rule command counts from `seen` on."""
        self._commands.append((rule, number, seen))

    def activate(self, activation: Activation) -> None:
        """A forecast counts from its `from_seen` on."""
        self._activations.append(activation)

    def keep(self, snapshots: list[Snapshot]) -> None:
        """Model states to be saved once the cursor has passed them; a newer one replaces one that still waits."""
        for snapshot in snapshots:
            self._snapshots[snapshot.market, snapshot.model] = snapshot

    async def commit(self, cursor: int, now: Callable[[], int]) -> bool:
        """Commit everything up to `cursor` (all of it evaluated); False when the database is away."""
        self._waiting.extend(self._engine.transitions)  # at once: what comes while we wait lies beyond `cursor`
        self._engine.transitions = []
        self._engine.is_urgent = False
        try:
            while len(self._effective) > _SLICE:
                await self._commit_taken_up()
        except Unavailable as error:
            return self._is_down(error, now)
        whole = False
        while not whole:
            count = self._next_slice()
            whole = count == len(self._waiting)
            try:
                entries = await self._commit_slice(count, cursor if whole else self._cursor_after(count, cursor))
            except Unavailable as error:
                return self._is_down(error, now)
            if self.down_since is not None:
                log.info("storage.up", seconds=(now() - self.down_since) / 1e6)
                self.down_since = None
            if entries:
                self.emitted += len(entries)
                self._signals.committed(entries)
        return True

    def _next_slice(self) -> int:
        """How many of the changes that wait are committed next: what one input brought about stays together."""
        waiting = self._waiting
        count = min(len(waiting), self._limit)
        while 0 < count < len(waiting) and waiting[count].row.seen == waiting[count - 1].row.seen:
            count += 1
        return count

    def _cursor_after(self, count: int, cursor: int) -> int:
        """Where the cursor stands once the first changes are committed; never back."""
        return max(self._asked, min(cursor, max(one.row.seen for one in islice(self._waiting, count))))

    async def _commit_slice(self, count: int, cursor: int) -> list[FeedEntry]:
        self._spool.spool()
        if self._activations:
            activations = self._activations[:]
            await self._models.activate(activations)
            del self._activations[: len(activations)]  # others may have come meanwhile
        change = self._change(count, cursor)
        self._asked = max(self._asked, cursor)
        entries = await self._journal.commit(self._claim, change)
        for _ in range(count):
            self._waiting.popleft()
        del self._effective[: len(change.effective)]
        del self._commands[: len(change.commands)]
        self.cursor = cursor
        self.committed += 1
        return entries

    async def _commit_taken_up(self) -> None:
        """After a bulk import: some of it, where the cursor stands; what the rules brought about comes afterwards."""
        some = self._effective[:_SLICE]
        await self._journal.commit(self._claim, Change(cursor=self.cursor, states=[], signals=[], effective=some))
        del self._effective[: len(some)]

    def _is_down(self, error: Unavailable, now: Callable[[], int]) -> bool:
        if self.down_since is None:
            self.down_since = now()
            log.warning("storage.down", waiting=self.waiting, error=str(error))
        return False

    async def save_models(self) -> None:
        """Write the snapshots the cursor has passed and the scores of closed bars."""
        ready = [snapshot for snapshot in self._snapshots.values() if snapshot.seen <= self.cursor]
        if ready:
            await self._models.save_snapshots(ready)
            for snapshot in ready:
                if self._snapshots.get((snapshot.market, snapshot.model)) is snapshot:
                    del self._snapshots[snapshot.market, snapshot.model]
        scores: list[BarScore] = self._engine.bar_scores
        if scores:
            self._engine.bar_scores = []
            try:
                await self._models.save_bar_scores(scores)
            except Unavailable:
                self._engine.bar_scores = scores[-100_000:] + self._engine.bar_scores
                raise

    def _change(self, count: int, cursor: int) -> Change:
        """The first changes as one; later states of the same rule and market replace earlier ones."""
        states: dict[tuple[uuid.UUID, int], StateRow] = {}
        signals: list[Signal] = []
        for transition in islice(self._waiting, count):
            row = transition.row
            states[row.rule_id, row.market] = row
            if transition.signal is not None:
                signals.append(transition.signal)
        obeyed = [one for one in self._commands if one[2] <= cursor]  # in order: the first ones
        return Change(
            cursor=cursor,
            states=list(states.values()),
            signals=signals,
            effective=self._effective[:],
            commands=obeyed,
        )
