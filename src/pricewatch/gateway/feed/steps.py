"""What a session wants done: values, carried out by its link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pricewatch.gateway.board import Selection
from pricewatch.gateway.feed.codes import Close, ErrorCode
from pricewatch.gateway.feed.membership import Join, Leave, Settle
from pricewatch.gateway.feed.subscription import Span
from pricewatch.wire.feed import Error, RequestId, encode


class Say(NamedTuple):
    """Send one frame."""

    frame: bytes


class Open(NamedTuple):
    """Read the log's head, oldest and recent entries (and where the span is), then call `opened`."""

    generation: int
    channel: str = "signals"
    span: Span | None = None


class More(NamedTuple):
    """Read the log after `cursor`, then call `page`."""

    generation: int
    cursor: int
    channel: str = "signals"


class Prices(NamedTuple):
    """The ticker selection is now this one."""

    selection: Selection


class Seat(NamedTuple):
    """The selection on a channel with seats is now this one; a snapshot of `news` is to be sent."""

    channel: str
    selection: Selection
    news: Selection


class Status(NamedTuple):
    """Send the parts' status now, and at every change while `on`."""

    on: bool


class Hang(NamedTuple):
    """Close with this code; nothing more is sent."""

    code: Close


def error(
    code: ErrorCode,
    reason: str,
    req_id: RequestId = None,
    channel: str = "",
    symbol: str = "",
    near: Sequence[str] = (),
) -> Say:
    """Refuse a request, or one item of it."""
    return Say(
        encode(
            Error(
                req_id=req_id,
                channel=channel,
                symbol=symbol[:128],
                ok=False,
                code=code.value,
                reason=reason,
                did_you_mean=list(near),
            )
        )
    )


Act = Open | More | Prices | Seat | Status | Hang | Join | Settle | Leave
Step = Say | Act


class Bucket:
    """Allows `burst` at once and `rate` a second. Time is handed in, in seconds."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._then = now

    def allows(self, now: float) -> bool:
        """Take one if there is one."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
