"""What a resource offers, and how its requests are read."""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import from_datetime
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import Denied
from pricewatch.wire.people import WORDS

T = TypeVar("T")
_PROBLEM = re.compile(r"(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?", re.DOTALL)


class Access(enum.Enum):
    """Who may call an endpoint."""

    READ = "read"
    OWN = "own"
    """Change what is about oneself (keys, sessions, password): any role, but no key that may only read."""
    WRITE = "write"
    ADMIN = "admin"


Handler = Callable[[web.Request, Identity], Awaitable[web.StreamResponse]]
OpenHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Docs(NamedTuple):
    """What programs are told of an endpoint; the rest of its description is its handler's docstring."""

    answer: Any = None
    """The type of the answer's document; None for any JSON, or for none at all with a status of 204."""
    status: int = 200
    body: Any = None
    """The type of the request's document."""
    query: tuple[str, ...] | None = None
    """Its query parameters, see `parameters`; None: the handler sees to them itself, and nobody is told."""
    media: str = "application/json"
    """Of the answer."""
    also: tuple[int, ...] = ()
    """Statuses of problems beyond those that follow from the rest."""
    optional: tuple[str, ...] = ()
    """Query parameters that elsewhere must be there."""
    is_secret: bool = False
    """The answer is shown once: it is never kept to be repeated."""


class Endpoint(NamedTuple):
    """One method of one path for those who are known; `is_api`: under `/api/v1`."""

    method: str
    path: str
    handler: Handler
    access: Access = Access.READ
    docs: Docs = Docs()
    is_api: bool = True


class Public(NamedTuple):
    """One method of one path that needs nobody to be known; `is_api`: under `/api/v1`."""

    method: str
    path: str
    handler: OpenHandler
    docs: Docs = Docs()
    is_api: bool = True


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
    if not re.fullmatch(r"-?[0-9]{1,17}", text) or not low <= int(text) <= high:
        raise Invalid(name, f"{text[:40]!r} is not a whole number from {low} to {high}")
    return int(text)


def limit(request: web.Request, default: int = 100, most: int = 500) -> int:
    """How many are wanted."""
    return integer(request, "limit", default, low=1, high=most) or default


def instant(request: web.Request, name: str, default: int) -> int:
    """An RFC 3339 time of the query, in microseconds."""
    text = request.query.get(name)
    return default if text is None else moment(text.replace(" ", "+"), name)


def moment(text: str, field: str) -> int:
    """An RFC 3339 time, in microseconds; raises `Invalid` naming the field."""
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            raise Invalid(field, f"{text[:40]!r} says no zone; add Z for UTC")
        return from_datetime(parsed)
    except (ValueError, OverflowError) as error:
        raise Invalid(field, f"{text[:40]!r} is not a time; write for example 2026-01-31T12:00:00Z") from error


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


async def document(request: web.Request, kind: type[T]) -> T:
    """The body as this struct; raises `Invalid` naming the field, what came and the fix."""
    body = await json_body(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid("", f"not a JSON document ({str(error) or 'nested too deep'}); send one object") from error


def no_content() -> web.Response:
    """Done, and nothing to say."""
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


def _explained(message: str, kind: Any) -> Invalid:
    found = _PROBLEM.fullmatch(message)
    problem, path = (found["problem"], found["path"]) if found else (message, "")
    unknown = re.search(r"unknown field `(.*)`", problem)
    missing = re.search(r"missing required field `(.*)`", problem)
    field = (path or "").lstrip(".")
    if unknown or missing:
        name = (unknown or missing or ("", ""))[1]
        field = f"{field}.{name}" if field else name
    problem = next((words for pattern, words in WORDS.items() if repr(pattern) in problem), problem)
    known = ", ".join(getattr(kind, "__struct_encode_fields__", ()))
    return Invalid(field[:100], f"{problem[:200]}; the fields here are: {known}")
