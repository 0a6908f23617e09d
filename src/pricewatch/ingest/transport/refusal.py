"""What an HTTP answer other than the wished one means, for handshakes and REST alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from pricewatch.domain.errors import Refused, Unavailable

BANNED = 418
"""The status by which venues shut out an address that did not heed 429."""
STAY_AWAY = frozenset({BANNED, 429})
DEFAULT_STAY_AWAY = 60.0
"""Seconds for a venue that says stay away but not how long."""
LONGEST = 86_400.0
"""Seconds we stay away at most, whatever a venue says."""


class Banned(Refused):
    """The venue has shut our address out: from its sockets and its REST alike."""


def retry_after(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to stay away, where the answer asks for it; a date counts from the answer's own `Date`."""
    said = headers.get("Retry-After")
    if said is not None:
        if said.isascii() and said.isdecimal():
            return float(min(int(said[:18]), LONGEST))
        until, now = _moment(said), _moment(headers.get("Date", ""))
        if until is None or now is None:
            return DEFAULT_STAY_AWAY
        return min(max(0.0, (until - now).total_seconds()), LONGEST)
    return DEFAULT_STAY_AWAY if status in STAY_AWAY else None


def refusal(status: int, headers: Mapping[str, str], what: str) -> Refused | Unavailable:
    """The error for an HTTP status: `Refused` for 4xx or a stated time to stay away, else `Unavailable`."""
    wait = retry_after(status, headers)
    text = f"{shown(what)}: HTTP {status}"
    if status == BANNED:
        return Banned(text, retry_after=wait)
    if wait is not None or 400 <= status < 500:
        return Refused(text, retry_after=wait)
    return Unavailable(text)


def shown(url: str) -> str:
    """An address for people: without its query, which may hold a token."""
    return url.partition("?")[0]


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
