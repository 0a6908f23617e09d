"""Gate, HTX, KuCoin and Upbit over real sockets: what is printed is handed on, what a broken connection cost too."""

from __future__ import annotations

import pytest
from tests.ingest.conftest import Collected, MemoryCandles, MemoryGaps, running, until
from tests.simulator.sim_support import WallClock, serving

from pricewatch.domain.market import Flag, Market, Trade
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest
from pricewatch.simulator.ledger import Print
from pricewatch.simulator.settings import SimulatorSettings

SYMBOLS = {
    "gateio": ("BTC-USDT", "ETH-BTC"),
    "htx": ("BTC-USDT", "ETH-BTC"),
    "kucoin": ("BTC-USDT", "ETH-BTC"),
    "upbit": ("BTC-KRW", "ETH-BTC"),
}
SOME = 15


def key(venue: str, one: Print) -> int:
    return one.at + one.id % 1_000 if venue == "upbit" else one.id


@pytest.mark.parametrize("venue", sorted(SYMBOLS))
async def test_a_broken_connection_costs_no_trade(venue: str) -> None:
    symbols = SYMBOLS[venue]
    simulated = SimulatorSettings(markets={venue: symbols}, rate=10.0, history_minutes=30, programme=False)
    clock, sink, candles, kind = WallClock(), Collected(), MemoryCandles(), EXCHANGES[venue]
    async with serving(simulated) as sim:
        settings = IngestSettings(
            backfill_candles=10,
            venues={
                venue: VenueSettings(
                    symbols=symbols,
                    socket_url=f"{sim.addresses.ws}/{venue}",
                    rest_url=f"{sim.addresses.rest}/{venue}",
                    history_interval=0.0,
                    send_interval=0.01,
                    open_interval=0.0,
                    gap_hold=10.0,
                )
            },
        )
        markets = [Market(n, venue, one, kind.native(one), kind.step) for n, one in enumerate(symbols, 1)]
        ingest = Ingest(settings, markets, sink=sink, clock=clock, marks={}, gaps=MemoryGaps(), candles=candles)

        def stored(market: Market) -> list[Trade]:
            return [one for one in sink.trades if one.market == market.id]

        def live(market: Market) -> int:
            return sum(not one.flags for one in stored(market))

        def missing(market: Market) -> set[int]:
            """What was printed since the oldest trade stored, and did not come: the snapshot at the start counts."""
            found = {one.key for one in stored(market)}
            keys = [key(venue, one) for one in sim.server._ledgers[market.key].newest(10_000)]
            first = min(index for index, one in enumerate(keys) if one in found)
            return set(keys[first:]) - found

        async with running(ingest):
            await until(lambda: all(live(market) > SOME for market in markets))
            counts = {market.id: live(market) for market in markets}
            assert sim.server.disconnect(venue, clean=False) == 1
            await until(lambda: all(live(market) > counts[market.id] + SOME for market in markets))
            sim.task.cancel()  # nothing is printed any more
            await until(lambda: not any(map(missing, markets)))
            await until(lambda: {one.market for one in candles.candles} == {1, 2})
        for market in markets:
            keys = [one.key for one in stored(market)]
            assert len(set(keys)) == len(keys)
            snapshots = [one for one in stored(market) if one.flags & Flag.HISTORY]
            assert len(snapshots) == (1 if venue in {"htx", "upbit"} else 0)
        assert {one.market for one in sink.quotes} == {1, 2}
