"""The journal in PostgreSQL: one change, one round trip, one transaction."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import msgspec

from pricewatch.domain.errors import Fenced, Unavailable
from pricewatch.domain.rule import Phase, RuleState, StateRow
from pricewatch.domain.signal import Direction, FeedEntry, Signal
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import Change, Claim, Grant, Held
from pricewatch.store import memories, sql
from pricewatch.store.pool import Database, Row

_SQL = sql.load("journal")
_FENCED = "PW001"
_BEFORE_ALL = (uuid.UUID(int=0), -1)
_ROWS_A_SECOND = 10_000
"""A call that carries many rows may take this much longer; a fifth of what was measured."""

_encode = msgspec.json.Encoder().encode


class PostgresJournal:
    """Keeps `ports.journal.LeasedJournal`. `committed` is the given clock's time, taken when the change is sent."""

    def __init__(self, database: Database, clock: Clock, *, patience: float = 5.0, batch: int = 5_000) -> None:
        self._database = database
        self._clock = clock
        self._patience = patience
        self._batch = batch
        self._unsure: set[uuid.UUID] = set()

    async def claim(self, shard: int, owner: str) -> Claim:
        """Waits for a commit under way, then takes the shard."""
        (row,) = await self._database.fetch(_SQL["claim"], shard, owner)
        claim = Claim(shard=shard, owner=owner, term=row["term"], cursor=row["cursor_seen"])
        await self._rehearse(claim)
        return claim

    async def request(self, shard: int, owner: str, *, home: str, lease: float) -> Grant | Held:
        """As the port says; a lease is counted by the database's clock alone."""
        (row,) = await self._database.fetch(_SQL["request"], shard, owner, home, lease)
        granted, holder, term, cursor, kept, silent = row
        if not granted:
            return Held(owner=holder, silent=silent)
        claim = Claim(shard=shard, owner=owner, term=term, cursor=cursor)
        await self._rehearse(claim)
        return Grant(claim=claim, former=holder, kept=kept, silent=silent)

    async def release(self, claim: Claim) -> None:
        """As the port says."""
        await self._database.execute(_SQL["release"], claim.shard, claim.term)

    async def _rehearse(self, claim: Claim) -> None:
        """A change that leaves nothing behind, of an account and a rule that cannot be.

        A connection's first call makes every plan: no signal shall wait for that.
        """
        nobody = uuid.uuid4()
        signal = Signal(
            id=nobody, account_id=nobody, rule_id=nobody, rule_version=0, title="", kind="", severity="",
            direction=Direction.FIRED, scope="", market=0, venue="", symbol="", cause="", at=0, seen=0, received=0,
            price=0.0, since=0, evidence={}, channels=("",),
        )  # fmt: skip
        state = StateRow(nobody, 0, 0, RuleState(), 0)
        some = [(nobody, 0, 0)]
        change = Change(cursor=claim.cursor, states=[state], signals=[signal], effective=some, commands=some)
        with contextlib.suppress(Fenced):  # somebody claims after us: our first real commit tells
            await self._commit(claim, change, {nobody: signal})

    async def commit(self, claim: Claim, change: Change) -> list[FeedEntry]:
        """As the port says. Signals of accounts that are gone, and states of rules that are, are left out.

        So are the states of a change that was overtaken by one with a later cursor. Signals of a change that raised
        `Unavailable` though it was committed are told when it is redone.
        """
        if not (change.states or change.signals or change.effective or change.commands):
            await self._advance(claim, change.cursor)
            return []
        signals = _unique(change.signals)
        try:
            entries = await self._commit(claim, change, signals)
            untold = await self._committed_untold(signals, entries)
        except Unavailable:
            self._unsure.update(signals)
            raise
        self._unsure.difference_update(signals)
        return sorted(untold, key=_by_seq) + entries

    async def _commit(self, claim: Claim, change: Change, signals: dict[uuid.UUID, Signal]) -> list[FeedEntry]:
        now = self._clock.now()
        rows = len(change.states) + len(signals) + len(change.effective) + len(change.commands)
        arguments = (
            *(claim.shard, claim.term, change.cursor, now),
            *_taken_columns(change.effective),
            *_taken_columns(change.commands),
            *_state_columns(_newest(change.states)),
            *_signal_columns(signals.values()),
            *_channel_columns(signals.values()),
        )
        try:
            placed = await self._database.call(
                lambda connection: connection.fetch(_SQL["commit"], *arguments),
                within=self._patience + rows / _ROWS_A_SECOND,
            )
        except asyncpg.PostgresError as exc:
            if exc.sqlstate == _FENCED:
                raise _fenced(claim) from exc
            raise
        return [_entry(signals[row[0]], row[1], row[2], now) for row in placed]

    async def states(self, shard: int) -> list[StateRow]:
        """In order of rule and market; read in batches, so that the loop goes on meanwhile."""
        found: list[StateRow] = []
        rule, market = _BEFORE_ALL
        while True:
            rows = await self._database.fetch(_SQL["states"], shard, rule, market, self._batch)
            found.extend(map(_state, rows))
            if len(rows) < self._batch:
                return found
            rule, market = rows[-1]["rule_id"], rows[-1]["instrument_id"]

    async def _committed_untold(self, signals: dict[uuid.UUID, Signal], told: Sequence[FeedEntry]) -> list[FeedEntry]:
        missing = self._unsure.intersection(signals).difference(entry.signal.id for entry in told)
        if not missing:
            return []
        rows = await self._database.fetch(_SQL["placed"], list(missing))
        return [_entry(signals[row[0]], *row[1:]) for row in rows]

    async def _advance(self, claim: Claim, cursor: int) -> None:
        if await self._database.fetchval(_SQL["advance"], claim.shard, claim.term, cursor) is None:
            raise _fenced(claim)


def _by_seq(entry: FeedEntry) -> int:
    return entry.seq


def _fenced(claim: Claim) -> Fenced:
    return Fenced(f"shard {claim.shard} is no longer {claim.owner}'s: term {claim.term} has ended")


def _unique(signals: Iterable[Signal]) -> dict[uuid.UUID, Signal]:
    """The first of each id, in order."""
    found: dict[uuid.UUID, Signal] = {}
    for signal in signals:
        found.setdefault(signal.id, signal)
    return found


def _newest(states: Iterable[StateRow]) -> Iterable[StateRow]:
    """Per rule and market the last row of the highest version."""
    found: dict[tuple[uuid.UUID, int], StateRow] = {}
    for row in states:
        key = (row.rule_id, row.market)
        held = found.get(key)
        if held is None or held.version <= row.version:
            found[key] = row
    return found.values()


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Rows turned into the arrays that `unnest` takes."""
    return list(zip(*rows, strict=True)) or [()] * width


def _taken_columns(taken: Iterable[tuple[uuid.UUID, int, int]]) -> list[Sequence[Any]]:
    return _columns(taken, 3)


def _state_columns(states: Iterable[StateRow]) -> list[Sequence[Any]]:
    return _columns(
        (
            (
                row.rule_id,
                row.market,
                row.version,
                state.phase,
                state.armed,
                state.silent,
                state.since,
                state.due_at,
                state.due_seen,
                state.emitted_at,
                state.fired,
                state.hour,
                state.hour_fires,
                memories.pack(row),
                row.seen,
            )
            for row in states
            for state in (row.state,)
        ),
        15,
    )


def _signal_columns(signals: Iterable[Signal]) -> list[Sequence[Any]]:
    return _columns(
        (
            (
                signal.id,
                signal.account_id,
                signal.rule_id,
                signal.rule_version,
                signal.market,
                signal.direction,
                signal.at,
                signal.seen,
                _encode(signal),
            )
            for signal in signals
        ),
        9,
    )


def _channel_columns(signals: Iterable[Signal]) -> list[Sequence[Any]]:
    owed = itertools.chain.from_iterable(
        ((signal.id, channel, signal.not_before) for channel in signal.channels) for signal in signals
    )
    return _columns(owed, 3)


def _state(row: Row) -> StateRow:
    rule, market, version, phase, *rest, column, seen = row
    parts, tally = memories.unpack(column)
    state = msgspec.structs.replace(RuleState(Phase(phase), *rest), tally=tally)
    return StateRow(rule, version, market, state, seen, parts)


def _entry(signal: Signal, epoch: int, seq: int, committed: int) -> FeedEntry:
    return FeedEntry(feed=signal.account_id, epoch=epoch, seq=seq, signal=signal, committed=committed)
