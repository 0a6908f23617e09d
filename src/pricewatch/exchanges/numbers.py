"""Length before number: a token of digits that no venue prints is refused before anything converts it."""

from __future__ import annotations

from pricewatch.exchanges.base import BadTrade

OVERLONG = "number"
LONGEST_NUMBER = 64
"""Digits and points in a row. Venues print at most 15 significant digits; 64 leaves room for hashes in hexadecimal."""
SHORT_FRAME = 4_096
"""Bytes of a frame in which no token can be long enough to cost anything: a conversion takes microseconds at most."""

_DIGITS = bytes(0x39 if byte in b"0123456789." else byte for byte in range(256))
_RUN = b"9" * (LONGEST_NUMBER + 1)


def refuse_overlong(frame: bytes | str) -> None:
    """Raises `BadTrade` for a long frame with a number longer than `LONGEST_NUMBER`; short ones are not looked at."""
    if len(frame) <= SHORT_FRAME:
        return
    raw = frame if isinstance(frame, bytes) else frame.encode(errors="replace")
    if _RUN in raw.translate(_DIGITS):
        raise BadTrade(OVERLONG, f"more than {LONGEST_NUMBER} digits in a row")
