"""`rules/{id}/test`: trying out whether a rule reaches its owner."""

from __future__ import annotations

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.domain.signal import Direction, Signal, signal_id
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, identifier
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Outbox
from pricewatch.ports.records import Records
from pricewatch.ports.rules import RuleBook
from pricewatch.rules.document import Rule, parse
from pricewatch.wire.owed import TrialDocument, delivery


class Trials:
    """A test signal goes the whole way to its owner's channels, and has no place in the feed: no bot acts on it."""

    def __init__(self, rules: RuleBook, outbox: Outbox, records: Records, board: Board, clock: Clock) -> None:
        self._rules = rules
        self._outbox = outbox
        self._keeper = records.trials
        self._lists = records.watchlists
        self._board = board
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """One."""
        return [Endpoint("POST", "/rules/{id}/test", self.fire, Access.WRITE, Docs(TrialDocument, 202, query=()))]

    async def fire(self, request: web.Request, who: Identity) -> web.Response:
        """Bring a signal marked as a test to the rule's channels, now; see its deliveries for how far it comes."""
        stored = await self._rules.get(who.account.id, identifier(request))
        rule = parse(stored.document)
        if rule.watchlist is not None:
            listed = await self._lists.find(who.account.id, rule.watchlist)
            rule = rule.over(listed.symbols if listed is not None else ())
        market = self._market(rule)
        now = self._clock.now()
        cause = f"test:{now}"
        signal = Signal(
            id=signal_id(stored.id, stored.version, market.key, cause, Direction.FIRED),
            account_id=who.account.id,
            rule_id=stored.id,
            rule_version=stored.version,
            title=f"Test: {rule.title}"[:200],
            kind="test",
            severity=rule.policy.severity,
            direction=Direction.FIRED,
            scope=market.key,
            market=market.id,
            venue=market.venue,
            symbol=market.symbol,
            cause=cause,
            at=now,
            seen=now,
            received=now,
            price=float(self._board.ticker(market).price or 0),
            since=now,
            evidence={"v": 1, "test": "sent by hand; the rule has not fired"},
            channels=rule.policy.channels,
        )
        await self._keeper.owe(signal)
        rows = await self._outbox.listing(who.account.id, signal=signal.id)
        return reply(TrialDocument(signal.id, market.key, [delivery(row) for row in rows]), 202)

    def _market(self, rule: Rule) -> Market:
        """The first market of the rule, one with a price if there is any."""
        fitting = [market for market in self._board.everything() if rule.matches(market)]
        if not fitting:
            raise Invalid("symbols", "no market of this rule is listened to; there is nothing to tell of")
        return next((market for market in fitting if self._board.ticker(market).price is not None), fitting[0])
