"""How patient a client is. Seconds."""

from __future__ import annotations

import random

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Every figure has its default; tests make them small."""

    pause_first: float = 0.25
    """The longest first wait before a new try; it doubles with every failure."""
    pause_cap: float = 15.0
    """The longest wait."""
    forgive_after: float = 5.0
    """A connection must have lived so long for the waits to begin small again."""
    open_timeout: float = 10.0
    """To connect, and until the welcome."""
    silence: float = 3.0
    """Heartbeats that may fail to come before the connection counts as dead."""
    close_timeout: float = 2.0
    """To have the last acknowledgements confirmed at the end."""
    longest_work: float = 900.0
    """A named consumer's signal is held for the loop's body as long as it works, but no longer than that: a body that
    hangs is not to hold it for ever. 0: never beyond `ack_wait`."""
    deflate: bool = False
    """Ask for compressed frames: less to carry over a thin line, some 50 µs more a signal."""
    remembered: int = 10_000
    """Signal ids that are known again when they come twice."""


class Backoff:
    """Full jitter, a cap, and forgiveness only for connections that lived. Never gives up."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._failures = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a connection that lived so long (0: it never opened)."""
        ceiling = min(self._options.pause_cap, self._options.pause_first * 2.0 ** min(self._failures, 30))
        self._failures = 0 if lived >= self._options.forgive_after else self._failures + 1
        if self._failures == 0:
            ceiling = self._options.pause_first
        return random.uniform(0, ceiling)
