"""Models of minutes whose saved state cannot be read any more, made anew from stored bars."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import structlog

from pricewatch.domain.model import Snapshot
from pricewatch.domain.time import MINUTE
from pricewatch.engine import bars
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.market import BARS
from pricewatch.models.bars import SCHEMAS, BarModels
from pricewatch.models.features import Shape
from pricewatch.ports.ticks import History

log = structlog.get_logger(__name__)

SPAN = 1_440
"""Minutes that are replayed: a day, which fills the windows of bands and tails; a tenth of a second a market."""
_PAGE = 100
"""Minutes between two turns of the loop."""


async def take_up(
    engine: Engine, found: Sequence[Snapshot], markets: Collection[int], history: History
) -> list[Snapshot]:
    """Restore every snapshot; parts of the models of minutes that are not usable are made anew from stored bars.

    They then stand where the snapshot stood, as far as the bars reach; a market without stored bars begins afresh.
    Returns the snapshots in force.
    """
    used, refused = [], list[Snapshot]()
    for snapshot in found:
        if engine.restore(snapshot):
            used.append(snapshot)
        elif snapshot.model in SCHEMAS and snapshot.market in markets:
            refused.append(snapshot)
    opened = {one.market: one for one in used if one.model == BARS}
    by_market: dict[int, list[Snapshot]] = {}
    for snapshot in refused:
        by_market.setdefault(snapshot.market, []).append(snapshot)
    for market, parts in by_market.items():
        upto = await _closed_upto(parts[0], opened.get(market), history)
        replayed = BarModels()
        count = 0 if upto is None else await _replay(replayed, market, upto, history)
        names = sorted(one.model for one in parts)
        if count:
            used += _replaced(engine, parts, replayed.dump())
        log.warning("models.rebuilt" if count else "models.afresh", market=market, parts=names, bars=count)
    return used


def _replaced(engine: Engine, parts: Sequence[Snapshot], state: Mapping[str, bytes]) -> list[Snapshot]:
    made = [Snapshot(one.market, one.model, SCHEMAS[one.model], one.seen, state[one.model]) for one in parts]
    return [one for one in made if engine.restore(one)]


async def _closed_upto(refused: Snapshot, opened: Snapshot | None, history: History) -> int | None:
    """Where the oldest bar begins that was not closed when the snapshot was taken; None for a market without trades."""
    if opened is not None and (found := bars.unpack(opened.market, opened.payload)):
        return min(bar.start for bar in found)
    last = (await history.last(refused.seen)).get(refused.market)
    return None if last is None else last.trade.at - last.trade.at % MINUTE


async def _replay(models: BarModels, market: int, upto: int, history: History) -> int:
    """Feed the minutes before `upto`; how many there were."""
    start, count = upto - SPAN * MINUTE, 0
    while True:
        page = await history.candles(market, start, upto, span=MINUTE, limit=_PAGE)
        for one in page:
            models.close(Shape(one.at, MINUTE, one.high, one.low, one.close, one.volume))
        count += len(page)
        if len(page) < _PAGE:
            return count
        start = page[-1].at + MINUTE
        await asyncio.sleep(0)
