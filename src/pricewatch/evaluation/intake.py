"""Rules and their owners' commands on their way into the engine, each with a place in the order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pricewatch.domain.rule import RuleCommand
from pricewatch.engine.evaluate import Engine
from pricewatch.evaluation.committer import Committer
from pricewatch.evaluation.recovery import active_rule
from pricewatch.evaluation.watchlists import Watched
from pricewatch.ports.rules import RuleBook, StoredRule


class Intake:
    """Lives as long as the engine it feeds. `place` gives the next place in the order."""

    def __init__(
        self, engine: Engine, committer: Committer, watched: Watched, rules: RuleBook, place: Callable[[], int]
    ) -> None:
        self.unreadable = 0
        """Stored rules that cannot be read."""
        self._engine = engine
        self._committer = committer
        self._watched = watched
        self._rules = rules
        self._place = place

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
        if not ready():
            return None
        self.take_up(rule for rule in pending if (rule.id, rule.version) not in known)
        return self._obey(one for one in commands if (one.rule_id, one.number) not in obeyed)

    async def look_at_lists(self) -> None:
        """Rules over watchlists watch what is on them now. Raises `Unavailable`."""
        for active in await self._watched.changed():
            self._engine.arm(active)

    def take_up(self, pending: Iterable[StoredRule]) -> None:
        """These versions count from now on; an unreadable one disarms its rule and is counted."""
        for stored in pending:
            seen = self.placed(stored)
            self._watched.forget(stored.id)
            if stored.deleted:
                self._engine.disarm(stored.id)
                continue
            active = active_rule(stored, seen)
            if active is None:
                self.unreadable += 1
                self._engine.disarm(stored.id)
            else:
                self._engine.arm(active)
                self._watched.follow(active)

    def _obey(self, commands: Iterable[RuleCommand]) -> int | None:
        """Each at a place of its own, so that a restart finds it there."""
        newest = None
        for command in commands:
            newest = self._place()
            self._engine.command(command, newest)
            self._committer.obey(command.rule_id, command.number, newest)
        return newest
