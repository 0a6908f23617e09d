"""`rules/{id}/false-alarms`: how often a rule said it would alarm without a reason, and how often it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from pricewatch.domain.market import Market
from pricewatch.domain.time import DAY, rfc3339
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, identifier, limit
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import AlarmCount, ModelStore
from pricewatch.ports.records import Watchlists
from pricewatch.ports.rules import RuleBook
from pricewatch.rules.alarms import stated
from pricewatch.rules.document import parse
from pricewatch.wire.alarms import FalseAlarms, MarketAlarms, span

HISTORY = 30 * DAY
"""How far back from its arming a rule's quiet history reaches."""
_NONE = AlarmCount(0, 0)


class Alarms:
    """Counted from the stored verdicts on minutes, which say what the models said then."""

    def __init__(self, rules: RuleBook, models: ModelStore, lists: Watchlists, board: Board, clock: Clock) -> None:
        self._rules = rules
        self._models = models
        self._lists = lists
        self._board = board
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Read only."""
        docs = Docs(FalseAlarms, query=("cursor", "limit"), also=(404,))
        return [Endpoint("GET", "/rules/{id}/false-alarms", self.get, docs=docs)]

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """Stated and observed alarms a week by market: before the rule was armed, and since. A cluster is one alarm.

        No market at all where the rule states no rate.
        """
        after, wanted = cursor.read_number(request, "alarms") or 0, limit(request, 20, 100)
        stored = await self._rules.get(who.account.id, identifier(request))
        rule = parse(stored.document)
        rates = stated(rule.when)
        if rule.watchlist is not None:
            listed = await self._lists.find(who.account.id, rule.watchlist)
            rule = rule.over(listed.symbols if listed is not None else ())
        known = self._board.everything() if rates else ()
        fitting = sorted((one for one in known if rule.matches(one)), key=lambda one: one.id)
        page = [one for one in fitting if one.id > after][:wanted]
        follow = cursor.write("alarms", page[-1].id) if page and page[-1].id < fitting[-1].id else None
        since = stored.effective_seen
        found = [row for rate in rates for row in await self._rows(page, rate, since)]
        found.sort(key=lambda row: (row.market, row.stated_per_week))
        armed = None if since is None else rfc3339(since)
        return reply(FalseAlarms(rule=stored.id, version=stored.version, since=armed, markets=found, next=follow))

    async def _rows(self, markets: Sequence[Market], rate: float, since: int | None) -> list[MarketAlarms]:
        now = self._clock.now()
        border = now if since is None else min(since, now)
        before = await self._count(markets, rate, border - HISTORY, border)
        later = await self._count(markets, rate, border, now) if since is not None else {}
        return [
            MarketAlarms(
                market=one.key,
                stated_per_week=round(rate, 3),
                history=span(border - HISTORY, border, *before.get(one.id, _NONE)),
                armed=None if since is None else span(border, now, *later.get(one.id, _NONE)),
            )
            for one in markets
        ]

    async def _count(self, markets: Sequence[Market], rate: float, start: int, end: int) -> Mapping[int, AlarmCount]:
        return await self._models.count_alarms([one.id for one in markets], rate, start, end)
