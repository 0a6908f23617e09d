"""`python -m tests.exchanges.fuzzing [SECONDS] [VENUE…]`: every parser against a coverage-guided fuzzer.

Needs `atheris`, which `make fuzz` installs beside the project; it has wheels for Python 3.11 alone, so it is no
dependency. Each venue has its share of the time and a process of its own, which starts from the frames its
documentation and the tests know. Anything but `BadData`, and anything but trades, quotes and the declared words, ends
the run with a traceback.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from tests.exchanges.cases import Case, Frame, cases

from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.exchanges.base import Control, Exchange, Output
from pricewatch.exchanges.registry import EXCHANGES

SEEN = 1_800_000_000_000_000
ALLOWED = (Trade, Quote, *get_args(Control))
LONGEST = 4_096
"""Bytes of a made-up frame."""


def frames(case: Case) -> Iterator[Frame]:
    """Everything known of a venue's frames."""
    yield from case.greeting
    yield from (frame for frame, _ in case.trades)
    yield from (frame for frame, _ in case.quotes)
    yield from (frame for frame, _ in case.pings)
    yield from case.closing
    yield from case.ignored
    exchange = adapter(case)
    requests = [send.frame for send in exchange.subscribe(exchange.expected())]
    yield from case.answer(requests)


def adapter(case: Case) -> Exchange:
    """Subscribed to the case's markets."""
    kind = EXCHANGES[case.venue]
    names = zip(case.symbols, case.natives, strict=True)
    return kind([Market(n, case.venue, symbol, native, kind.step) for n, (symbol, native) in enumerate(names, 1)])


def one(exchange: Exchange, data: bytes) -> None:
    """A frame as bytes and, where it is text, as text; raises for whatever an adapter must not do."""
    shapes: list[Frame] = [data]
    with contextlib.suppress(UnicodeDecodeError):
        shapes.append(data.decode(errors="surrogatepass"))
    for frame in shapes:
        out: list[Output] = []
        with contextlib.suppress(BadData):
            exchange.receive(frame, SEEN, out)
        for item in out:
            if not isinstance(item, ALLOWED):
                raise TypeError(f"{exchange.id}: {item!r}")


def fuzz(venue: str, seconds: int, folder: Path) -> None:
    """Until the time is up; this process ends with it."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    case = cases()[venue]
    for number, frame in enumerate(frames(case)):
        raw = frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")
        (folder / f"{number}").write_bytes(raw)
    exchange = adapter(case)
    exchange.subscribe(exchange.expected())
    for function in vars(type(exchange)).values():
        if hasattr(function, "__code__"):
            atheris.instrument_func(function)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(folder)], lambda data: one(exchange, data))
    atheris.Fuzz()


def main(words: list[str]) -> int:
    """A process a venue, one after the other."""
    if words[:1] == ["--venue"]:
        with tempfile.TemporaryDirectory() as folder:
            fuzz(words[1], int(words[2]), Path(folder))
        return 0
    seconds = int(words[0]) if words else 60
    venues = words[1:] or sorted(EXCHANGES)
    share = max(1, seconds // len(venues)) if len(words) < 2 else seconds
    broken = []
    for venue in venues:
        command = [sys.executable, "-m", "tests.exchanges.fuzzing", "--venue", venue, str(share)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = [line.split(":")[-1].strip() for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"{venue}: {share} s, {runs[0] if runs else '?'} frames, {'ok' if not done.returncode else 'BROKEN'}")
        if done.returncode:
            print(done.stderr[-3_000:], file=sys.stderr)
            broken.append(venue)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
