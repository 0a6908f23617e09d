"""In-memory keepers of the tick ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import pairwise

from pricewatch.domain.errors import Invalid, Unavailable
from pricewatch.domain.market import Candle, Flag, Market, Quote, Trade
from pricewatch.domain.time import HOUR, MINUTE, SECOND
from pricewatch.ports.ticks import Closed, Gap, GapRow, GapTotals, Listing, Mark, Sequenced

_NEWEST = 5_000


class MemoryCatalog:
    """Keeps `Catalog`."""

    def __init__(self) -> None:
        self._markets: dict[tuple[str, str], Market] = {}
        self.steps: dict[int, int] = {}

    async def register(self, listings: Sequence[Listing]) -> list[Market]:
        """The same market gets the same id for ever; order follows `listings`."""
        return [self._one(listing) for listing in listings]

    async def markets(self) -> list[Market]:
        """All markets ever registered."""
        return sorted(self._markets.values(), key=lambda market: market.id)

    def _one(self, listing: Listing) -> Market:
        known = self._markets.get((listing.venue, listing.symbol))
        market = Market(
            id=known.id if known is not None else len(self._markets) + 1,
            venue=listing.venue,
            symbol=listing.symbol,
            native=listing.native,
            step=known.step if known is not None else listing.step,
        )
        self._markets[listing.venue, listing.symbol] = market
        self.steps[market.id] = market.step
        return market


class MemoryTicks:
    """Keeps `TickWriter`, `TickLog`, `History` and `CandleImport` over one set of trades.

    `away` makes the table unreachable, as a database that is down: what is spooled then waits.
    """

    def __init__(self) -> None:
        self.away = False
        self.packed: list[Sequenced] = []
        self.spooled: list[Sequenced] = []
        self.stored: list[Sequenced] = []
        self.conflicts = 0
        self.quotes: list[tuple[int, Quote]] = []
        self._last_quotes: dict[int, tuple[int, Quote]] = {}
        self._identities: set[tuple[int, int, int]] = set()
        self._imported: dict[tuple[int, int], Candle] = {}

    # -- TickWriter -------------------------------------------------------------------------------------------------

    def trade(self, trade: Trade, seen: int) -> None:
        """Pack the row now. Nothing is durable yet."""
        self.packed.append(Sequenced(seen, trade))

    def quote(self, quote: Quote, seen: int) -> None:
        """Keep the last quote per market."""
        self._last_quotes[quote.market] = (seen, quote)

    def spool(self) -> None:
        """Everything packed so far survives."""
        self.spooled += self.packed
        self.packed = []

    async def drain(self) -> None:
        """Return when everything spooled is in the table (or raise `Unavailable`)."""
        self.spool()
        if self.away:
            raise Unavailable("the table is away")
        waiting, self.spooled = self.spooled, []
        for one in waiting:
            self._store(one)
        self.quotes += self._last_quotes.values()
        self._last_quotes = {}

    def _store(self, one: Sequenced) -> None:
        identity = (one.trade.market, one.trade.at, one.trade.key)
        if identity in self._identities:
            self.conflicts += 1
            return
        self._identities.add(identity)
        self.stored.append(one)
        if len(self.stored) > 1 and self.stored[-2].seen > one.seen:
            self.stored.sort(key=lambda stored: stored.seen)

    # -- TickLog ----------------------------------------------------------------------------------------------------

    async def read(
        self, after: int, *, upto: int | None = None, market: int | None = None
    ) -> AsyncIterator[list[Sequenced]]:
        """Batches of trades with `after < seen <= upto`, in order of `seen`."""
        self._reach()
        found = [
            one
            for one in self.stored
            if one.seen > after and (upto is None or one.seen <= upto) and market in {None, one.trade.market}
        ]
        for start in range(0, len(found), 1_000):
            yield found[start : start + 1_000]

    # -- History ----------------------------------------------------------------------------------------------------

    async def marks(self, markets: Sequence[int]) -> Mapping[int, Mark]:
        """The watermark of each market that has a stored trade."""
        self._reach()
        found = {market: self._of(market)[-_NEWEST:] for market in markets}
        return {market: _mark(market, newest) for market, newest in found.items() if newest}

    async def last(self, upto: int) -> Mapping[int, Sequenced]:
        """Per market the newest trade in the order with `seen <= upto` (neither history nor suspect)."""
        self._reach()
        unwanted = Flag.HISTORY | Flag.SUSPECT
        return {one.trade.market: one for one in self.stored if one.seen <= upto and not one.trade.flags & unwanted}

    async def recent(self, markets: Sequence[int], limit: int) -> Mapping[int, Sequence[Sequenced]]:
        """Each market's `limit` newest trades by the venue's time, in their order."""
        self._reach()
        newest = {market: self._of(market)[-limit:] for market in markets}
        return {market: sorted(found, key=lambda one: one.seen) for market, found in newest.items() if found}

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        """Trades with `start <= at < end`, oldest first."""
        self._reach()
        return [one for one in self._of(market) if start <= one.trade.at < end][:limit]

    async def candles(self, market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        """Candles of `span` (a second, a minute or an hour, µs) with `start <= at < end`, oldest first."""
        self._reach()
        if span not in {SECOND, MINUTE, HOUR}:
            raise Invalid("span", f"{span} is neither a second nor a minute nor an hour")
        trades = [one.trade for one in self._of(market) if not one.trade.flags & Flag.SUSPECT]
        if span == SECOND:
            return [one for one in _gather(market, SECOND, map(_point, trades)) if start <= one.at < end][:limit]
        minutes = {one.at: one for one in self._imported.values() if one.market == market}
        minutes |= {one.at: one for one in _gather(market, MINUTE, map(_point, trades))}
        ordered = [minutes[at] for at in sorted(minutes)]
        chosen = ordered if span == MINUTE else _gather(market, span, ordered)
        return [one for one in chosen if start <= one.at < end][:limit]

    # -- CandleImport -----------------------------------------------------------------------------------------------

    async def import_candles(self, candles: Sequence[Candle]) -> int:
        """Store one-minute candles; those already there are kept. Returns how many were new."""
        self._reach()
        before = len(self._imported)
        for one in candles:
            self._imported.setdefault((one.market, one.at), one)
        return len(self._imported) - before

    def _of(self, market: int) -> list[Sequenced]:
        mine = [one for one in self.stored if one.trade.market == market]
        return sorted(mine, key=lambda one: (one.trade.at, one.trade.key))

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("the table is away")


class MemoryGapLedger:
    """Keeps `GapLedger` and `GapBook`."""

    def __init__(self) -> None:
        self.opened: dict[int, int] = {}
        self.gaps: dict[int, Gap] = {}
        self.closed: dict[int, int] = {}
        self.how: dict[int, Closed] = {}

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        """Write the hole down; returns its id. Declared again with the same `opened_seen` it is the same hole."""
        for known, held in self.gaps.items():
            same = (gap.market, gap.first_key, gap.from_at) == (held.market, held.first_key, held.from_at)
            if same and self.opened[known] == opened_seen:
                return known
        number = len(self.gaps) + 1
        self.opened[number] = opened_seen
        self.gaps[number] = gap
        return number

    async def close(self, gap_id: int, *, closed_seen: int, how: Closed = Closed.FILLED) -> None:
        """The hole is closed; closing it again changes nothing."""
        self.closed.setdefault(gap_id, closed_seen)
        self.how.setdefault(gap_id, how)

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        """Holes not yet closed, with their ids."""
        return [(number, gap) for number, gap in self.gaps.items() if number not in self.closed]

    async def patched_gaps(self) -> list[Gap]:
        """Holes closed by candles, newest first: their trades are still missing."""
        return [self.gaps[number] for number in sorted(self.how, reverse=True) if self.how[number] is Closed.CANDLES]

    async def page(
        self,
        *,
        markets: Sequence[int] | None = None,
        is_open: bool | None = None,
        since: int = 0,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[GapRow]:
        """Ascending by id: those after `after`, else the newest ones (below `before`)."""
        wanted = [
            GapRow(number, gap, self.opened[number], self.closed.get(number), self.how.get(number))
            for number, gap in self.gaps.items()
            if (markets is None or gap.market in markets)
            and (is_open is None or is_open == (number not in self.closed))
            and self.opened[number] >= since
            and (number > after if after is not None else before is None or number < before)
        ]
        return wanted[:limit] if after is not None else wanted[-limit:]

    async def totals(self) -> GapTotals:
        """How many there are of each kind, and since when the oldest is open."""
        kinds = list(self.how.values())
        still = [self.opened[number] for number in self.gaps if number not in self.closed]
        return GapTotals(len(still), kinds.count(Closed.FILLED), kinds.count(Closed.CANDLES), min(still, default=None))


def _mark(market: int, newest: Sequence[Sequenced]) -> Mark:
    if any(one.trade.ref is not None for one in newest):
        return Mark(market=market, key=max(one.trade.key for one in newest), at=max(one.trade.at for one in newest))
    ordered = sorted((one.trade.key, one.trade.at) for one in newest)
    holes = [(before + 1, after - 1) for (before, _), (after, _) in pairwise(ordered) if after > before + 1]
    key, at = ordered[-1]
    return Mark(market=market, key=key, at=at, missing=tuple(holes))


def _point(trade: Trade) -> Candle:
    price = trade.price
    return Candle(trade.market, trade.at, price, price, price, price, trade.size, 1)


def _gather(market: int, span: int, pieces: Iterable[Candle]) -> list[Candle]:
    """Wider candles of narrower ones in order."""
    groups: defaultdict[int, list[Candle]] = defaultdict(list)
    for one in pieces:
        groups[one.at - one.at % span].append(one)
    return [
        Candle(
            market=market,
            at=at,
            open=group[0].open,
            high=max(one.high for one in group),
            low=min(one.low for one in group),
            close=group[-1].close,
            volume=sum(one.volume for one in group),
            trades=sum(one.trades for one in group),
        )
        for at, group in sorted(groups.items())
    ]
