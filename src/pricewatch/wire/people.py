"""What `/api/v1` says of people: accounts, keys, sessions, audit, watchlists. Fields are only ever added."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any

import msgspec

from pricewatch.domain.account import Account, ApiKey, Role, Scope, Session
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import rfc3339
from pricewatch.ports.records import AuditEntry, Feedback, Verdict, Watchlist

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
EMAIL = r"^$|^[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}$"
Name = Annotated[str, msgspec.Meta(pattern=NAME, description="Letters, digits, dot, dash, underscore; up to 64.")]
Email = Annotated[str, msgspec.Meta(pattern=EMAIL, max_length=254, description="Empty for an account without mail.")]
Password = Annotated[str, msgspec.Meta(max_length=2_000, description="10 to 1024 characters.")]
Title = Annotated[str, msgspec.Meta(max_length=100)]
SYMBOL = r"^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}$"
Symbol = Annotated[str, msgspec.Meta(pattern=SYMBOL)]
URL = r"^https?://[!-~]{1,1990}$"
Url = Annotated[
    str,
    msgspec.Meta(
        pattern=URL, description="`https://`, the name of a public host, perhaps a port, and the path; in ASCII."
    ),
]
WORDS = {
    NAME: "Write letters, digits, dots, dashes and underscores, a letter or digit first, 64 at most, like 'ann'",
    EMAIL: "Write one address like 'ann@example.org', or '' for none",
    SYMBOL: "Write BASE-QUOTE in capitals, like 'BTC-USD'",
    URL: "Write a URL in ASCII like 'https://bot.example.org/signals', up to 2,000 characters",
}
"""What a pattern asks for, for people."""


def check_person(name: str | None = None, email: str | None = None) -> None:
    """Raises `Invalid` for a name or an address that `NewUser` would refuse; None is not looked at."""
    for field, text, pattern in (("name", name, NAME), ("email", email, EMAIL)):
        if text is not None and not re.fullmatch(pattern, text):
            raise Invalid(field, f"{text[:64]!r} will not do. {WORDS[pattern]}")


class AccountDocument(msgspec.Struct, frozen=True):
    """An account without its secrets."""

    id: uuid.UUID
    name: str
    email: str
    role: Role
    created: str
    disabled: str | None = None


class SessionAnswer(msgspec.Struct, frozen=True):
    """Who is logged in; null for nobody."""

    account: AccountDocument | None


class AccountPage(msgspec.Struct, frozen=True):
    """Accounts in order of creation."""

    users: list[AccountDocument]
    next: str | None


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either a key, or a name and a password."""

    key: str | None = None
    name: str | None = None
    password: Password | None = None


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without a password the account gets in by keys only."""

    name: Name
    email: Email = ""
    role: Role = Role.USER
    password: Password | None = None


class UserChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    email: Email | None = None
    role: Role | None = None
    disabled: bool | None = None
    password: Password | None = None


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`current` is needed by who has a password."""

    new: Password
    current: Password | None = None


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`expires`: an RFC 3339 time; null for never."""

    title: Title = ""
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=3)] = msgspec.field(
        default_factory=lambda: [Scope.READ]
    )
    expires: str | None = None


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; `key` is the whole of it, in the answer to its making and never again."""

    id: uuid.UUID
    prefix: str
    title: str
    scopes: list[Scope]
    created: str
    expires: str | None
    revoked: str | None
    used: str | None
    key: str | None = None


class KeyPage(msgspec.Struct, frozen=True):
    """Keys in order of creation, revoked ones too."""

    keys: list[KeyDocument]
    next: str | None


class SessionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is logged in; `current`: the one that asks."""

    id: uuid.UUID
    agent: str
    created: str
    expires: str
    used: str | None
    current: bool


class SessionPage(msgspec.Struct, frozen=True):
    """Open sessions in order of creation."""

    sessions: list[SessionDocument]
    next: str | None


class TicketDocument(msgspec.Struct, frozen=True):
    """Goes into `Sec-WebSocket-Protocol: pricewatch.v1, ticket.<ticket>` once, before it expires."""

    ticket: str
    expires: str


class AuditDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` is null for the operator at the command line; `account`: whose thing it was."""

    number: int
    at: str
    actor: uuid.UUID | None
    account: uuid.UUID | None
    action: str
    target: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True):
    """Newest first."""

    entries: list[AuditDocument]
    next: str | None


class WatchlistBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Symbols under a name."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    symbols: Annotated[list[Symbol], msgspec.Meta(max_length=1_000)]


class WatchlistRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A watchlist."""

    id: uuid.UUID
    name: str
    symbols: list[str]
    created: str
    changed: str


class WatchlistPage(msgspec.Struct, frozen=True):
    """In order of id."""

    watchlists: list[WatchlistRecord]
    next: str | None


class FeedbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Null takes the word back."""

    feedback: Feedback | None


class VerdictDocument(msgspec.Struct, frozen=True):
    """What was said of a signal."""

    signal_id: uuid.UUID
    acknowledged: str | None
    feedback: Feedback | None


def account(one: Account) -> AccountDocument:
    """The public form of an account."""
    return AccountDocument(
        one.id, one.name, one.email, one.role, rfc3339(one.created), rfc3339(one.disabled) if one.disabled else None
    )


def api_key(one: ApiKey, text: str | None = None) -> KeyDocument:
    """The public form of a key; `text` is its secret, when it is new."""
    return KeyDocument(
        id=one.id,
        prefix=one.prefix,
        title=one.title,
        scopes=sorted(one.scopes),
        created=rfc3339(one.created),
        expires=instant(one.expires),
        revoked=instant(one.revoked),
        used=instant(one.used),
        key=text,
    )


def session(one: Session, current: uuid.UUID | None) -> SessionDocument:
    """The public form of a session."""
    return SessionDocument(
        id=one.id,
        agent=one.agent,
        created=rfc3339(one.created),
        expires=rfc3339(one.expires),
        used=instant(one.used),
        current=one.id == current,
    )


def audit(one: AuditEntry) -> AuditDocument:
    """The public form of an entry."""
    return AuditDocument(
        number=one.number,
        at=rfc3339(one.at),
        actor=one.actor,
        account=one.account,
        action=one.action,
        target=one.target,
        detail=one.detail,
    )


def watchlist(one: Watchlist) -> WatchlistRecord:
    """The public form of a watchlist."""
    return WatchlistRecord(
        id=one.id,
        name=one.name,
        symbols=list(one.symbols),
        created=rfc3339(one.created),
        changed=rfc3339(one.changed),
    )


def verdict(one: Verdict) -> VerdictDocument:
    """The public form of a verdict."""
    return VerdictDocument(one.signal_id, instant(one.acknowledged), one.feedback)


def instant(value: int | None) -> str | None:
    """A time, or none."""
    return None if value is None else rfc3339(value)
