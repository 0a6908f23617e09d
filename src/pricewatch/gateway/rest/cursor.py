"""Places in listings, opaque to clients: what is not ours is refused, not guessed at."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from pricewatch.gateway.problems import Denied

_CHECK = 4
_LONGEST = 300
NUMBER = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


def write(listing: str, *place: Any) -> str:
    """A cursor of this listing."""
    body = msgspec.json.encode([listing, *place])
    return base64.urlsafe_b64encode(_check(body) + body).rstrip(b"=").decode()


def read(request: web.Request, listing: str, *kinds: Any) -> Sequence[Any] | None:
    """The place behind `cursor` in the query, None without one.

    Raises `Denied` (400) for what is no cursor of this listing.
    """
    text = request.query.get("cursor")
    if text is None:
        return None
    place = _decoded(text)
    if not isinstance(place, list) or len(place) != len(kinds) + 1 or place[0] != listing:
        raise _wrong()
    try:
        return [msgspec.convert(value, kind) for value, kind in zip(place[1:], kinds, strict=True)]
    except msgspec.ValidationError as error:
        raise _wrong() from error


def read_id(request: web.Request, listing: str) -> uuid.UUID | None:
    """The id behind `cursor`."""
    place = read(request, listing, uuid.UUID)
    return None if place is None else place[0]


def read_number(request: web.Request, listing: str) -> int | None:
    """The number behind `cursor`."""
    place = read(request, listing, NUMBER)
    return None if place is None else place[0]


class Made(Protocol):
    """What is listed in order of creation."""

    @property
    def id(self) -> uuid.UUID:
        """Its own."""
        ...

    @property
    def created(self) -> int:
        """When, in microseconds."""
        ...


M = TypeVar("M", bound=Made)


def page(request: web.Request, listing: str, found: Sequence[M], wanted: int) -> tuple[Sequence[M], str | None]:
    """The page of a whole listing that the request asks for, and the cursor of the page after.

    The last one of the page before may be gone by now: then it goes on with what was made after it.
    """
    place, start = read(request, listing, NUMBER, uuid.UUID), 0
    if place is not None:
        later = (number for number, one in enumerate(found) if one.created > place[0])
        same = (number + 1 for number, one in enumerate(found) if one.id == place[1])
        start = next(same, next(later, len(found)))
    end = start + wanted
    follow = write(listing, found[end - 1].created, found[end - 1].id) if end < len(found) else None
    return found[start:end], follow


def _decoded(text: str) -> Any:
    try:
        if len(text) > _LONGEST:
            raise _wrong()
        whole = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        check, body = whole[:_CHECK], whole[_CHECK:]
        if check != _check(body):
            raise _wrong()
        return msgspec.json.decode(body)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError) as error:
        raise _wrong() from error


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"cursor" + body).digest()[:_CHECK]


def _wrong() -> Denied:
    return Denied(
        400, "bad_cursor", "this is no cursor of this listing; use `next` of its last page unchanged, or begin without"
    )
