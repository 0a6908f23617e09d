"""What can end a stream for good. Everything that may pass is waited for instead."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.domain.errors import PricewatchError, Refused
from pricewatch.wire.feed import Place


class Unauthorized(Refused):
    """The key is unknown, expired, revoked, or may not do this."""


class NotPricewatch(Refused):
    """Nothing at this address speaks the feed's protocol."""


class Rejected(Refused):
    """The server refused what was asked for: `code` for programs, `did_you_mean` where something is near."""

    def __init__(self, code: str, reason: str, did_you_mean: Sequence[str] = ()) -> None:
        near = f"; did you mean {', '.join(did_you_mean)}?" if did_you_mean else ""
        super().__init__(f"{code}: {reason}{near}")
        self.code = code
        self.did_you_mean = list(did_you_mean)


class PositionLost(PricewatchError):  # noqa: N818 - named by what it is
    """Signals between `asked` and `oldest` are gone, so that none can be missed unknown.

    `reason`: `expired` (from the log), `epoch` (the feed was restored from a backup), `future` (the place has not been
    yet: not this feed's), `account` (it belongs to another account's feed). Open a stream with `on_lost="oldest"` to go
    on with what is left, or with `on_lost="newest"` to go on from now.
    """

    def __init__(self, reason: str, asked: Place | None, oldest: Place | None, newest: Place | None) -> None:
        super().__init__(f"signals are lost ({reason}): asked for {asked}, left is {oldest} to {newest}")
        self.reason = reason
        self.asked = asked
        self.oldest = oldest
        self.newest = newest
