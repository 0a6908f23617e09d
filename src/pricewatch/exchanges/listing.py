"""What venues' lists of markets have in common: canonical symbols, each once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from pricewatch.domain.errors import Invalid
from pricewatch.exchanges.base import Instrument
from pricewatch.exchanges.symbols import canonical


class Listed(NamedTuple):
    """One row of a venue's list, in the venue's words."""

    native: str
    base: str
    quote: str
    active: bool


def instruments(rows: Iterable[Listed]) -> list[Instrument]:
    """The rows that have a canonical symbol, sorted by it; of two with the same one the active one, else the first."""
    found: dict[str, Instrument] = {}
    for row in rows:
        try:
            symbol = canonical(f"{row.base}-{row.quote}")
        except Invalid:
            continue
        known = found.get(symbol)
        if known is None or (row.active and not known.active):
            found[symbol] = Instrument(row.native, symbol, row.active)
    return [found[symbol] for symbol in sorted(found)]


def absent(venue: str, symbol: str, known: Iterable[Instrument]) -> str:
    """That the venue does not have the symbol, and what it has that looks like it."""
    near = difflib.get_close_matches(symbol, [one.symbol for one in known if one.active], n=3, cutoff=0.7)
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"'pricewatch markets {venue}' lists what it has"
    return f"{venue} has no {symbol!r}; {hint}"
