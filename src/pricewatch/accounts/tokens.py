"""Secrets handed out: API keys, session cookies and tickets, of which only the SHA-256 is ever stored.

A key is `pw_<prefix>_<secret>`; a ticket is `pwt_<secret>`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from typing import NamedTuple

from pricewatch.domain.account import EVERY_SCOPE, ApiKey, Scope, Session
from pricewatch.ports.accounts import Ticket

_FORM = re.compile(r"pw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
_TICKET = re.compile(r"pwt_[A-Za-z0-9_-]{43}")


class Minted(NamedTuple):
    """A new key: `text` is shown once to its owner, `key` is stored."""

    text: str
    key: ApiKey


def mint(
    account: uuid.UUID,
    *,
    now: int,
    expires: int | None = None,
    title: str = "",
    scopes: frozenset[Scope] = EVERY_SCOPE,
) -> Minted:
    """A new random key of an account; `now` and `expires` are instants in microseconds."""
    prefix = secrets.token_hex(4)
    text = f"pw_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=uuid.uuid4(),
        account_id=account,
        prefix=prefix,
        digest=digest(text),
        created=now,
        expires=expires,
        title=title,
        scopes=scopes,
    )
    return Minted(text, key)


class Opened(NamedTuple):
    """A new session: `cookie` goes to the browser, `session` is stored."""

    cookie: str
    session: Session


def open_session(account: uuid.UUID, *, now: int, lifetime: int, agent: str = "", key: ApiKey | None = None) -> Opened:
    """A new session; one made with a key may do no more and lives no longer than that. `lifetime` in microseconds."""
    cookie = secrets.token_urlsafe(32)
    expires = now + lifetime
    if key is not None and key.expires is not None:
        expires = min(expires, key.expires)
    session = Session(
        id=uuid.uuid4(),
        account_id=account,
        digest=digest(cookie),
        created=now,
        expires=expires,
        agent=agent,
        key_id=key.id if key is not None else None,
        scopes=key.scopes if key is not None else EVERY_SCOPE,
    )
    return Opened(cookie, session)


class Issued(NamedTuple):
    """A new ticket: `text` goes to whoever asked, `ticket` is stored."""

    text: str
    ticket: Ticket


def issue(account: uuid.UUID, *, credential: bytes, is_session: bool, expires: int) -> Issued:
    """A new ticket for the holder of a credential."""
    text = f"pwt_{secrets.token_urlsafe(32)}"
    return Issued(text, Ticket(digest(text), account, credential, is_session, expires))


def digest(text: str) -> bytes:
    """What is stored and looked up. A plain hash is enough: the secret has 256 random bits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def is_well_formed(text: str) -> bool:
    """Whether this can be a key at all, so that nonsense never reaches the database."""
    return _FORM.fullmatch(text) is not None


def is_ticket(text: str) -> bool:
    """Whether this can be a ticket."""
    return _TICKET.fullmatch(text) is not None


def is_valid(key: ApiKey, now: int) -> bool:
    """Neither revoked nor expired at `now`."""
    return key.revoked is None and (key.expires is None or now < key.expires)
