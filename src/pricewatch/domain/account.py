"""Who owns rules, feeds and keys."""

from __future__ import annotations

import enum
import uuid

import msgspec


class Role(enum.StrEnum):
    """What an account may do."""

    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


class Account(msgspec.Struct, frozen=True):
    """An owner of rules and of one feed."""

    id: uuid.UUID
    name: str
    email: str
    role: Role
    created: int


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is stored: its secret is known only as a SHA-256."""

    id: uuid.UUID
    account_id: uuid.UUID
    prefix: str
    digest: bytes
    created: int
    expires: int | None = None
    revoked: int | None = None
