"""Every query parameter, described once."""

from __future__ import annotations

from typing import Any

_INSTANT = {"type": "string", "format": "date-time"}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 2**53}

PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "after": ("Only those with a higher number.", _NUMBER),
    "epoch": ("The epoch that `after_seq` is of; another than the feed's own is refused.", _NUMBER),
    "after_seq": ("Only those after this place in the feed, ascending.", _NUMBER),
    "before": ("Only those with a lower number.", _NUMBER),
    "before_seq": ("The newest below this place in the feed.", _NUMBER),
    "cursor": ("`next` of the page before, unchanged.", {"type": "string", "maxLength": 300}),
    "feed": ("Whose: the account's own, or the system's.", {"type": "string", "enum": ["own", "system"]}),
    "from": ("Not earlier than this.", _INSTANT),
    "to": ("Earlier than this.", _INSTANT),
    "since": ("Declared at this time or later.", _INSTANT),
    "interval": ("Length of a candle.", {"type": "string", "enum": ["1s", "1m", "1h"]}),
    "limit": ("How many at most.", {"type": "integer", "minimum": 1}),
    "market": ("`venue:BASE-QUOTE`, for example `coinbase:BTC-USD`.", {"type": "string"}),
    "symbol": ("A symbol or market.", {"type": "string"}),
    "open": ("Only holes that are open, or only closed ones.", {"type": "boolean"}),
    "state": (
        "Only deliveries in this state.",
        {"type": "string", "enum": ["queued", "sending", "sent", "dead"]},
    ),
    "watchlist": ("One of your watchlists, by name, instead of `symbols`.", {"type": "string", "maxLength": 64}),
    "symbols": ("Symbols or markets, separated by commas.", {"type": "string"}),
    "kind": ("Which baseline.", {"type": "string", "enum": ["price", "range", "volume", "spread", "outlook"]}),
    "in_use": ("Only versions in use.", {"type": "boolean"}),
    "horizon": ("How far ahead, at most `5d`.", {"type": "string", "examples": ["5d", "12h"]}),
    "level": ("Coverage of the band in per cent, one of those calibrated.", {"type": "string", "examples": ["95"]}),
    "a": ("One version.", {"type": "string", "format": "uuid"}),
    "b": ("The other version.", {"type": "string", "format": "uuid"}),
    "account": ("Only entries by or about this account.", {"type": "string", "format": "uuid"}),
}
REQUIRED = frozenset({"market", "symbols", "a", "b"})
"""Of these, those that must be there; an endpoint may have them in its `optional`."""
