"""The feed under ill treatment, in small; `python -m benchmarks feed` does it in full."""

from __future__ import annotations

from benchmarks.endurance import cuts, restarts, slow


async def test_random_cuts_lose_and_double_nothing() -> None:
    tally = await cuts(100, 5)
    assert tally[:3] == (0, 0, 0)
    assert (tally.times, tally.clients) == (100, 5)
    assert tally.signals > 100


async def test_rolling_restarts_lose_nobody_and_nothing() -> None:
    tally = await restarts(3, 20)
    assert tally[:3] == (0, 0, 0)
    assert tally.signals == 3 + 3 * 8


async def test_who_reads_too_little_is_closed_and_nobody_else_notices() -> None:
    alone, beside = await slow(10, 5, 5, 600, 400)
    assert len(alone.latencies) == len(beside.latencies) == 6_000
    assert (alone.closed, beside.closed) == (0, 10)
    assert beside.memory < 150
