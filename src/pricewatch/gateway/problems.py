"""Answers: JSON documents, and errors as `application/problem+json`."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound, Unavailable
from pricewatch.wire.rest import Problem

_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Not JSON",
    422: "Invalid",
    429: "Too many requests",
    500: "Our fault",
    503: "Unavailable",
    504: "Took too long",
}


class Denied(Exception):  # noqa: N818 - named by what it is
    """Answer with this problem."""

    def __init__(self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def reply(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer that nobody caches."""
    return web.Response(
        body=msgspec.json.encode(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def reply_bytes(body: bytes, status: int, headers: dict[str, str]) -> web.Response:
    """A JSON answer, or a problem, made earlier."""
    kind = "application/json" if status < 400 else "application/problem+json"
    headers = {"Cache-Control": "no-store", **headers}
    if status == 204:
        return web.Response(status=status, headers=headers)
    return web.Response(body=body, status=status, content_type=kind, headers=headers)


def problem(
    status: int, code: str, detail: str, *, field: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """An error answer: `code` for programs, `detail` for people, `field` where one is at fault."""
    title = _TITLES.get(status, "Error")
    body = Problem(title=title, status=status, code=code, detail=detail, field=field or None)
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def of_error(error: Exception) -> web.Response | None:
    """The answer to an error raised on purpose; None for any other."""
    match error:
        case Denied():
            return problem(error.status, error.code, error.detail, headers=error.headers)
        case Invalid():
            return problem(422, "invalid", error.problem, field=error.field)
        case NotFound():
            return problem(404, "not_found", str(error) or "there is no such thing, or it is not yours")
        case Unavailable():
            detail = "the database is away; try again in a moment"
            return problem(503, "unavailable", detail, headers={"Retry-After": "2"})
        case TimeoutError():  # before ConnectionError: both are OSErrors
            return problem(504, "timeout", "this took too long; ask for less, or try again")
        case web.RequestPayloadError() | ConnectionError():
            return problem(400, "bad_body", "the request body broke off, or is not packed as Content-Encoding says")
        case web.HTTPException():
            return _of_http(error)
        case _:
            return None


def _of_http(error: web.HTTPException) -> web.Response:
    details = {
        404: ("not_found", "there is no such path"),
        405: ("method_not_allowed", "this path does not take that method"),
        413: ("too_large", "the request body is too large, packed or unpacked; see gateway.body_limit"),
    }
    code, detail = details.get(error.status, ("http", error.reason))
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return problem(error.status, code, detail, headers=allow)
