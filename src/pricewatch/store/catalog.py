"""The numbering of markets, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from pricewatch.domain.market import Market
from pricewatch.ports.ticks import Listing
from pricewatch.store.pool import Connection, Database
from pricewatch.store.sql import load

log = structlog.get_logger(__name__)

SQL = load("market")


class PostgresCatalog:
    """Keeps `Catalog`, and the time resolution of every market it has met for those who pack and read rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.steps: dict[int, int] = {}
        """By market id; one object for life, kept up to date."""

    async def register(self, listings: Sequence[Listing]) -> list[Market]:
        """The same market gets the same id for ever; order follows `listings`.

        A venue's new name for it is taken over; its time resolution stays the first one, for its rows depend on it.
        """
        venues = [one.venue for one in listings]
        symbols = [one.symbol for one in listings]
        natives = [one.native for one in listings]

        async def write(connection: Connection) -> None:
            await connection.execute(SQL["register"], venues, symbols, natives, [one.step for one in listings])
            await connection.execute(SQL["rename"], venues, symbols, natives)

        await self._database.transaction(write)
        known = {(market.venue, market.symbol): market for market in await self.markets()}
        found = [known[one.venue, one.symbol] for one in listings]
        for market, listing in zip(found, listings, strict=True):
            if market.step != listing.step:
                log.warning("catalog.step_kept", market=market.key, stored=market.step, asked=listing.step)
        return found

    async def markets(self) -> list[Market]:
        """All markets ever registered."""
        found = [Market(**row) for row in await self._database.fetch(SQL["instruments"])]
        self.steps.update((market.id, market.step) for market in found)
        return found
