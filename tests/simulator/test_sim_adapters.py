"""Real adapters over real sockets: what a simulated venue prints is what ingest hands on, holes refilled from REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.ingest.conftest import Collected, MemoryCandles, MemoryGaps, running, until
from tests.simulator.sim_support import WallClock, serving

from pricewatch.domain.market import Flag, Market, Trade, decimal_text
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.instruments import Directory, Lists
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.stayaway import StayAway
from pricewatch.ingest.worker import Ingest, listings
from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.settings import SimulatorSettings

SYMBOLS = {
    "binance_us": ("BTC-USD", "MANA-USD"),
    "coinbase_advanced": ("BTC-USD", "ETH-USDC"),
    "deribit": ("BTC-PERPETUAL", "ETH-USDC", "BTC-27JUN25"),
}
ENOUGH = 40


def printed(ledger: Ledger, trade: Trade) -> bool:
    """Whether the ledger has exactly this trade."""
    found = ledger.starting(trade.key, 1)
    if not found or found[0].id != trade.key:
        return False
    row, lot = found[0], ledger.listing.lot
    return (trade.at, trade.price, trade.side, decimal_text(trade.size)) == (
        row.at,
        row.price,
        row.side,
        decimal_text(round(row.size, lot)),
    )


@pytest.mark.parametrize("faults", [{}, {"gap": 0.1, "duplicate": 0.1, "reorder": 0.1}], ids=["calm", "troubled"])
@pytest.mark.parametrize("venue", sorted(SYMBOLS))
async def test_what_is_printed_is_handed_on(venue: str, faults: dict[str, Any], tmp_path: Path) -> None:
    simulated = SimulatorSettings.model_validate(
        {
            "markets": {venue: SYMBOLS[venue]},
            "rate": 30.0,
            "history_minutes": 30,
            "programme": False,
            "faults": faults,
        }
    )
    clock, sink, candles = WallClock(), Collected(), MemoryCandles()
    async with serving(simulated) as sim:
        settings = IngestSettings(
            backfill_candles=20,
            instruments_timeout=60.0,
            venues={
                venue: VenueSettings(
                    symbols=SYMBOLS[venue],
                    socket_url=f"{sim.addresses.ws}/{venue}",
                    rest_url=f"{sim.addresses.rest}/{venue}",
                    history_interval=0.0,
                    send_interval=0.01,
                    gap_hold=10.0,
                    history_timeout=60.0,
                )
            },
        )
        directory = Directory(Lists(tmp_path), clock, StayAway(None, clock))
        await directory.look_up(settings)
        assert directory.absent[venue] == {}
        kind = EXCHANGES[venue]
        markets = [
            Market(number, venue, one.symbol, one.native, one.step)
            for number, one in enumerate(listings(settings, directory), 1)
        ]
        assert [market.native for market in markets] == [kind.native(symbol) for symbol in SYMBOLS[venue]]
        ingest = Ingest(settings, markets, sink=sink, clock=clock, marks={}, gaps=MemoryGaps(), candles=candles)

        def live(number: int) -> list[Trade]:
            return [one for one in sink.trades if one.market == number and not one.flags & Flag.HISTORY]

        async with running(ingest):
            await until(lambda: all(len(live(market.id)) > ENOUGH for market in markets))
            await until(lambda: {quote.market for quote in sink.quotes} == {market.id for market in markets})
            await until(lambda: {candle.market for candle in candles.candles} == {market.id for market in markets})
            sim.task.cancel()  # nothing is printed any more; what was kept off the sockets is still to be had
            feeds = ingest.venues[0].venue.feeds.values()
            await until(lambda: not any(feed.held or feed.sequence.missing() for feed in feeds))
        for market in markets:
            ledger = sim.server._ledgers[market.key]
            keys = [trade.key for trade in live(market.id)]
            assert len(set(keys)) == len(keys)
            assert set(keys) == set(range(min(keys), max(keys) + 1))
            assert all(printed(ledger, trade) for trade in live(market.id))
