"""What the models have learned, into storage: each market in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.features import Features
from pricewatch.engine.evaluate import Engine
from pricewatch.evaluation.committer import Committer
from pricewatch.ports.models import ModelStore

log = structlog.get_logger(__name__)

_TURNS = 50
"""In so many turns every market is saved once, so that saving never holds the loop."""


async def save_models(
    engine: Engine,
    committer: Committer,
    models: ModelStore,
    markets: Callable[[], Collection[int]],
    interval: float,
) -> None:
    """Save all markets once in `interval` seconds, until cancelled. Without storage, what waits is the newest.

    What is known at minutes that closed meanwhile is saved with every turn.
    """
    at = 0
    while True:
        known = list(markets())
        share = max(1, -(-len(known) // _TURNS))
        await asyncio.sleep(interval / max(1, -(-len(known) // share)))
        chosen = known[at : at + share]
        at = at + share if at + share < len(known) else 0
        for market in chosen:
            committer.keep(engine.snapshot(market))
        closed = {one.market for one in engine.bar_scores}
        try:
            await committer.save_models()
            await _save_features(engine, models, closed)
        except Unavailable as error:
            log.debug("models.unsaved", error=str(error))


async def _save_features(engine: Engine, models: ModelStore, markets: Collection[int]) -> None:
    found: dict[int, Features] = {}
    for market in markets:
        known = engine.features(market)
        if known is not None:
            found[market] = known
        await asyncio.sleep(0)  # many markets close their minutes at the same moment
    if found:
        await models.save_features(found)
