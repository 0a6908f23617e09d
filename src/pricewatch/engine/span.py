"""Rules that look at a symbol on several venues at once: one state a symbol."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from pricewatch.domain.market import Market, Trade, decimal_text
from pricewatch.engine.gauges.base import DECIMALS
from pricewatch.engine.group import GroupIndex
from pricewatch.engine.index import NAN, Instance, LevelIndex, Sleeper
from pricewatch.engine.market import MarketState
from pricewatch.rules.conditions.divergence import DIVERGENCE
from pricewatch.rules.quorum import RECENT, VOTES, Quorum


def scope_number(symbol: str) -> int:
    """The number under which a symbol's states are stored: below zero, where no market's is."""
    return -1 - (zlib.crc32(symbol.encode()) & 0x7FFF_FFFF)


class Place:
    """A venue as the symbol's rules see it: its last trade that counts."""

    __slots__ = ("at", "market", "price", "recent")

    def __init__(self, market: Market) -> None:
        self.market = market
        self.at = 0
        self.price = NAN
        self.recent = False
        """Whether that trade is recent enough."""


class Ballot(GroupIndex):
    """One venue's part of a rule that several venues must agree on."""

    __slots__ = ("venue", "votes")

    def __init__(self, votes: VoteIndex, venue: Place, parts: bytes) -> None:
        super().__init__(votes.when.each, parts)
        self.votes = votes
        self.venue = venue

    def look(self, at: int, touched: list[Sleeper]) -> None:  # noqa: ARG002 - the symbol's rules come after the venue's
        """A member has changed: the votes are counted when the venue's own rules are done."""
        self.sample(1.0 if self.when.judge(self.memory, at) else 0.0, [])
        self.votes.span.dirty[self.votes] = None

    @property
    def stored(self) -> bytes:
        """All venues' parts: they are stored together."""
        return self.votes.parts


class VoteIndex(LevelIndex):
    """On how many venues one rule's condition holds. Its only member is the rule."""

    __slots__ = ("ballots", "span", "when")

    def __init__(self, when: Quorum, span: Span) -> None:
        super().__init__(VOTES)
        self.when = when
        self.span = span
        self.ballots: dict[int, Ballot] = {}

    @property
    def parts(self) -> bytes:
        """What is stored of the venues."""
        return msgspec.msgpack.encode({number: ballot.parts for number, ballot in self.ballots.items()})

    def forget(self) -> None:
        """Nothing is known of any venue any more."""
        for ballot in self.ballots.values():
            ballot.forget()
        self.x = self.now = self.count()

    def count(self) -> float:
        """Venues that count and agree."""
        return float(sum(ballot.x > 0.5 for ballot in self.ballots.values() if ballot.venue.recent))


class Span(MarketState):
    """A symbol on all its venues, as if it were one market whose trades are those of them all."""

    __slots__ = ("dirty", "divergences", "places", "votes")

    def __init__(self, symbol: str) -> None:
        super().__init__(Market(scope_number(symbol), "", symbol, ""), None)
        self.places: dict[int, Place] = {}
        self.votes: dict[VoteIndex, None] = {}
        self.dirty: dict[VoteIndex, None] = {}
        """Whose venues changed their minds since they were counted."""
        self.divergences: dict[LevelIndex, frozenset[str]] = {}
        """By number read, the venues it is about; empty for all."""

    def enter(self, trade: Trade, seen: int) -> None:
        """A venue's next in-order trade; its symbol's timers due before it have been settled."""
        self.at = max(self.at, trade.at)
        self.seen = seen
        place = self.places[trade.market]
        place.at, place.price = trade.at, trade.price
        self.price.sample(trade.price, [])
        oldest = self.at - RECENT
        for one in self.places.values():
            recent = one.at >= oldest
            if recent is not one.recent:
                one.recent = recent
                self.dirty.update(self.votes)

    def numbers(self) -> list[Sleeper]:
        """What is read of all venues, at that trade; the sleeping rules it concerns, in no order."""
        touched = self.recount()
        for index, venues in self.divergences.items():
            index.sample(self._divergence(venues), touched)
        for silence in self.silences:
            silence.end(touched)
        return touched

    def recount(self) -> list[Sleeper]:
        """Count the votes again where they may have changed; the sleeping rules it concerns."""
        touched: list[Sleeper] = []
        for votes in self.dirty:
            votes.sample(votes.count(), touched)
        self.dirty.clear()
        return touched

    def _adopt(self, found: LevelIndex, after: int) -> None:
        name, *venues = found.feature.name.split("/")
        if name == DIVERGENCE and not found.feature.every:
            self.divergences[found] = frozenset(venues)
        else:
            super()._adopt(found, after)

    def _drop(self, index: LevelIndex) -> None:
        if self.divergences.pop(index, None) is None:
            super()._drop(index)

    def _divergence(self, venues: frozenset[str]) -> float:
        prices = [
            one.price for one in self.places.values() if one.recent and (not venues or one.market.venue in venues)
        ]
        if len(prices) < 2:
            return NAN
        low = min(prices)
        return round(100.0 * (max(prices) - low) / low, DECIMALS)

    def venues(self) -> str:
        """Those that count, as a signal names them."""
        return ", ".join(sorted(one.market.venue for one in self.places.values() if one.recent))

    def facts(self, instance: Instance) -> dict[str, Any]:
        """For evidence: every venue's last trade, whether it counts, and whether it agrees where it is asked."""
        asked = instance.index.ballots if isinstance(instance.index, VoteIndex) else {}
        found = []
        for number, one in self.places.items():
            if one.at:
                says = {"holds": asked[number].x > 0.5} if number in asked else {}
                told = {"venue": one.market.venue, "at": one.at, "price": decimal_text(one.price), "counts": one.recent}
                found.append(told | says)
        return {"venues": found}
