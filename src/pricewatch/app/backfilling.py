"""`pricewatch backfill`: what a venue still tells of the past, into the store."""

from __future__ import annotations

import aiohttp
import msgspec

from pricewatch.app.clock import SystemClock
from pricewatch.app.importing import Progress, trade_import
from pricewatch.app.wiring import open_store
from pricewatch.config import Settings
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import rfc3339
from pricewatch.exchanges.base import Endpoints
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.exchanges.symbols import canonical
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.past import Past
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ingest.stayaway import Distance, StayAway
from pricewatch.ingest.venue_rest import VenueRest
from pricewatch.ports.ticks import Listing


class Backfilled(msgspec.Struct):
    """What a backfill did."""

    candles: int = 0
    """New ones."""
    trades: int = 0
    """New ones."""
    known: int = 0
    """Candles and trades that were there already."""
    trades_told: bool = False
    """Whether the venue has a history of trades."""


async def backfill(
    settings: Settings, venue: str, symbol: str, start: int, end: int, *, trades: bool, progress: Progress
) -> Backfilled:
    """Fetch `start <= at < end`; `progress` is told after every page. Raises `Invalid`, `Unavailable` or `Refused`."""
    if venue not in EXCHANGES:
        raise Invalid("VENUE", f"there is no venue {venue[:40]!r}; there are {', '.join(EXCHANGES)}")
    kind, name = EXCHANGES[venue], canonical(symbol)
    own = settings.ingest.venues.get(venue, VenueSettings())
    where = Endpoints(socket=own.socket_url or kind.endpoints.socket, rest=own.rest_url or kind.endpoints.rest)
    clock, done = SystemClock(), Backfilled()
    async with (
        open_store(settings) as store,
        aiohttp.ClientSession(headers={"User-Agent": "pricewatch"}) as http,
    ):
        (market,) = await store.catalog.register([Listing(venue, name, kind.native(name), kind.step)])
        counters = Counters()
        pace = Pace(kind.history_interval if own.history_interval is None else own.history_interval)
        book = StayAway(settings.app.data / "stay_away.json", clock)
        distance = Distance(venue, opening=Pace(0.0), asking=pace, book=book)
        rest = VenueRest(http, distance=distance, timeout=own.history_timeout, counters=counters)
        past = Past(kind([market], where), rest, own, clock=clock)
        async for reached, candles in past.candles(market, start, end):
            new = await store.history.import_candles(candles)
            done.candles += new
            done.known += len(candles) - new
            progress(f"{market.key}: candles up to {rfc3339(reached)[:16]}Z, {done.candles} new")
        done.trades_told = past.tells_trades(market)
        if trades and done.trades_told:
            async with trade_import(settings, store) as way:
                async for reached, some in past.trades(market, start, end):
                    done.trades += await way.add(market, some)
                    progress(f"{market.key}: trades at {rfc3339(reached)[:19]}Z, {done.trades} new")
                done.known += way.known
    return done
