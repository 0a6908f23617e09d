"""Whether a rule can ever see a trade: one on a misspelt name would wait in silence for ever."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.domain.time import rfc3339
from pricewatch.rules.conditions.divergence import Divergence
from pricewatch.rules.document import NOWHERE, Rule
from pricewatch.rules.numbers import shown
from pricewatch.rules.quorum import Quorum

Listing = tuple[str, str]
"""Venue and canonical symbol."""


def listings(markets: Iterable[Market]) -> frozenset[Listing]:
    """What those markets list."""
    return frozenset((market.venue, market.symbol) for market in markets)


def check_listed(rule: Rule, here: Collection[Listing], *, now: int) -> None:
    """Raises `Invalid` where the rule is over before it begins, or watches what nobody lists here.

    Nothing is said of names while no market is known at all.
    """
    expires = rule.policy.expires
    if expires and expires <= now:
        raise Invalid("policy.expires", f"{rfc3339(expires)} has passed; name a time to come, or leave it out")
    if not here:
        return
    symbols = () if rule.symbols == NOWHERE else rule.symbols or ()
    by_symbol: dict[str, set[str]] = {}
    for venue, symbol in here:
        by_symbol.setdefault(symbol, set()).add(venue)
    check_symbols(symbols, here)
    venues = {venue for venue, _ in here}
    _check_names("venues", rule.venues or (), venues, "there are " + ", ".join(sorted(venues)))
    for symbol in symbols:
        _check_together(rule, symbol, sorted(by_symbol[symbol]))


def check_symbols(symbols: Iterable[str], here: Collection[Listing]) -> None:
    """Raises `Invalid` for the first that nobody lists here, unless no market is known at all."""
    if here:
        _check_names("symbols", symbols, {symbol for _, symbol in here}, "GET /api/v1/symbols lists them")


def _check_names(field: str, names: Iterable[str], known: Collection[str], otherwise: str) -> None:
    for place, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=2)
            fix = f"did you mean {' or '.join(near)}?" if near else otherwise
            what = "no venue here lists" if field == "symbols" else "nothing is listened to on"
            raise Invalid(f"{field}[{place}]", f"{what} {shown(name)}; {fix}")


def _check_together(rule: Rule, symbol: str, everywhere: Sequence[str]) -> None:
    """A symbol that is named needs as many of the venues as must have it."""
    least = _least(rule)
    if sum(rule.venues is None or venue in rule.venues for venue in everywhere) >= least:
        return
    problem = f"{symbol} is listened to on {', '.join(everywhere)}"
    if least == 1:
        raise Invalid("venues", f"{problem}, and on none of those named; name one of them, or write 'any'")
    raise Invalid("venues", f"{problem}; this rule needs {least} venues that have it, and would never fire")


def _least(rule: Rule) -> int:
    if isinstance(rule.when, Quorum):
        return rule.when.at_least
    return 2 if isinstance(rule.when, Divergence) else 1
