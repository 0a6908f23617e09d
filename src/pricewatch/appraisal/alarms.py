"""Whether rules alarm as seldom as they state: over all stored rules that state a rate, as the API counts it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple

from pricewatch.domain.market import Market
from pricewatch.domain.time import rfc3339
from pricewatch.engine.falsealarms import FalseAlarmCount
from pricewatch.ports.rules import StoredRule
from pricewatch.wire.alarms import WEEK_MINUTES, AlarmSpan, MarketAlarms

Progress = Callable[[str, int, int], None]


class RuleAlarms(NamedTuple):
    """One rule that states a rate."""

    account: str
    rule: uuid.UUID
    version: int
    title: str
    since: str | None
    """When this version was armed; None before."""
    markets: list[MarketAlarms]
    """By market, then by rate."""


class Total(NamedTuple):
    """All rules and markets of one rate together, a market's span counted once for each rule."""

    stated_per_week: float
    span: str
    """`history` (before the rules were armed) or `armed`."""
    minutes: int
    """Judged."""
    alarms: int

    @property
    def per_week(self) -> float | None:
        """Observed; None while there was no minute to judge."""
        return self.alarms * WEEK_MINUTES / self.minutes if self.minutes else None

    @property
    def factor(self) -> float | None:
        """Observed by stated: above 1 is oftener than promised."""
        return None if self.per_week is None else self.per_week / self.stated_per_week


class Appraisal(NamedTuple):
    """What came of it."""

    rules: list[RuleAlarms]

    @property
    def totals(self) -> list[Total]:
        """By rate, history first."""
        found: dict[tuple[float, str], list[AlarmSpan]] = {}
        for row in (row for rule in self.rules for row in rule.markets):
            found.setdefault((row.stated_per_week, "history"), []).append(row.history)
            if row.armed is not None:
                found.setdefault((row.stated_per_week, "armed"), []).append(row.armed)
        return [
            Total(rate, name, sum(one.minutes for one in some), sum(one.alarms for one in some))
            for (rate, name), some in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != "history"))
        ]


async def appraise(
    rules: AsyncIterator[Sequence[StoredRule]],
    accounts: Mapping[uuid.UUID, str],
    markets: Sequence[Market],
    *,
    count: FalseAlarmCount,
    now: int,
    progress: Progress,
) -> Appraisal:
    """Every rule of `accounts` (by id, with their names) that states a rate; `rules` come in batches."""
    living = [one async for batch in rules for one in batch if one.account_id in accounts]
    found = []
    for done, stored in enumerate(living, start=1):
        statement = await count.statement(stored, markets)
        progress(statement.title, done, len(living))
        if not statement.rates:
            continue
        since = stored.effective_seen
        found.append(
            RuleAlarms(
                account=accounts[stored.account_id],
                rule=stored.id,
                version=stored.version,
                title=statement.title,
                since=None if since is None else rfc3339(since),
                markets=await count.count(statement.markets, statement.rates, since, now),
            )
        )
    return Appraisal(sorted(found))
