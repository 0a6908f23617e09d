"""Who owns rules, feeds, keys and browser sessions."""

from __future__ import annotations

import enum
import uuid

import msgspec


class Role(enum.StrEnum):
    """What an account may do."""

    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


class Scope(enum.StrEnum):
    """What a key may do of what its account may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


EVERY_SCOPE = frozenset(Scope)


class Account(msgspec.Struct, frozen=True):
    """An owner of rules and of one feed."""

    id: uuid.UUID
    name: str
    email: str
    role: Role
    created: int
    disabled: int | None = None
    """Since when nobody gets in as this account; its rules go on."""


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is stored: its secret is known only as a SHA-256."""

    id: uuid.UUID
    account_id: uuid.UUID
    prefix: str
    digest: bytes
    created: int
    expires: int | None = None
    revoked: int | None = None
    title: str = ""
    scopes: frozenset[Scope] = EVERY_SCOPE
    used: int | None = None
    """When it was last seen, to the minute."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is logged in; its cookie is known only as a SHA-256."""

    id: uuid.UUID
    account_id: uuid.UUID
    digest: bytes
    created: int
    expires: int
    agent: str = ""
    """What the browser calls itself."""
    key_id: uuid.UUID | None = None
    """The key it was exchanged for: it ends with it."""
    scopes: frozenset[Scope] = EVERY_SCOPE
    used: int | None = None
