"""What an HTTP answer other than the wished one means, for handshakes and REST alike."""

from __future__ import annotations

from collections.abc import Mapping

from pricewatch.domain.errors import Refused, Unavailable

STAY_AWAY = frozenset({418, 429})
DEFAULT_STAY_AWAY = 60.0
"""Seconds for a venue that says stay away but not how long."""


def retry_after(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to stay away, where the answer asks for it; a date instead of a number counts as the default."""
    said = headers.get("Retry-After")
    if said is not None:
        return float(min(int(said), 86_400)) if said.isdecimal() else DEFAULT_STAY_AWAY
    return DEFAULT_STAY_AWAY if status in STAY_AWAY else None


def refusal(status: int, headers: Mapping[str, str], what: str) -> Refused | Unavailable:
    """The error for an HTTP status: `Refused` for 4xx or a stated time to stay away, else `Unavailable`."""
    wait = retry_after(status, headers)
    text = f"{what}: HTTP {status}"
    if wait is not None or 400 <= status < 500:
        return Refused(text, retry_after=wait)
    return Unavailable(text)
