"""The rule document: typed JSON in, a checked rule out."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.domain.time import MINUTE
from pricewatch.rules.base import Condition
from pricewatch.rules.composite import Composite, check_size
from pricewatch.rules.conditions.divergence import Divergence
from pricewatch.rules.numbers import shown
from pricewatch.rules.policy import NodataDocument, Policy, PolicyDocument, back, build
from pricewatch.rules.quiet import QuietDocument
from pricewatch.rules.quorum import Quorum, QuorumDocument, agree
from pricewatch.rules.registry import KINDS, ConditionDocument

LARGEST_DOCUMENT = 65_536
"""Bytes."""
SYMBOL = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")
NOWHERE = ("",)
"""The symbol of no market."""
VENUE = re.compile(r"[a-z0-9_-]{1,32}")

_OBJECTS: dict[str, type[msgspec.Struct]] = {
    "$.policy": PolicyDocument,
    "$.policy.quiet": QuietDocument,
    "$.venues": QuorumDocument,
    "$.policy.nodata": NodataDocument,
}
_UNKNOWN = re.compile(r"unknown field `(.*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")

Names = Annotated[list[str], msgspec.Meta(min_length=1, max_length=1_000)]


class WatchlistDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{"watchlist": "majors"}`: what is on the owner's list of that name, as it changes."""

    watchlist: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class RuleDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a user writes."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="One line, shown in every signal.")]
    symbols: Annotated[
        Names | Literal["*"] | WatchlistDocument,
        msgspec.Meta(description="Canonical symbols such as 'BTC-USD', '*' for all, or a watchlist by name."),
    ]
    venues: Annotated[
        Names | Literal["any"] | QuorumDocument,
        msgspec.Meta(
            description="Venues by name, or 'any': each market on its own; or how many of them must agree on a symbol."
        ),
    ] = "any"
    when: ConditionDocument
    policy: PolicyDocument = PolicyDocument()


_OBJECTS["$.symbols"] = WatchlistDocument


class Rule(msgspec.Struct, frozen=True):
    """A checked rule, ready to be armed."""

    title: str
    symbols: tuple[str, ...] | None
    """None for every symbol."""
    venues: tuple[str, ...] | None
    """None for every venue."""
    when: Condition
    policy: Policy
    watchlist: str | None = None
    """The list its symbols are on; until it is looked up it watches nothing."""

    def over(self, symbols: Sequence[str]) -> Rule:
        """The same rule with its list looked up."""
        return msgspec.structs.replace(self, symbols=tuple(dict.fromkeys(symbols)) or NOWHERE)

    @property
    def spans(self) -> bool:
        """Whether it has one state a symbol, over all venues that match, instead of one a market."""
        return isinstance(self.when, Quorum | Divergence)

    def judges_as(self, other: Rule) -> bool:
        """Whether both make the same signals of the same trades, but for title, severity and who is told."""
        mine, others = (self.symbols, self.venues, self.when), (other.symbols, other.venues, other.when)
        return mine == others and self.policy.judges_as(other.policy)

    def matches(self, market: Market) -> bool:
        """Whether it watches this market."""
        return (self.symbols is None or market.symbol in self.symbols) and (
            self.venues is None or market.venue in self.venues
        )


def parse(document: bytes) -> Rule:
    """The rule a JSON document means.

    Raises `Invalid`, and nothing else, naming the JSON path, the value and the fix.
    """
    if len(document) > LARGEST_DOCUMENT:
        raise Invalid("$", f"{len(document)} bytes are too many; a rule has at most {LARGEST_DOCUMENT}")
    try:
        raw = _decoder().decode(document)
    except msgspec.ValidationError as exc:
        raise _explained(str(exc), document) from exc
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise Invalid("$", f"not a JSON document ({exc}); send one object") from exc
    return _checked(raw)


def schema() -> dict[str, Any]:
    """The published JSON Schema of a rule document."""
    return msgspec.json.schema(RuleDocument)


@functools.cache
def _decoder() -> msgspec.json.Decoder[RuleDocument]:
    return msgspec.json.Decoder(RuleDocument)


def _checked(raw: RuleDocument) -> Rule:
    if not raw.title.strip() or not raw.title.isprintable():
        raise Invalid("$.title", f"{shown(raw.title)} must be one line of visible text")
    symbols, watchlist = _symbols(raw.symbols)
    venues = _venues(raw.venues)
    check_size(raw.when)
    when: Condition = raw.when.build(back(raw.policy, percents=raw.when.percents))
    when = _spanning(when, raw, venues)
    own_bar, *_ = when.needs().spec or (MINUTE,)
    policy = build(raw.policy, emits_clear=when.emits_clear, own_bar=own_bar)
    return Rule(raw.title, symbols, venues, when, policy, watchlist)


def _symbols(written: list[str] | str | WatchlistDocument) -> tuple[tuple[str, ...] | None, str | None]:
    if isinstance(written, WatchlistDocument):
        return NOWHERE, written.watchlist
    return None if written == "*" else _names(written, "$.symbols", SYMBOL, "write for example 'BTC-USD'"), None


def _venues(written: list[str] | str | QuorumDocument) -> tuple[str, ...] | None:
    field = "$.venues"
    if isinstance(written, QuorumDocument):
        written.check()
        written, field = written.of, "$.venues.of"
    return None if written == "any" else _names(written, field, VENUE, "write for example 'coinbase'")


def _spanning(when: Condition, raw: RuleDocument, venues: tuple[str, ...] | None) -> Condition:
    """The condition as it is asked of several venues, where it is."""
    if isinstance(when, Composite) and any(isinstance(leaf, Divergence) for leaf in when.leaves()):
        raise Invalid("$.when", "'divergence' is about all venues and no member of a group; make it a rule of its own")
    if isinstance(raw.venues, QuorumDocument):
        if isinstance(when, Divergence):
            raise Invalid("$.venues", "'divergence' is about all venues; name them in a list, or write 'any'")
        if raw.policy.evaluate == "close":
            raise Invalid("$.policy.evaluate", "'close', but venues that must agree are looked at with every trade")
        return agree(when, raw.venues.at_least)
    if isinstance(when, Divergence):
        if venues is not None and len(venues) < 2:
            raise Invalid("$.venues", "one venue cannot diverge; name at least two, or write 'any'")
        return msgspec.structs.replace(when, venues=tuple(sorted(venues or ())))
    return when


def _names(names: list[str] | str, field: str, pattern: re.Pattern[str], fix: str) -> tuple[str, ...]:
    for number, name in enumerate(names):
        if not pattern.fullmatch(name):
            raise Invalid(f"{field}[{number}]", f"{shown(name)} is not a valid name; {fix}")
    return tuple(dict.fromkeys(names))


def _explained(message: str, document: bytes) -> Invalid:
    problem, _, rest = message.partition(" - at `")
    path = rest.removesuffix("`") or "$"
    fix = f"one of {list(KINDS)}" if path.startswith("$.when") and path.endswith(".type") else "see the rule schema"
    if unknown := _UNKNOWN.search(problem):
        fix = _nearest(unknown[1], path, document)
    return Invalid(path, f"{problem}; got {_value(path, document)}; {fix}")


def _nearest(name: str, path: str, document: bytes) -> str:
    """What an unknown field was probably meant to be, or what the object at `path` may hold."""
    known = sorted(_fields(path, document))
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {known}"


def _fields(path: str, document: bytes) -> tuple[str, ...]:
    if not path.startswith("$.when"):
        return _OBJECTS.get(path, RuleDocument).__struct_encode_fields__
    by_kind = {repr(one.__struct_config__.tag): one.__struct_encode_fields__ for one in get_args(ConditionDocument)}
    return ("type", *by_kind.get(_value(f"{path}.type", document), ()))


def _value(path: str, document: bytes) -> str:
    try:
        value = msgspec.json.decode(document)
        for name, index in _STEP.findall(path):
            value = value[int(index)] if index else value[name]
    except (msgspec.DecodeError, RecursionError, LookupError, TypeError, ValueError):
        return "something unreadable"
    return shown(value)
