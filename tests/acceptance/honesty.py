"""`python -m tests.acceptance.honesty [PART…]`: what the service promises of its data, at full size.

Parts: `frames` (10,000 spoilt frames of each venue and source), `poison` (100,000 trades), `silence` (24 virtual
hours of 50 markets), `cuts` (100,000 trades, 20 disconnects, 5 kills of PostgreSQL, 3 of the service, with history
and without). Without a name, all of them. Prints a line a run; exits 1 where a promise was broken. The recordings are
looked for in `PRICEWATCH_SHARED` or `../shared`; without them `frames` has the documented frames only.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import structlog
from tests.acceptance import cuts, mutants, poison, silence
from tests.acceptance.virtual import virtually
from tests.ingest.toy import odd

from pricewatch.exchanges.registry import EXCHANGES

Check = Callable[[], None]


def _frames(seed: int) -> Iterator[tuple[str, Check]]:
    folder = Path(os.environ.get("PRICEWATCH_SHARED", "../shared"))  # noqa: TID251 - where the tests look, too
    for venue in sorted(EXCHANGES):
        for source in mutants.sources(venue, folder if (folder / "data").is_dir() else None):
            outcome = asyncio.run(mutants.spoil(venue, source, 10_000, seed))
            yield outcome.line(), outcome.check


def _poison(seed: int) -> Iterator[tuple[str, Check]]:
    found = poison.compared(100_000, seed)
    yield found.line(), found.check


def _silence(seed: int) -> Iterator[tuple[str, Check]]:
    with mock.patch.dict(EXCHANGES, {"toy": odd(markets_per_connection=25)}):
        found = virtually(silence.listened(hours=24.0, mean=20.0, seed=seed))
    yield found.line(), found.check


def _cuts(seed: int) -> Iterator[tuple[str, Check]]:
    for history in (True, False):
        found = cuts.run(cuts.FULL, history=history, seed=seed)
        word = "history" if history else "no history"
        yield f"{word}: {found.line()}", lambda found=found, history=history: found.check(history=history)  # type: ignore[misc]


PARTS = {"frames": _frames, "poison": _poison, "silence": _silence, "cuts": _cuts}


def main() -> int:
    """Run the parts asked for; 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.honesty")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all, unless told")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failed = 0
    for part in options.parts or PARTS:
        for line, check in PARTS[part](options.seed):
            sys.stdout.write(f"{part}: {line}\n")
            try:
                check()
            except AssertionError:
                failed += 1
                sys.stdout.write(traceback.format_exc(limit=-2))
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
