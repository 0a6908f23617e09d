"""A signal as a program gets it."""

from __future__ import annotations

from pricewatch.wire.signal import SignalDocument


class Signal(SignalDocument, frozen=True, kw_only=True):
    """The public document. `id` is the same wherever and however often it comes: act once per id."""

    attempt: int = 1
    """How often it was handed to its named consumer."""
    lease: int = 0
    """Under which its consumer has it."""
