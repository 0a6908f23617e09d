"""What a resource offers, and how its requests are read."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import from_datetime
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import Denied


class Access(enum.Enum):
    """Who may call an endpoint."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


Handler = Callable[[web.Request, Identity], Awaitable[web.Response]]


class Endpoint(NamedTuple):
    """One method of one path under `/api/v1`."""

    method: str
    path: str
    handler: Handler
    access: Access = Access.READ


def only(request: web.Request, *names: str) -> None:
    """Refuse misspelt query parameters, which would silently ask for something else."""
    for name in request.query:
        if name not in names:
            known = ", ".join(names) or "none"
            raise Invalid(name[:64], f"there is no such query parameter here; known: {known}")


def integer(request: web.Request, name: str, default: int | None, *, low: int = 0, high: int = 2**53) -> int | None:
    """A whole number of the query."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 17 or not low <= int(text) <= high:
        raise Invalid(name, f"{text[:40]!r} is not a whole number from {low} to {high}")
    return int(text)


def limit(request: web.Request, default: int = 100, most: int = 500) -> int:
    """How many are wanted."""
    return integer(request, "limit", default, low=1, high=most) or default


def instant(request: web.Request, name: str, default: int) -> int:
    """An RFC 3339 time of the query, in microseconds."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise Invalid(name, f"{text[:40]!r} is not a time; write for example 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise Invalid(name, f"{text[:40]!r} says no zone; add Z for UTC")
    return from_datetime(moment)


def required(request: web.Request, name: str, example: str) -> str:
    """A text of the query that must be there."""
    text = request.query.get(name, "")
    if not text:
        raise Invalid(name, f"is missing; write for example {name}={example}")
    return text


def identifier(request: web.Request, name: str = "id") -> uuid.UUID:
    """The id in the path; raises `NotFound` for what cannot be one."""
    try:
        return uuid.UUID(request.match_info[name])
    except ValueError as error:
        raise NotFound("there is no such thing, or it is not yours") from error


async def json_body(request: web.Request) -> bytes:
    """The raw body of a request that says it is JSON."""
    if request.content_type != "application/json":
        raise Denied(415, "not_json", "send `Content-Type: application/json`")
    return await request.read()
