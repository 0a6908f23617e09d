"""OKX, Bybit, Bitget and Crypto.com as the ingest hears them, over real sockets and a cut of the line."""

from __future__ import annotations

import pytest
from tests.ingest.conftest import Collected, MemoryCandles, running, until
from tests.simulator.sim_support import WallClock, serving
from tests.simulator.spot_support import SYMBOLS, settings

from pricewatch.domain.market import Flag, Market
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.worker import Ingest
from pricewatch.ports.ticks import Closed
from pricewatch.testing.ticks import MemoryGapLedger


@pytest.mark.parametrize(
    ("venue", "rate"),
    # The 60 trades that Bybit shows must reach back behind the cut on a slow machine too.
    [("bitget", 20.0), ("bybit", 3.0), ("cryptocom", 20.0), ("okx", 20.0)],
)
async def test_nothing_is_missing_and_nothing_doubled_after_a_cut(venue: str, rate: float) -> None:
    async with serving(settings(venue, rate=rate, fields="current")) as simulated:
        kind, sink, gaps = EXCHANGES[venue], Collected(), MemoryGapLedger()
        markets = [
            Market(number, venue, symbol, kind.native(symbol), kind.step) for number, symbol in enumerate(SYMBOLS, 1)
        ]
        listening = VenueSettings(
            symbols=SYMBOLS,
            socket_url=f"{simulated.addresses.ws}/{venue}",
            rest_url=f"{simulated.addresses.rest}/{venue}",
            open_interval=0.0,
            history_interval=0.0,
            backoff_base=0.01,
            backoff_cap=0.02,
            refill_backoff=0.05,
            refill_backoff_cap=0.1,
            reconcile_after=0.5,
        )
        ingest = Ingest(
            IngestSettings.model_validate(
                {"venues": {venue: listening}, "backfill_candles": 0, "suspects": {"enabled": False}}
            ),
            markets,
            sink=sink,
            clock=WallClock(),
            marks={},
            gaps=gaps,
            candles=MemoryCandles(),
        )
        ledgers = {market.id: simulated.server._ledgers[market.key] for market in markets}

        def news(number: int) -> list[int]:
            """Ids that are not from before listening."""
            return [one.key for one in sink.trades if one.market == number and not one.flags & Flag.HISTORY]

        def volume(number: int, first: int, last: int) -> float:
            return sum(one.size for one in sink.trades if one.market == number and first < one.key <= last)

        def printed(number: int, first: int, last: int) -> float:
            return sum(one.size for one in ledgers[number].starting(first + 1, 100_000) if one.id <= last)

        async with running(ingest):
            await until(lambda: all(len(news(number)) >= 5 for number in ledgers))
            assert simulated.server.disconnect(venue, clean=False) == 1
            first = {number: min(news(number)) for number in ledgers}
            cut = {number: max(news(number)) for number in ledgers}
            await until(lambda: all(max(news(number)) > last + 10 for number, last in cut.items()))
            spans = [(number, first[number], max(news(number))) for number in ledgers]
            await until(lambda: all(volume(*span) == pytest.approx(printed(*span), rel=1e-9) for span in spans))
            await until(lambda: gaps.closed.keys() == gaps.gaps.keys())
        keys = [(one.market, one.key) for one in sink.trades]
        assert len(set(keys)) == len(keys)
        assert set(gaps.how.values()) <= {Closed.FILLED}
