"""A rule's false alarms by market, as stated and as they came: one count for the API and for evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pricewatch.domain.market import Market
from pricewatch.domain.time import DAY
from pricewatch.ports.models import AlarmCount, ModelStore
from pricewatch.ports.records import Watchlists
from pricewatch.ports.rules import StoredRule
from pricewatch.rules.alarms import stated
from pricewatch.rules.document import parse
from pricewatch.wire.alarms import MarketAlarms, span

HISTORY = 30 * DAY
"""How far back from its arming a rule's quiet history reaches."""
_NONE = AlarmCount(0, 0)


class Statement(NamedTuple):
    """What a rule promises, and where."""

    title: str
    rates: list[float]
    """False alarms a week, ascending; none for a rule that states no rate."""
    markets: list[Market]
    """By id; none where no rate is stated."""


class FalseAlarmCount:
    """Counts among the stored verdicts on minutes, which say what the models said then. A cluster is one alarm."""

    def __init__(self, models: ModelStore, lists: Watchlists) -> None:
        self._models = models
        self._lists = lists

    async def statement(self, stored: StoredRule, known: Sequence[Market]) -> Statement:
        """The rates that a rule states, and those of the `known` markets that it is about."""
        rule = parse(stored.document)
        rates = stated(rule.when)
        if not rates:
            return Statement(rule.title, [], [])
        if rule.watchlist is not None:
            listed = await self._lists.find(stored.account_id, rule.watchlist)
            rule = rule.over(listed.symbols if listed is not None else ())
        return Statement(rule.title, rates, sorted((one for one in known if rule.matches(one)), key=lambda one: one.id))

    async def count(
        self, markets: Sequence[Market], rates: Sequence[float], since: int | None, now: int
    ) -> list[MarketAlarms]:
        """By market, then by rate: up to 30 days before `since` (armed then; None: not yet), and from then on."""
        found = [row for rate in rates for row in await self._rows(markets, rate, since, now)]
        return sorted(found, key=lambda row: (row.market, row.stated_per_week))

    async def _rows(self, markets: Sequence[Market], rate: float, since: int | None, now: int) -> list[MarketAlarms]:
        border = now if since is None else min(since, now)
        ids = [one.id for one in markets]
        before = await self._models.count_alarms(ids, rate, border - HISTORY, border)
        later = await self._models.count_alarms(ids, rate, border, now) if since is not None else {}
        return [
            MarketAlarms(
                market=one.key,
                stated_per_week=round(rate, 3),
                history=span(border - HISTORY, border, *before.get(one.id, _NONE)),
                armed=None if since is None else span(border, now, *later.get(one.id, _NONE)),
            )
            for one in markets
        ]
