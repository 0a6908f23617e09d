"""Recorded captures through the service: exactly their trades, however often they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.captures import BTC, COINBASE, ETH, Trades, trades
from tests.acceptance.rig import Rig, rigged, tell, until
from tests.acceptance.world import World

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.shared, pytest.mark.timeout(360)]


def merged(*parts: Trades) -> Trades:
    return {market: found for part in parts for market, found in part.items()}


def symbols(wanted: Trades) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for market in wanted:
        venue, symbol = market.split(":")
        found.setdefault(venue, []).append(symbol)
    return found


def assert_exactly(left: World, wanted: Trades) -> None:
    """Ids and prices, nothing missing, nothing twice."""
    for market, expected in wanted.items():
        assert left.keys(market) == sorted(expected), market
        assert left.prices(market) == expected, market
    assert len(left.prints) == sum(map(len, wanted.values()))
    assert len({one.seen for one in left.prints}) == len(left.prints)


async def replayed(rig: Rig) -> tuple[World, dict[str, Any]]:
    """One run of the service over the whole capture; what is stored, and what it counted."""
    await rig.start_service()
    await rig.ready()
    await until(rig.venue_done, within=100, what="the capture has been played")
    await rig.drained()
    parts = await rig.status()
    assert rig.service is not None
    assert await rig.service.stop() == 0, rig.service.words()[-3000:]
    return await rig.left(), parts


def counters(parts: dict[str, Any], venue: str) -> dict[str, Any]:
    found: dict[str, Any] = parts["ingest"]["venues"][venue]
    return found


async def test_binance_is_stored_exactly_and_a_second_time_adds_nothing(shared: Path) -> None:
    files = [shared / "data" / BTC, shared / "data" / ETH]
    wanted = merged(*map(trades, files))
    assert len(wanted["binance:BTC-USDT"]) == 9_757
    assert len(wanted["binance:ETH-USDT"]) == 6_106
    async with rigged() as rig:
        await rig.start_venue(files, speed="max")
        rig.configure(symbols(wanted))
        first, parts = await replayed(rig)
        assert_exactly(first, wanted)
        tell(counters(parts, "binance"), parts["store"])
        assert rig.venue is not None
        await rig.venue.stop()
        await rig.start_venue(files, speed="max")
        rig.configure(symbols(wanted))
        second, parts = await replayed(rig)
        assert second.prints == first.prints
        tell(counters(parts, "binance"), parts["store"])
        assert parts["store"]["received"] == 0
        tell(counters(parts, "binance"), parts["store"])


async def test_coinbase_is_stored_exactly(shared: Path) -> None:
    wanted = trades(shared / "data" / COINBASE)
    async with rigged() as rig:
        await rig.start_venue([shared / "data" / COINBASE], speed="max")
        rig.configure(symbols(wanted))
        left, parts = await replayed(rig)
        tell(counters(parts, "coinbase"), parts["store"])
        assert_exactly(left, wanted)
