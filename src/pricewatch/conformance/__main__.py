"""`python -m pricewatch.conformance [--only NAME …] -- COMMAND …`: prove a feed client.

The command is started once per scenario with PRICEWATCH_URL, PRICEWATCH_KEY, PRICEWATCH_CONSUMER (empty, or the name to
consume under) and PRICEWATCH_WORK in its environment. It subscribes to all signals (`*`) from now on, takes
PRICEWATCH_WORK seconds (mostly 0) over each one, and then prints its id, one a line, flushed. It is ended by SIGTERM.
Exit code 0 when every scenario is passed, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from pricewatch.conformance.suite import SCENARIOS, Verdict, run


def main(words: Sequence[str]) -> int:
    """Print a line a scenario."""
    parser = argparse.ArgumentParser(
        prog="python -m pricewatch.conformance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="NAME", help=", ".join(one.name for one in SCENARIOS))
    parser.add_argument("--patience", type=float, default=15.0, help="seconds without progress until a client fails")
    parser.add_argument("--at-once", type=int, default=4, help="scenarios that run at the same time")
    parser.add_argument("command", nargs="+", help="how the client is started")
    options = parser.parse_args(words)
    chosen = [one for one in SCENARIOS if not options.only or one.name in options.only]
    unknown = set(options.only or ()) - {one.name for one in SCENARIOS}
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    verdicts = asyncio.run(
        run(options.command, scenarios=chosen, patience=options.patience, at_once=options.at_once, told=_tell)
    )
    failed = sum(bool(one.faults) for one in verdicts)
    sys.stdout.write(f"{len(verdicts) - failed} of {len(verdicts)} passed\n")
    return 1 if failed else 0


def _tell(verdict: Verdict) -> None:
    words = "passed" if not verdict.faults else f"FAILED: {'; '.join(verdict.faults)}"
    sys.stdout.write(f"{verdict.scenario.name:<12} {verdict.seconds:5.1f} s  {words}  ({verdict.scenario.demand})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
