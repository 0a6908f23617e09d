"""What is said on `/ws/v1`, version 1: requests in, frames out. Fields are only ever added.

Wherever a frame carries both `epoch` and `seq` at its top level, the pair is a safe place to resume from.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import msgspec

from pricewatch.wire.signal import SignalDocument
from pricewatch.wire.tick import TickerDocument

PROTOCOL = 1


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a feed."""

    epoch: int
    seq: int


_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request is about. Which fields a method takes is told by `docs/feed.md`."""

    channel: _Word = ""
    symbols: list[Annotated[str, msgspec.Meta(max_length=128)]] | None = None
    after: Place | None = None
    rules: Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    """Only signals of these rules."""
    severities: Annotated[list[_Word], msgspec.Meta(min_length=1, max_length=16)] | None = None
    """Only signals of these severities."""
    kinds: Annotated[list[_Word], msgspec.Meta(min_length=1, max_length=64)] | None = None
    """Only signals of these conditions, like `crosses`."""
    since: Annotated[str, msgspec.Meta(max_length=64)] | None = msgspec.field(name="from", default=None)
    """Replay from this time on (RFC 3339, of the commit)."""
    until: Annotated[str, msgspec.Meta(max_length=64)] | None = msgspec.field(name="to", default=None)
    """Replay up to before this time, then end."""
    consumer: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    """The named consumer this is about."""
    start: Literal["newest", "oldest"] | Place | None = None
    """Where a consumer begins that is not there yet; `newest` by default."""
    ack_wait: Annotated[float, msgspec.Meta(ge=0.1, le=86_400)] | None = None
    """Seconds after which an unacknowledged signal is redelivered."""
    max_in_flight: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    """Unacknowledged signals this connection takes at most."""
    seqs: Annotated[list[_Seq], msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    """The signals that are acknowledged, given back or extended."""
    upto: _Seq | None = None
    """In place of `seqs`: all up to this one that were delivered under the lease."""
    lease: _Seq | None = None
    """Under which they were delivered, if not under this connection's."""
    delay: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    """`nack`: seconds until redelivery (0). `extend`: seconds from now (`ack_wait`)."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client's frame."""

    method: Annotated[str, msgspec.Meta(max_length=64)]
    params: Params = Params()
    req_id: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | Annotated[str, msgspec.Meta(max_length=64)] | None = (
        None
    )


RequestId = int | str | None


class Limits(msgspec.Struct, frozen=True):
    """What a session may do."""

    frame_bytes: int
    requests_per_second: float
    request_burst: int
    symbols: int
    queue_messages: int
    queue_bytes: int
    heartbeat_seconds: float
    ticker_seconds: float
    in_flight: int = 64
    """Unacknowledged signals of a named consumer, where a connection asks for no other number."""


class Welcome(msgspec.Struct, frozen=True, tag_field="type", tag="welcome"):
    """The first frame. `head` is null while the log cannot be read."""

    protocol: int
    server: str
    time: str
    session: uuid.UUID
    account: uuid.UUID
    head: Place | None
    limits: Limits


class Answer(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower, omit_defaults=True):
    """One per asked item."""

    req_id: RequestId = None
    channel: str = ""
    symbol: str = ""


class Subscribed(Answer, frozen=True, kw_only=True):
    """The item is on."""

    ok: bool


class Unsubscribed(Answer, frozen=True, kw_only=True):
    """The item is off."""

    ok: bool


class Error(Answer, frozen=True, kw_only=True):
    """The item, or the whole frame, was refused; `did_you_mean` where something is near."""

    ok: bool
    code: str
    reason: str
    did_you_mean: list[str] = []


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to `ping`."""

    req_id: RequestId
    time: str


class SignalsSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """Where a signals subscription begins: updates follow from `seq`.

    `resumed` is true when everything after the asked place follows, false when that place cannot be continued
    (`reason`, `oldest` and `newest` say why), null when no place was asked. `data` are recent signals, oldest first.
    """

    channel: str = "signals"
    snapshot: bool = True
    epoch: int
    seq: int
    resumed: bool | None
    reason: str | None = None
    oldest: Place | None = None
    newest: Place
    data: list[msgspec.Raw] = []


class CaughtUp(msgspec.Struct, frozen=True, tag_field="type", tag="caught_up"):
    """The backlog is through: what follows is live."""

    epoch: int
    seq: int
    channel: str = "signals"


class Heartbeat(msgspec.Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """We live. `seq`: how far the feed (its subscription here, if any) has come; `live`: no backlog is open.

    `feeds`: per subscribed market the seconds since its last print, and what that means.
    """

    time: str
    seq: int | None
    live: bool
    feeds: dict[str, FeedAge]


class FeedAge(msgspec.Struct, frozen=True):
    """How a market's feed is.

    `state`: `live`, `quiet` (no print lately), `stale` (silent for longer than it ever is), `blind` (we may be missing
    prints) or `waiting` (no print yet).
    """

    age: float | None
    state: str


class StatusFrame(msgspec.Struct, frozen=True, tag_field="type", tag="status"):
    """Which parts are in trouble; sent at subscription and at every change."""

    time: str
    ok: bool
    parts: dict[str, str | None]
    channel: str = "status"


class ReplayDone(msgspec.Struct, frozen=True, tag_field="type", tag="replay_done"):
    """The asked stretch of time is through and its subscription over; `seq` is the last place in it."""

    epoch: int
    seq: int
    channel: str = "signals"


class GoingAway(msgspec.Struct, frozen=True, tag_field="type", tag="going_away"):
    """We stop: come back after `reconnect_after` seconds and resume."""

    reconnect_after: float


def encode(frame: Any) -> bytes:
    """A frame as JSON."""
    return msgspec.json.encode(frame)


class SignalFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="signal"):
    """A signal at its place in the feed.

    `prev` is the place this subscription was at before: the `seq` of its previous signal or snapshot. `replay` marks
    the past that was asked for by time. To a named consumer (`consumer`, `attempt` from 1, `lease`) `prev` is null:
    its signals are shared with others and may come again.
    """

    channel: str
    epoch: int
    seq: int
    prev: int | None
    replay: bool = False
    consumer: str | None = None
    attempt: int | None = None
    lease: int | None = None
    data: SignalDocument


class TickerFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ticker"):
    """The last state of every market that changed since the frame before."""

    channel: Literal["ticker"]
    data: list[TickerDocument]


class TickerSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The last state of every newly subscribed market that has one."""

    channel: Literal["ticker"]
    snapshot: bool
    data: list[TickerDocument]


def signal_frame(
    epoch: int, seq: int, prev: int, document: bytes, *, channel: str = "signals", replay: bool = False
) -> bytes:
    """A `SignalFrame` around its document, which is encoded once for all who get it."""
    flag = '"replay":true,' if replay else ""
    head = f'{{"type":"signal","channel":"{channel}","epoch":{epoch},"seq":{seq},"prev":{prev},{flag}"data":'
    return head.encode() + document + b"}"


def ticker_frame(documents: list[bytes], *, snapshot: bool = False) -> bytes:
    """Prices, each market's document encoded once for all who get it."""
    head = b'{"type":"snapshot","channel":"ticker","snapshot":true,"data":[' if snapshot else _TICKER
    return head + b",".join(documents) + b"]}"


_TICKER = b'{"type":"ticker","channel":"ticker","data":['
