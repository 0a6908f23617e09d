"""Rules over watchlists: looked up when they are taken up, and again as the lists change."""

from __future__ import annotations

import uuid

import msgspec

from pricewatch.engine.state import ActiveRule
from pricewatch.ports.records import Watchlists


class Watched:
    """Which rules follow which list, and what was on it last. Without lists to look into, nothing is on any."""

    def __init__(self, lists: Watchlists | None) -> None:
        self._lists = lists
        self._rules: dict[uuid.UUID, ActiveRule] = {}

    def follow(self, active: ActiveRule) -> None:
        """The version of a rule that is in force; only those over a list are kept."""
        self._rules.pop(active.id, None)
        if active.rule.watchlist is not None:
            self._rules[active.id] = active

    def forget(self, rule: uuid.UUID) -> None:
        """A rule is gone."""
        self._rules.pop(rule, None)

    async def looked_up(self, active: ActiveRule) -> ActiveRule:
        """With the symbols that are on its list now; raises `Unavailable`."""
        if active.rule.watchlist is None:
            return active
        found = None
        if self._lists is not None:
            found = await self._lists.find(active.account_id, active.rule.watchlist)
        return msgspec.structs.replace(active, rule=active.rule.over(found.symbols if found is not None else ()))

    async def changed(self) -> list[ActiveRule]:
        """Rules whose lists have other symbols than before, as they are now; raises `Unavailable`."""
        found = []
        for active in list(self._rules.values()):
            now = await self.looked_up(active)
            if self._rules.get(active.id) is active and now.rule.symbols != active.rule.symbols:
                self._rules[active.id] = now
                found.append(now)
        return found
