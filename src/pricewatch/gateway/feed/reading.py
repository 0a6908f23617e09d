"""A client's frame as the request it is, or the reason why it is none. No I/O."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pricewatch.gateway.feed.codes import ErrorCode
from pricewatch.wire.feed import Request, RequestId

_LONGEST_ID = 64


class Refusal(NamedTuple):
    """Why a whole frame is not done."""

    code: ErrorCode
    reason: str
    req_id: RequestId = None
    near: tuple[str, ...] = ()
    """What may have been meant."""


class _OnlyId(msgspec.Struct, frozen=True):
    req_id: RequestId = None


_REQUEST = msgspec.json.Decoder(Request)
_ID = msgspec.json.Decoder(_OnlyId)


def read(frame: str | bytes, most: int) -> Request | Refusal:
    """The request in a frame of at most so many bytes, or why it is none."""
    if isinstance(frame, bytes):
        return Refusal(ErrorCode.NOT_TEXT, "send text frames")
    if len(frame) > most or len(frame.encode("utf-8", "replace")) > most:
        return Refusal(ErrorCode.TOO_LARGE, f"a frame has at most {most} bytes")
    try:
        return _REQUEST.decode(frame)
    except msgspec.ValidationError as error:
        return Refusal(ErrorCode.INVALID, str(error), _id_of(frame))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        return Refusal(ErrorCode.BAD_JSON, str(error)[:200])


def _id_of(frame: str) -> RequestId:
    """Which request an invalid frame was, if that much can be read of it."""
    try:
        found = _ID.decode(frame).req_id
    except msgspec.DecodeError:
        return None
    return found if not isinstance(found, str) or len(found) <= _LONGEST_ID else None
