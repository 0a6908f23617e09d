"""Ticks: handed on, stored, read back."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from pricewatch.domain.market import Candle, Market, Quote, Tick, Trade


class TickSink(Protocol):
    """What ingest hands ticks to: the next stage's method, or the bus."""

    def offer(self, tick: Tick) -> None:
        """Take one tick, now. Never blocks, never raises for bad data."""
        ...

    def blind(self, market: int) -> None:
        """No connection brings this market's trades: what is timed waits for what may have been missed."""
        ...

    def sighted(self, market: int) -> None:
        """Nothing is missing any more, even though the market may be quiet."""
        ...


class Backlog(Protocol):
    """What stands behind the sink: asked whether it has room before more is read from the venues."""

    def is_full(self) -> bool:
        """Whether what waits has reached its bound, so that more would be lost or grow without end."""
        ...

    async def eased(self) -> None:
        """Return once there is room again."""
        ...


class PriceTape(Protocol):
    """Who wants to see prices pass (the gateway's conflated ticker)."""

    def trade(self, trade: Trade, seen: int) -> None:
        """An accepted trade, after its evaluation."""
        ...

    def quote(self, quote: Quote, seen: int) -> None:
        """An accepted quote."""
        ...


class Listing(msgspec.Struct, frozen=True):
    """A market as an adapter knows it, before the store has numbered it."""

    venue: str
    symbol: str
    native: str
    step: int = 1


class Catalog(Protocol):
    """The numbering of markets."""

    async def register(self, listings: Sequence[Listing]) -> list[Market]:
        """The same market gets the same id for ever; order follows `listings`."""
        ...

    async def markets(self) -> list[Market]:
        """All markets ever registered."""
        ...


class Sequenced(NamedTuple):
    """A stored trade with its place in the order."""

    seen: int
    trade: Trade


class TickWriter(Protocol):
    """The owner's way to the tick tables, in three steps of growing safety."""

    def trade(self, trade: Trade, seen: int) -> None:
        """Take the row. Nothing is durable yet."""
        ...

    def quote(self, quote: Quote, seen: int) -> None:
        """Keep the last quote per market; one row per conflation interval is written."""
        ...

    def spool(self) -> None:
        """`write(2)` everything packed so far to the spool: after this, kill -9 loses none of it.

        Raises `Unavailable` when the disk takes no more; the rows then wait in memory, up to a bound.
        """
        ...

    async def drain(self) -> None:
        """Return when everything spooled is in the table (or raise `Unavailable`)."""
        ...


class TickLog(Protocol):
    """Stored trades in the order of evaluation."""

    def read(self, after: int, *, upto: int | None = None, market: int | None = None) -> AsyncIterator[list[Sequenced]]:
        """Batches of trades with `after < seen <= upto`, in order of `seen`; all markets unless one is named."""
        ...


class Mark(msgspec.Struct, frozen=True):
    """How far one market's stored trades reach."""

    market: int
    key: int
    """Highest stored trade key."""
    at: int
    missing: tuple[tuple[int, int], ...] = ()
    """Holes among the newest stored keys, as inclusive ranges."""


class History(Protocol):
    """What is stored, for people, training and restarts."""

    async def marks(self, markets: Sequence[int]) -> Mapping[int, Mark]:
        """The watermark of each market that has a stored trade."""
        ...

    async def last(self, upto: int) -> Mapping[int, Sequenced]:
        """Per market the newest trade in the order with `seen <= upto` (neither history nor suspect)."""
        ...

    async def recent(self, markets: Sequence[int], limit: int) -> Mapping[int, Sequence[Sequenced]]:
        """Each market's `limit` newest trades by the venue's time, in their order; nothing for one without any."""
        ...

    async def trades(self, market: int, start: int, end: int, *, limit: int = 100_000) -> list[Sequenced]:
        """Trades with `start <= at < end`, oldest first."""
        ...

    async def candles(self, market: int, start: int, end: int, *, span: int, limit: int = 10_000) -> list[Candle]:
        """Candles of `span` (a second, a minute or an hour, µs) with `start <= at < end`, oldest first.

        Own trades first; minutes without own trades are filled from imported venue candles. Seconds are counted anew
        from the stored trades of the whole span: ask for hours of them at most.
        """
        ...


class RecentTrades(Protocol):
    """What a market's next prices are compared with."""

    async def recent(self, markets: Sequence[int], limit: int) -> Mapping[int, Sequence[Sequenced]]:
        """Each market's `limit` newest trades by the venue's time, in their order."""
        ...


class CandleImport(Protocol):
    """Candles a venue gave us for the time before we listened."""

    async def import_candles(self, candles: Sequence[Candle]) -> int:
        """Store one-minute candles; those already there are kept. Returns how many were new."""
        ...


UNKNOWN_KEYS = (0, -1)
"""First and last key of a hole of which only the times are known: an empty range."""


class Gap(msgspec.Struct, frozen=True):
    """A declared hole in one market's trades: inclusive keys, or `UNKNOWN_KEYS` and the venue's times around it."""

    market: int
    first_key: int
    last_key: int
    from_at: int
    to_at: int
    reason: str

    @property
    def is_keyless(self) -> bool:
        """Nobody knows how many trades are missing, if any."""
        return self.last_key < self.first_key


class Closed(enum.StrEnum):
    """How a hole was closed."""

    FILLED = "filled"
    """The venue's trade history gave the trades."""
    CANDLES = "candles"
    """The venue has no trade history: only candles of that time could be had."""


class GapRow(msgspec.Struct, frozen=True):
    """A hole as the ledger has it; instants of our order."""

    id: int
    gap: Gap
    opened_seen: int
    closed_seen: int | None = None
    how: Closed | None = None
    """None while it is open."""


class GapTotals(msgspec.Struct, frozen=True):
    """How many holes there are."""

    open: int = 0
    filled: int = 0
    candles: int = 0
    oldest: int | None = None
    """When the oldest open one was declared."""


class GapBook(Protocol):
    """The ledger for readers."""

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
        """Ascending by id: those after `after`, else the newest ones (below `before`); declared at `since` or later."""
        ...

    async def totals(self) -> GapTotals:
        """How many there are of each kind, and since when the oldest is open."""
        ...


class GapLedger(Protocol):
    """Holes are declared, never silent."""

    async def declare(self, gap: Gap, *, opened_seen: int) -> int:
        """Write the hole down; returns its id. Declared again with the same `opened_seen` it is the same hole."""
        ...

    async def close(self, gap_id: int, *, closed_seen: int, how: Closed = Closed.FILLED) -> None:
        """The hole is closed; closing it again changes nothing."""
        ...

    async def open_gaps(self) -> list[tuple[int, Gap]]:
        """Holes not yet closed, with their ids."""
        ...

    async def patched_gaps(self) -> list[Gap]:
        """Holes closed by candles, newest first, a bounded number: their trades are still missing."""
        ...
