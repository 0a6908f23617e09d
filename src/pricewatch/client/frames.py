"""The server's frames as one lenient struct: fields this version does not know are passed over."""

from __future__ import annotations

from typing import Any

import msgspec

from pricewatch.client.errors import NotPricewatch
from pricewatch.client.signal import Signal
from pricewatch.wire.feed import FeedAge, Place


class Frame(msgspec.Struct, frozen=True):
    """Any frame; what a type of frame does not have is at its default."""

    type: str
    channel: str = ""
    req_id: int | str | None = None
    epoch: int | None = None
    seq: int | None = None
    prev: int | None = None
    replay: bool = False
    consumer: str = ""
    attempt: int | None = None
    lease: int | None = None
    ack_wait: float = 0.0
    resumed: bool | None = None
    reason: str | None = None
    oldest: Place | None = None
    newest: Place | None = None
    ok: bool = True
    code: str = ""
    did_you_mean: list[str] = []
    lost: list[int] = []
    account: str = ""
    limits: dict[str, Any] = {}
    live: bool = True
    feeds: dict[str, FeedAge] = {}
    reconnect_after: float | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")

    def place(self) -> Place | None:
        """Where it stands in the feed, if it says."""
        return None if self.epoch is None or self.seq is None else Place(self.epoch, self.seq)

    def signal(self) -> Signal:
        """The signal it carries; raises `NotPricewatch`."""
        try:
            signal = _SIGNAL.decode(self.data)
        except msgspec.DecodeError as error:
            raise NotPricewatch(f"the server sent a signal that is none: {error}") from error
        return msgspec.structs.replace(
            signal, replay=signal.replay or self.replay, attempt=self.attempt or 1, lease=self.lease or 0
        )


_FRAME = msgspec.json.Decoder(Frame)
_SIGNAL = msgspec.json.Decoder(Signal)


def frame(text: str | bytes) -> Frame:
    """Raises `NotPricewatch`."""
    try:
        return _FRAME.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotPricewatch(f"the server does not speak the feed's protocol: {error}") from error
