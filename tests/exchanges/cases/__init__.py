"""One file a venue: what its documentation and recordings say, for the suite that every adapter passes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Frame = str | bytes


@dataclass(frozen=True)
class TradeRow:
    """A trade as the venue's page prints it; the numbers as their exact decimal text."""

    symbol: str
    price: str
    size: str
    side: str
    """The taker's: `buy`, `sell` or `unknown`."""
    ident: str
    at: int
    """Microseconds."""
    history: bool = False


@dataclass(frozen=True)
class QuoteRow:
    """A best bid and ask as the venue's page prints them."""

    symbol: str
    bid: str
    bid_size: str
    ask: str
    ask_size: str


@dataclass(frozen=True)
class Case:
    """What the suite needs to know of one venue."""

    venue: str
    symbols: tuple[str, ...]
    """Canonical; every frame below is of these."""
    natives: tuple[str, ...]
    """The same in the venue's names."""
    answer: Callable[[Sequence[str]], Sequence[Frame]]
    """What the venue answers to the given subscription messages, in order; plain, from its documentation."""
    refuse: Callable[[Sequence[str], str], Sequence[Frame]] | None
    """What it answers when it does not know the given native name; None where it stays silent, said in `why`."""
    trades: Sequence[tuple[Frame, Sequence[TradeRow]]]
    """Frames with trades, sent after the answers, and what they hold in the order of evaluation (oldest first)."""
    quotes: Sequence[tuple[Frame, Sequence[QuoteRow]]]
    pings: Sequence[tuple[Frame, str]] = ()
    """The venue's pings and the adapter's answers."""
    closing: Sequence[Frame] = ()
    """Words that announce the end of the connection."""
    ignored: Sequence[Frame] = ()
    """Frames that mean nothing to us: pongs, foreign channels, unknown types."""
    greeting: Sequence[Frame] = ()
    """What comes first, where the adapter waits for it."""
    prepared: bytes | None = None
    """The answer to the request before a connection, where there is one."""
    instruments: Sequence[bytes] = ()
    """Short answers to `instrument_requests`; they list `natives` among others."""
    history: bytes | None = None
    """One page of past trades of the first symbol; None where the venue has none that anyone may read."""
    candles: bytes | None = None
    """One page of minute candles of the first symbol."""
    candle_rows: Sequence[tuple[int, str, str, str, str, str]] = ()
    """Start in microseconds, open, high, low, close, volume in base currency, oldest first."""
    why: str = ""
    """What of the above the venue's protocol does not have."""
    templates: Sequence[Any] = field(default=())
    """Further JSON frames to mutate, beside the ones above."""


def cases() -> dict[str, Case]:
    """Every venue's case, by venue."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        case: Case = importlib.import_module(f"{__name__}.{module.name}").CASE
        found[case.venue] = case
    return found
