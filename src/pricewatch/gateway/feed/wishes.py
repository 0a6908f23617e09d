"""What a subscription asks for beside its symbols: a filter, a stretch of time, a consumer's terms. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

from pricewatch.domain.consumer import Filter
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import SECOND, from_datetime
from pricewatch.domain.watch import GAP, RECOVERED, STALE
from pricewatch.gateway.board import Selection
from pricewatch.gateway.feed.subscription import Span
from pricewatch.ports.consumers import Start
from pricewatch.rules.policy import Severity
from pricewatch.rules.registry import KINDS
from pricewatch.wire.feed import Params, Place

SEVERITIES: tuple[str, ...] = get_args(Severity)
ALL_KINDS = (*KINDS, GAP, STALE, RECOVERED)
FEEDS = frozenset({"signals", "system"})
"""Channels with a place to resume from."""
_OF_FEEDS = ("after", "rules", "severities", "kinds", "since", "until", "consumer")
_OF_CONSUMERS = ("start", "ack_wait", "max_in_flight")
_OF_ACKS = ("seqs", "upto", "lease", "delay")
_NAMES = {"since": "from", "until": "to"}


def check(method: str, params: Params) -> None:
    """Refuse fields that mean nothing here, for they would silently ask for something else; raises `Invalid`."""
    if method in {"ack", "nack", "extend"}:
        _check_settling(method, params)
        return
    _refuse(params, _OF_ACKS, f"is for ack, nack and extend, not for {method}")
    if params.channel not in FEEDS or method != "subscribe":
        allowed = ("consumer",) if method == "unsubscribe" else ()
        _refuse(params, _OF_FEEDS, "is for subscribing to signals or system", allowed)
    if params.consumer is None or method != "subscribe":
        _refuse(params, _OF_CONSUMERS, "is for subscribing as a named consumer: name it in params.consumer")
    elif params.after is not None or params.since is not None or params.until is not None:
        raise Invalid("consumer", "goes on from its own place; leave out after, from and to (see `start`)")
    if params.after is not None and (params.since is not None or params.until is not None):
        raise Invalid("after", "and from/to are two ways to say where to begin; leave one out")
    if params.until is not None and params.since is None:
        raise Invalid("to", "needs `from`: the stretch to replay is [from, to)")


def wanted(params: Params, symbols: Selection) -> Filter:
    """The filter of a subscription; raises `Invalid` for words that no signal ever has."""
    return Filter(
        symbols=symbols,
        rules=frozenset(params.rules or ()),
        severities=_known("severities", params.severities, SEVERITIES),
        kinds=_known("kinds", params.kinds, ALL_KINDS),
    )


def names_a_filter(params: Params) -> bool:
    """Whether anything but symbols is filtered by."""
    return any((params.rules, params.severities, params.kinds))


def span(params: Params, now: int) -> Span | None:
    """The stretch of time to replay; raises `Invalid`."""
    if params.since is None:
        return None
    since = _instant("from", params.since)
    until = None if params.until is None else _instant("to", params.until)
    if since > now or (until or 0) > now:
        raise Invalid("from" if since > now else "to", "lies in the future: a replay is of the past")
    if until is not None and until <= since:
        raise Invalid("to", "is not after `from`")
    return Span(since, until)


def start(params: Params) -> Start:
    """Where a new consumer begins."""
    if params.start is None:
        return "newest"
    return (params.start.epoch, params.start.seq) if isinstance(params.start, Place) else params.start


def microseconds(seconds: float | None) -> int | None:
    """A span of the wire as we count."""
    return None if seconds is None else round(seconds * SECOND)


def _check_settling(method: str, params: Params) -> None:
    if params.consumer is None:
        raise Invalid("consumer", f"is missing: {method} is for the signals of a named consumer")
    if (params.seqs is None) == (params.upto is None):
        raise Invalid("seqs", "name the signals in `seqs`, or all up to one in `upto`")
    if method == "ack":
        _refuse(params, ("delay",), "is for nack and extend")
    _refuse(params, (*_OF_FEEDS[:-1], *_OF_CONSUMERS, "symbols"), f"is not for {method}")


def _refuse(params: Params, names: Sequence[str], reason: str, allowed: Sequence[str] = ()) -> None:
    for name in names:
        if name not in allowed and getattr(params, name) is not None:
            raise Invalid(_NAMES.get(name, name), reason)


def _known(field: str, words: Sequence[str] | None, known: Sequence[str]) -> frozenset[str]:
    for word in words or ():
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Invalid(field, f"{word!r} is none of {', '.join(known)}{hint}")
    return frozenset(words or ())


def _instant(field: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(field, f"{text[:40]!r} is not a time; write for example 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise Invalid(field, f"{text[:40]!r} says no zone; add Z for UTC")
    return from_datetime(moment)
