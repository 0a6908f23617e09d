"""A hole in a market's trades as REST says it. Fields are only ever added."""

from __future__ import annotations

import msgspec

from pricewatch.domain.market import Market
from pricewatch.domain.time import rfc3339
from pricewatch.ports.ticks import GapRow


class GapDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`from` and `to` are the venue's times around it; keys and their number are null where nobody knows them.

    `state`: `open`, `filled` (the trades came) or `candles` (only candles of that time could be had).
    """

    id: int
    market: str
    venue: str
    symbol: str
    state: str
    reason: str
    first_key: str | None
    last_key: str | None
    missing: int | None
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
    opened: str
    closed: str | None


def document(row: GapRow, market: Market) -> GapDocument:
    """The public form of a ledger row."""
    gap = row.gap
    return GapDocument(
        id=row.id,
        market=market.key,
        venue=market.venue,
        symbol=market.symbol,
        state="open" if row.how is None else row.how.value,
        reason=gap.reason,
        first_key=None if gap.is_keyless else str(gap.first_key),
        last_key=None if gap.is_keyless else str(gap.last_key),
        missing=None if gap.is_keyless else gap.last_key - gap.first_key + 1,
        since=rfc3339(gap.from_at),
        until=rfc3339(gap.to_at),
        opened=rfc3339(row.opened_seen),
        closed=None if row.closed_seen is None else rfc3339(row.closed_seen),
    )
