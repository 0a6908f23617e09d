"""What a service makes of the venues' lists of markets."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.conftest import quick, running, simulated, until

from pricewatch.app.wiring import instrument_lists
from pricewatch.ingest.settings import IngestSettings

pytestmark = pytest.mark.postgres


async def test_a_symbol_the_venue_does_not_have_is_told_and_the_others_go_on(
    database_url: str, open_folder: Path
) -> None:
    async with simulated() as (venues, _):
        settings = quick(open_folder, database_url, venues)
        venue = settings.ingest.venues["coinbase"].model_copy(update={"symbols": ("BTC-USDX", "ETH-USD")})
        settings = settings.model_copy(update={"ingest": IngestSettings(venues={"coinbase": venue})})
        async with running(settings) as run:
            await until(lambda: run.service.tally().received > 0)
            await run.ready()
            _, status = await run.get("/status")
            told = status["parts"]["instruments"]["venues"]["coinbase"]
            _, metrics = await run.get("/metrics")
            assert [market.symbol for market in run.service.markets] == ["ETH-USD"]
    assert told["source"] == "venue"
    assert told["unknown"] == {"BTC-USDX": "coinbase has no 'BTC-USDX'; did you mean 'BTC-USD'?"}
    assert 'pricewatch_instruments_unknown{venue="coinbase"} 1' in metrics
    kept = instrument_lists(settings).read("coinbase", venue.rest_url)
    assert kept is not None
    assert [one.symbol for one in kept.instruments] == ["BTC-USD", "ETH-USD"]
