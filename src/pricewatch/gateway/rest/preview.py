"""`rules/preview` and `previews`: what a rule would have done, before it is armed."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from pricewatch.domain.errors import Invalid, Refused, Unavailable
from pricewatch.domain.time import DAY, from_datetime, parse_span, rfc3339
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, identifier, json_body, only
from pricewatch.ports.clock import Clock
from pricewatch.ports.preview import Job, PreviewDesk, Question
from pricewatch.ports.rules import RuleBook

_DEFAULT = 30 * DAY
_GLANCE = 1.0
"""Seconds a request waits for a preview that is no matter of a moment: it may have been one after all."""


class PreviewQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule's document, or the id of one's own rule; when, by `span` back from now, or `from` and `to`."""

    rule: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    rule_id: uuid.UUID | None = None
    span: str | None = None
    start: str | None = msgspec.field(name="from", default=None)
    end: str | None = msgspec.field(name="to", default=None)
    markets: list[str] = []
    points: int = 400


class _Rule(NamedTuple):
    document: bytes
    id: uuid.UUID | None
    version: int


_decode = msgspec.json.Decoder(PreviewQuestion).decode


class Previews:
    """One account's previews."""

    def __init__(self, desk: PreviewDesk, book: RuleBook, clock: Clock, *, patience: float) -> None:
        self._desk = desk
        self._book = book
        self._clock = clock
        self._patience = patience

    def endpoints(self) -> list[Endpoint]:
        """For everybody: a preview changes nothing."""
        return [
            Endpoint("POST", "/rules/preview", self.ask, docs=Docs(body=PreviewQuestion, query=(), also=(202, 404))),
            Endpoint("GET", "/previews/{id}", self.get, docs=Docs(query=())),
            Endpoint("DELETE", "/previews/{id}", self.cancel, docs=Docs(query=())),
        ]

    async def ask(self, request: web.Request, who: Identity) -> web.Response:
        """200 with the result where it takes a moment, else 202 and where to ask for it."""
        only(request)
        body = _read(await json_body(request))
        rule = await self._rule(body, who)
        start, end = self._span(body)
        question = Question(
            document=rule.document,
            start=start,
            end=end,
            rule_id=rule.id,
            version=rule.version,
            account_id=who.account.id,
            markets=tuple(body.markets),
            points=body.points,
        )
        try:
            job = self._desk.ask(question)
        except Invalid as error:
            raise Invalid(_in_rule(error.field), error.problem) from error
        except Refused as error:
            wait = {"Retry-After": f"{error.retry_after or 5.0:.0f}"}
            raise Denied(429, "too_many_previews", str(error), headers=wait) from error
        job = await self._desk.settled(job.id, self._patience if job.is_quick else min(_GLANCE, self._patience))
        where = f"/api/v1/previews/{job.id}"
        if not job.state.is_final:
            return reply(_document(job), 202, {"Location": where, "Retry-After": "1"})
        return reply(_document(_sound(job)), 200, {"Content-Location": where})

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """How far it has come, and the result once there is one."""
        only(request)
        return reply(_document(self._desk.get(who.account.id, identifier(request))))

    async def cancel(self, request: web.Request, who: Identity) -> web.Response:
        """Stop it; a finished one stays as it is."""
        only(request)
        return reply(_document(self._desk.cancel(who.account.id, identifier(request))))

    async def _rule(self, body: PreviewQuestion, who: Identity) -> _Rule:
        document = bytes(body.rule)
        if bool(document) == (body.rule_id is not None):
            raise Invalid("rule", "give either `rule`, a rule document, or `rule_id`, one of your rules")
        if body.rule_id is None:
            return _Rule(document, None, 1)
        stored = await self._book.get(who.account.id, body.rule_id)
        return _Rule(stored.document, stored.id, stored.version)

    def _span(self, body: PreviewQuestion) -> tuple[int, int]:
        """By default the last 30 days."""
        now = self._clock.now()
        if body.span is not None and body.start is not None:
            raise Invalid("span", "`from` is given as well; keep one of the two")
        end = now if body.end is None else _instant(body.end, "to")
        if body.start is not None:
            start = _instant(body.start, "from")
        else:
            start = end - (_DEFAULT if body.span is None else parse_span(body.span, field="span"))
        if start >= end:
            raise Invalid("from", f"{rfc3339(start)} is not before `to` ({rfc3339(end)})")
        if start < 0:
            raise Invalid("from" if body.span is None else "span", "reaches back beyond 1970; ask for less")
        return start, end


def _read(body: bytes) -> PreviewQuestion:
    try:
        found = _decode(body)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        known = "rule, rule_id, span, from, to, markets, points"
        raise Invalid(path.removesuffix("`"), f"{problem}; known fields: {known}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid("", f"not a JSON document ({error}); send one object") from error
    if not 0 <= found.points <= 2_000:
        raise Invalid("points", f"{found.points} is not from 0 to 2000")
    return found


def _instant(text: str, field: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(field, f"{text[:40]!r} is not a time; write for example 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise Invalid(field, f"{text[:40]!r} says no zone; add Z for UTC")
    return from_datetime(moment)


def _sound(job: Job) -> Job:
    """A preview that failed at once is an error of the request."""
    problem = job.problem
    if problem is not None and problem.code == "invalid":
        raise Invalid(problem.field or "", problem.detail)
    if problem is not None and problem.code == "unavailable":
        raise Unavailable(problem.detail)
    return job


def _in_rule(field: str) -> str:
    """A field of the rule's document, as a field of the request."""
    return "rule" + field.removeprefix("$")


def _document(job: Job) -> dict[str, Any]:
    problem = None
    if job.problem is not None:
        problem = {"code": job.problem.code, "field": job.problem.field, "detail": job.problem.detail}
    return {
        "id": job.id,
        "state": job.state.value,
        "created": rfc3339(job.created),
        "progress": round(job.progress, 2),
        "problem": problem,
        "result": None if job.result is None else msgspec.Raw(job.result),
    }
