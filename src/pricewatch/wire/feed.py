"""What is said on `/ws/v1`, version 1: requests in, frames out. Fields are only ever added.

Wherever a frame carries both `epoch` and `seq` at its top level, the pair is a safe place to resume from.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import msgspec

PROTOCOL = 1


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a feed."""

    epoch: int
    seq: int


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `subscribe` and `unsubscribe`."""

    channel: Annotated[str, msgspec.Meta(max_length=64)] = ""
    symbols: list[Annotated[str, msgspec.Meta(max_length=128)]] | None = None
    after: Place | None = None


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


class GoingAway(msgspec.Struct, frozen=True, tag_field="type", tag="going_away"):
    """We stop: come back after `reconnect_after` seconds and resume."""

    reconnect_after: float


def encode(frame: Any) -> bytes:
    """A frame as JSON."""
    return msgspec.json.encode(frame)


def signal_frame(epoch: int, seq: int, prev: int, document: bytes, *, channel: str = "signals") -> bytes:
    """A signal's frame around its document, which is encoded once for all who get it.

    `prev` is the place this subscription was at before: the `seq` of its previous signal or snapshot.
    """
    head = f'{{"type":"signal","channel":"{channel}","epoch":{epoch},"seq":{seq},"prev":{prev},"data":'
    return head.encode() + document + b"}"


def ticker_frame(documents: list[bytes], *, snapshot: bool = False) -> bytes:
    """Prices, each market's document encoded once for all who get it."""
    head = b'{"type":"snapshot","channel":"ticker","snapshot":true,"data":[' if snapshot else _TICKER
    return head + b",".join(documents) + b"]}"


_TICKER = b'{"type":"ticker","channel":"ticker","data":['
