"""The way out of the engine: changes are committed in groups, then told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Protocol

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.model import Activation, BarScore, Snapshot
from pricewatch.domain.rule import StateRow
from pricewatch.domain.signal import Signal
from pricewatch.engine.evaluate import Engine
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
    """Collects what the engine changed and commits it with the cursor.

    A change that could not be committed is kept, merged with what came after it, and tried again: nothing is told
    before its commit, nothing is told twice.
    """

    def __init__(
        self, engine: Engine, claim: Claim, *, journal: Journal, models: ModelStore, spool: Spool, signals: SignalSink
    ) -> None:
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
        self._states: dict[tuple[uuid.UUID, int], StateRow] = {}
        self._fresh: list[Signal] = []
        self._effective: list[tuple[uuid.UUID, int, int]] = []
        self._activations: list[Activation] = []
        self._snapshots: dict[tuple[int, str], Snapshot] = {}

    @property
    def waiting(self) -> int:
        """How many rule changes wait for their commit; states merge, signals do not."""
        return max(len(self._states), len(self._fresh)) + len(self._engine.transitions)

    @property
    def idle(self) -> bool:
        """Whether only the cursor could be committed."""
        return not (self._engine.transitions or self._states or self._fresh or self._effective or self._activations)

    @property
    def taken_up(self) -> set[tuple[uuid.UUID, int]]:
        """Rule versions taken up whose commit is still to come."""
        return {(rule, version) for rule, version, _ in self._effective}

    def take_up(self, rule: uuid.UUID, version: int, seen: int) -> None:
        """A rule version counts from `seen` on."""
        self._effective.append((rule, version, seen))

    def activate(self, activation: Activation) -> None:
        """A forecast counts from its `from_seen` on."""
        self._activations.append(activation)

    def keep(self, snapshots: list[Snapshot]) -> None:
        """Model states to be saved once the cursor has passed them; a newer one replaces one that still waits."""
        for snapshot in snapshots:
            self._snapshots[snapshot.market, snapshot.model] = snapshot

    async def commit(self, cursor: int, now: Callable[[], int]) -> bool:
        """Commit everything up to `cursor` (all of it evaluated); False when the database is away."""
        try:
            while len(self._effective) > _SLICE:
                await self._commit_taken_up()
        except Unavailable as error:
            return self._is_down(error, now)
        change = self._collect(cursor)
        try:
            self._spool.spool()
            if self._activations:
                activations = self._activations[:]
                await self._models.activate(activations)
                del self._activations[: len(activations)]  # others may have come meanwhile
            entries = await self._journal.commit(self._claim, change)
        except Unavailable as error:
            return self._is_down(error, now)
        if self.down_since is not None:
            log.info("storage.up", seconds=(now() - self.down_since) / 1e6)
            self.down_since = None
        self._settle(change)
        self.cursor = cursor
        self.committed += 1
        if entries:
            self.emitted += len(entries)
            self._signals.committed(entries)
        return True

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

    def _collect(self, cursor: int) -> Change:
        """One change of all that waits; later states of the same rule and market replace earlier ones."""
        transitions = self._engine.transitions
        self._engine.transitions = []
        for transition in transitions:
            row = transition.row
            self._states[row.rule_id, row.market] = row
            if transition.signal is not None:
                self._fresh.append(transition.signal)
        return Change(
            cursor=cursor,
            states=list(self._states.values()),
            signals=self._fresh[:],
            effective=self._effective[:],
        )

    def _settle(self, change: Change) -> None:
        """Forget what the change has made durable; what came meanwhile stays."""
        for row in change.states:
            if self._states.get((row.rule_id, row.market)) is row:
                del self._states[row.rule_id, row.market]
        del self._fresh[: len(change.signals)]
        del self._effective[: len(change.effective)]
