"""Start-up is recovery: models, rule states, windows, then what was stored but not yet evaluated."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec
import structlog

from pricewatch.domain.errors import Invalid
from pricewatch.domain.model import Activation, Forecast, Snapshot
from pricewatch.domain.rule import Order, Phase, RuleCommand, RuleState, StateRow
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.state import ActiveRule
from pricewatch.evaluation import rebuilding
from pricewatch.evaluation.seeding import begin_again
from pricewatch.evaluation.watchlists import Watched
from pricewatch.ports.journal import Journal
from pricewatch.ports.models import ModelStore
from pricewatch.ports.rules import RuleBook, StoredRule
from pricewatch.ports.ticks import History, Sequenced, TickLog
from pricewatch.rules.document import parse

log = structlog.get_logger(__name__)


class Restored(msgspec.Struct, frozen=True):
    """What the restart found."""

    rules: int
    unreadable: int
    history: int
    """Trades read again without evaluating them."""
    later: list[tuple[Activation, Forecast]]
    """Activations whose place in the order is beyond the cursor, in order."""


def active_rule(stored: StoredRule, effective_seen: int) -> ActiveRule | None:
    """The rule as the engine runs it; None (logged) when its stored document cannot be read any more."""
    try:
        rule = parse(stored.document)
    except Invalid as error:
        log.warning("rule.unreadable", rule=str(stored.id), version=stored.version, error=str(error))
        return None
    return ActiveRule(
        id=stored.id,
        account_id=stored.account_id,
        version=stored.version,
        rule=rule,
        effective_seen=effective_seen,
    )


async def restore(
    engine: Engine,
    cursor: int,
    shard: int,
    *,
    markets: Collection[int],
    journal: Journal,
    rules: RuleBook,
    models: ModelStore,
    history: History,
    ticks: TickLog,
    take_up: Callable[[StoredRule], int],
    watched: Watched,
) -> Restored:
    """Bring the engine to where it stood at `cursor`; trades of markets other than `markets` are left alone.

    `take_up` gives a new rule its place in the order. Of a changed one the version in force is armed: the change, like
    a command not yet taken up, has its place after what is stored.
    """
    snapshots = await rebuilding.take_up(engine, await models.snapshots(), markets, history)
    later = _activate(engine, cursor, await models.active_forecasts(cursor))
    rows = await journal.states(shard)
    states = _by_rule(rows)
    for market in _blind(rows, cursor) & set(markets):
        engine.hold(market)
    commands = {one.rule_id: _in_force(one, cursor) async for batch in rules.taken_commands() for one in batch}
    armed = unreadable = 0
    async for batch in rules.everything():
        for newest in batch:
            stored = newest
            if newest.effective_seen is None:
                stored = await rules.effective(newest.id) or newest if newest.version > 1 else newest
            seen = stored.effective_seen if stored.effective_seen is not None else take_up(stored)
            active = active_rule(stored, seen)
            if active is None:
                unreadable += 1
                continue
            active = await watched.looked_up(active)
            watched.follow(active)
            known = states.get((stored.id, stored.version), {})
            parts = {market: row.parts for market, row in known.items() if row.parts}
            held = {market: row.state for market, row in known.items()}
            engine.arm(active, held, commands.get(stored.id), parts)
            armed += 1
    unlearned = _unlearned(snapshots, (await history.last(cursor)).values())
    after = min([cursor - engine.longest_window(), *unlearned])
    first = sorted((await history.last(after)).values(), key=_place)
    await begin_again(engine, history, {one.trade.market: one.trade.at for one in first})
    count = await _relive(engine, first, after, cursor, markets, ticks)
    return Restored(rules=armed, unreadable=unreadable, history=count, later=later)


def _activate(
    engine: Engine, cursor: int, found: Sequence[tuple[Activation, Forecast]]
) -> list[tuple[Activation, Forecast]]:
    """Put the forecasts in force at the cursor into force; return the later ones in order."""
    for activation, forecast in found:
        if activation.from_seen <= cursor:
            engine.activate(forecast, activation.from_seen)
    return sorted((pair for pair in found if pair[0].from_seen > cursor), key=lambda pair: pair[0].from_seen)


def _in_force(command: RuleCommand, cursor: int) -> RuleCommand:
    """A snooze that was over before we stopped is a rule that was resumed then."""
    if command.order is Order.SNOOZE and command.until <= cursor:
        return msgspec.structs.replace(command, order=Order.RESUME, effective_seen=command.until)
    return command


def _by_rule(rows: Iterable[StateRow]) -> dict[tuple[uuid.UUID, int], dict[int, StateRow]]:
    states: dict[tuple[uuid.UUID, int], dict[int, StateRow]] = {}
    for row in rows:
        states.setdefault((row.rule_id, row.version), {})[row.market] = row
    return states


def _blind(rows: Iterable[StateRow], cursor: int) -> set[int]:
    """Markets that were blind when we stopped: a timer of theirs that was due had not fired."""
    return {row.market for row in rows if any(0 < due <= cursor for due in _timers(row.state))}


def _timers(state: RuleState) -> Iterator[int]:
    """Places at which something of it is due: what it waits for, and the digest of a pause."""
    if state.phase is Phase.PENDING:
        yield state.due_seen
    if state.tally is not None:
        yield state.tally.due_seen


def _unlearned(snapshots: Iterable[Snapshot], newest: Iterable[Sequenced]) -> Iterator[int]:
    """Where the models stand that have trades still to learn; a market that fell silent has none."""
    seen = {one.trade.market: one.seen for one in newest}
    return (one.seen for one in snapshots if one.seen < seen.get(one.market, 0))


async def _relive(
    engine: Engine, first: Sequence[Sequenced], after: int, cursor: int, markets: Collection[int], ticks: TickLog
) -> int:
    """Read the trades of the engine's windows again, without evaluating them: from each market's last one before."""
    count = 0
    for seen, trade in first:
        if trade.market in markets:
            engine.trade(trade, seen, evaluate=False)
            count += 1
    async for batch in ticks.read(after, upto=cursor):
        for seen, trade in batch:
            if trade.market in markets:
                engine.trade(trade, seen, evaluate=False)
                count += 1
    return count


def _place(one: Sequenced) -> int:
    return one.seen
