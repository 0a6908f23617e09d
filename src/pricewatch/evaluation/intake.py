"""Rules and their owners' commands on their way into the engine, each with a place in the order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from pricewatch.domain.rule import RuleCommand
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.seeding import Want
from pricewatch.engine.state import ActiveRule
from pricewatch.evaluation.committer import Committer
from pricewatch.evaluation.recovery import active_rule
from pricewatch.evaluation.seeding import Seeder
from pricewatch.evaluation.watchlists import Watched
from pricewatch.ports.rules import RuleBook, StoredRule

_TURN = 50
"""Documents between two turns of the loop."""

Read = tuple[StoredRule, ActiveRule | None]
"""A rule version with what its document means; None where it is deleted, or cannot be read any more."""


class Intake:
    """Lives as long as the engine it feeds. `place` gives the next place in the order."""

    def __init__(
        self,
        engine: Engine,
        committer: Committer,
        watched: Watched,
        rules: RuleBook,
        place: Callable[[], int],
        seeder: Seeder,
    ) -> None:
        self.unreadable = 0
        """Stored rules that cannot be read."""
        self._engine = engine
        self._committer = committer
        self._watched = watched
        self._rules = rules
        self._place = place
        self._seeder = seeder

    def placed(self, stored: StoredRule) -> int:
        """The place from which on a rule version counts, noted for the next commit."""
        seen = self._place()
        self._committer.take_up(stored.id, stored.version, seen)
        return seen

    async def look(self, ready: Callable[[], bool]) -> int | None:
        """Take up what was changed and obey what was said, unless we are not `ready` for it when it comes.

        Returns the place of the newest command obeyed. Raises `Unavailable`.
        """
        # Before we ask: what is committed while we wait must not be taken up twice.
        known, obeyed = self._committer.taken_up, self._committer.obeyed
        pending = await self._rules.pending()
        commands = await self._rules.pending_commands()
        fresh = await self._read([rule for rule in pending if (rule.id, rule.version) not in known])
        if not ready():
            return None
        wants = {one.id: self._wants(active) for one, active in fresh if active is not None}
        self.take_up(read for read in fresh if not wants.get(read[0].id))  # who needs no past waits for nobody's
        seeds = await self._seeder.gathered(want for wanted in wants.values() for want in wanted)
        if not ready():
            return None
        self.take_up(read for read in fresh if wants.get(read[0].id))
        self._seeder.give(seeds)
        return self._obey(one for one in commands if (one.rule_id, one.number) not in obeyed)

    async def look_at_lists(self) -> None:
        """Rules over watchlists watch what is on them now. Raises `Unavailable`."""
        changed = await self._watched.changed()
        seeds = await self._seeder.gathered(want for active in changed for want in self._wants(active))
        for active in changed:
            self._engine.arm(active)
        self._seeder.give(seeds)

    def _wants(self, active: ActiveRule) -> list[Want]:
        return self._engine.seeding.wants(active.rule)

    async def _read(self, pending: Iterable[StoredRule]) -> list[Read]:
        """Their documents, some at a time."""
        found: list[Read] = []
        for number, stored in enumerate(pending, 1):
            found.append((stored, None if stored.deleted else active_rule(stored, 0)))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return found

    def take_up(self, pending: Iterable[Read]) -> None:
        """These versions count from now on; an unreadable one disarms its rule and is counted."""
        for stored, active in pending:
            seen = self.placed(stored)
            self._watched.forget(stored.id)
            if stored.deleted:
                self._engine.disarm(stored.id)
                continue
            if active is None:
                self.unreadable += 1
                self._engine.disarm(stored.id)
            else:
                placed = msgspec.structs.replace(active, effective_seen=seen)
                self._engine.arm(placed)
                self._watched.follow(placed)

    def _obey(self, commands: Iterable[RuleCommand]) -> int | None:
        """Each at a place of its own, so that a restart finds it there."""
        newest = None
        for command in commands:
            newest = self._place()
            self._engine.command(command, newest)
            self._committer.obey(command.rule_id, command.number, newest)
        return newest
