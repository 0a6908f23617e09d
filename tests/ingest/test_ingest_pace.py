from __future__ import annotations

import asyncio

from pricewatch.ingest.pace import Pace


async def test_turns_are_apart() -> None:
    loop = asyncio.get_running_loop()
    pace, began = Pace(0.02), loop.time()
    for _ in range(3):
        await pace.turn()
    assert loop.time() - began >= 0.039


async def test_told_to_stay_away() -> None:
    loop = asyncio.get_running_loop()
    pace, began = Pace(0.0), loop.time()
    pace.stay_away(0.03)
    await pace.turn()
    assert loop.time() - began >= 0.029
