"""The channel `features`: price, returns, anomaly score and band of a market, looked up in a steady rhythm."""

from __future__ import annotations

import msgspec
import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.gateway.board import Board, Selection
from pricewatch.gateway.feed.seats import Reader, Seats
from pricewatch.gateway.lookup import Lookup
from pricewatch.wire.features import FeaturesDocument, FeaturesSnapshot, features_frame
from pricewatch.wire.feed import encode

log = structlog.get_logger(__name__)


class Features:
    """A `Desk`. `flush` is called in its rhythm by the gateway."""

    def __init__(self, board: Board, lookup: Lookup) -> None:
        self.seats = Seats(board)
        self._look_up = lookup.market
        self._told: dict[int, FeaturesDocument] = {}

    def select(self, reader: Reader, selection: Selection) -> None:
        """Its markets are looked up from now on."""
        self.seats.select(reader, selection)

    async def snapshot(self, selection: Selection) -> bytes:
        """All markets of the selection, as they are now."""
        markets = self.seats.named(self.seats.markets_of(selection))
        return encode(FeaturesSnapshot(data=[await self._look_up(market, name) for market, name in markets]))

    async def flush(self) -> None:
        """What changed, to everybody who reads it."""
        documents: dict[tuple[int, int], bytes] = {}
        wanted = self.seats.markets()
        self._told = {market: told for market, told in self._told.items() if market in wanted}
        try:
            for market, name in self.seats.named(wanted):
                found = await self._look_up(market, name)
                if not _is_same(found, self._told.get(market)):
                    self._told[market] = found
                    documents[market, 0] = msgspec.json.encode(found)
        except Unavailable as error:
            log.info("gateway.features_later", error=str(error))
        self.seats.deliver(documents, features_frame)


def _is_same(found: FeaturesDocument, told: FeaturesDocument | None) -> bool:
    """Nothing but the time, and the age it makes, is different."""
    if told is None:
        return False
    minute = found.minute
    if minute is not None and told.minute is not None:
        minute = msgspec.structs.replace(minute, age=told.minute.age)
    return msgspec.structs.replace(found, at=told.at, minute=minute) == told
