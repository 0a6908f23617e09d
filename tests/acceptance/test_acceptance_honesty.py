"""Complete, or a declared hole: spoilt frames, cut connections, kills and wrong numbers; small here, full by command.

The full size is `python -m tests.acceptance.honesty` (see there).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.acceptance import cuts, mutants, poison
from tests.acceptance.rig import tell

from pricewatch.exchanges.registry import EXCHANGES


async def spoilt(venue: str, shared: Path | None) -> list[mutants.Outcome]:
    return [await mutants.spoil(venue, source, 500, 1) for source in mutants.sources(venue, shared)]


@pytest.mark.parametrize("venue", sorted(EXCHANGES))
def test_documented_frames_spoilt_are_bad_data_and_counted(venue: str) -> None:
    for outcome in asyncio.run(spoilt(venue, None)):
        tell(outcome.line())
        outcome.check()


@pytest.mark.shared
@pytest.mark.parametrize("venue", sorted(EXCHANGES))
def test_recorded_frames_spoilt_are_bad_data_and_counted(venue: str, shared: Path) -> None:
    for outcome in asyncio.run(spoilt(venue, shared)):
        tell(outcome.line())
        outcome.check()


def test_wrong_numbers_change_no_score_and_no_signal() -> None:
    found = poison.compared(4_000, 1)
    tell(found.line())
    found.check()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("history", [True, False], ids=["history", "no history"])
async def test_cuts_and_kills_lose_nothing_unseen(history: bool) -> None:
    found = await cuts.battered(cuts.SMALL, history=history, seed=1)
    tell(found.line())
    found.check(history=history)
