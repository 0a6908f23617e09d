"""Where a market's feed goes on after a start: at the end of what is stored, and after the holes in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ingest.dark import Stored
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.metrics import LiveVenue
from pricewatch.ingest.recent import Recent
from pricewatch.ingest.refill import Wanted
from pricewatch.ingest.sequence import Hole, Sequence
from pricewatch.ports.ticks import Gap, Mark

_OVERLAP = MINUTE
"""Looked through again after a start, where ids do not count: what a crash kept from being looked through."""

AnswerT = TypeVar("AnswerT")


class Ledgers(NamedTuple):
    """What the gap ledger holds of holes whose trades are still missing."""

    open: list[tuple[int, Gap]]
    patched: list[Gap]


class Patiently(Protocol):
    """Asks the store until it answers."""

    async def __call__(self, ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Its answer."""
        ...


async def resume(
    live: LiveVenue, feed: MarketFeed, mark: Mark, ledgers: Ledgers, stored: Stored | None, patiently: Patiently
) -> None:
    """Bring a new feed to where the stored trades end, and go on with every hole that is not closed."""
    number = feed.market.id
    feed.last_at = mark.at
    declared = [(gap_id, gap) for gap_id, gap in ledgers.open if gap.market == number]
    if isinstance(feed.sequence, Recent):
        feed.dark_from = max(0, mark.at - _OVERLAP)
        if stored is not None:
            known = await patiently(lambda: stored.trades(number, mark.at - _OVERLAP, mark.at + 1))
            for one in known:
                feed.sequence.settle(one.trade.key)
        for gap_id, gap in declared:
            live.dark.resume(feed, gap_id, gap)
        return
    holes = {Hole(gap.first_key, gap.last_key): (gap_id, gap) for gap_id, gap in declared if not gap.is_keyless}
    patched = [(gap.first_key, gap.last_key) for gap in ledgers.patched if gap.market == number and not gap.is_keyless]
    high = max([mark.key, *(hole.last for hole in holes), *(last for _, last in patched)])
    feed.sequence = Sequence(high, [*mark.missing, *holes, *patched])
    known_holes = Sequence(high, [*holes, *patched])
    for hole, (gap_id, gap) in holes.items():
        live.refiller.chase(feed, Wanted(hole, gap.from_at, gap.to_at), gap_id)
    for first, last in mark.missing:
        if not known_holes.missing((first, last)):
            # Nothing says when it happened: the stored keys it lies among are recent.
            live.refiller.chase(feed, Wanted(Hole(first, last), max(0, mark.at - HOUR), mark.at))
