"""`rules/{id}/false-alarms`: how often a rule said it would alarm without a reason, and how often it did."""

from __future__ import annotations

from aiohttp import web

from pricewatch.domain.time import rfc3339
from pricewatch.engine.falsealarms import FalseAlarmCount
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, identifier, limit
from pricewatch.ports.clock import Clock
from pricewatch.ports.models import ModelStore
from pricewatch.ports.records import Watchlists
from pricewatch.ports.rules import RuleBook
from pricewatch.wire.alarms import FalseAlarms


class Alarms:
    """One rule's, by market."""

    def __init__(self, rules: RuleBook, models: ModelStore, lists: Watchlists, board: Board, clock: Clock) -> None:
        self._rules = rules
        self._count = FalseAlarmCount(models, lists)
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
        _, rates, fitting = await self._count.statement(stored, list(self._board.everything()))
        page = [one for one in fitting if one.id > after][:wanted]
        follow = cursor.write("alarms", page[-1].id) if page and page[-1].id < fitting[-1].id else None
        since = stored.effective_seen
        found = await self._count.count(page, rates, since, self._clock.now())
        armed = None if since is None else rfc3339(since)
        return reply(FalseAlarms(rule=stored.id, version=stored.version, since=armed, markets=found, next=follow))
