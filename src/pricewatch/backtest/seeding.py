"""Indicators of a preview begin with the bars before its span, as live ones do with those before their rule."""

from __future__ import annotations

from pricewatch.domain.market import Flag
from pricewatch.domain.time import MINUTE
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.seeding import Closes, Want, add, stretches
from pricewatch.ports.preview import Past

_STILL = int(Flag.HISTORY | Flag.SUSPECT)


async def begin(engine: Engine, past: Past, start: int) -> None:
    """What the rule reads of the time before `start`."""
    for want in engine.seeding.missing():
        closes: Closes = []
        for span, first, end in stretches(want, start):
            add(want, closes, await past.candles(want.market, first, end, span=span))
        if (last := await _last(past, want, start)) is not None:
            closes.append(last)
        engine.seeding.give(want, closes)


async def _last(past: Past, want: Want, start: int) -> tuple[int, float] | None:
    """The last trade in the order of the minute in which the span begins."""
    found = None
    minute = start - start % MINUTE
    batches = past.trades(want.market, minute, start) if minute < start else None
    if batches is not None:
        async for batch in batches:
            for seen, trade in batch:
                if seen < start and not trade.flags & _STILL and (found is None or (trade.at, seen) >= found[:2]):
                    found = trade.at, seen, trade.price
    return None if found is None else (found[0], found[2])
