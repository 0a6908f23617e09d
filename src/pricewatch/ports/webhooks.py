"""Webhooks: where an account's signals are sent to by HTTP."""

from __future__ import annotations

import uuid
from typing import Protocol

import msgspec


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as its owner sees it; its secrets stay where they are kept."""

    id: uuid.UUID
    account_id: uuid.UUID
    name: str
    """Unique among its account's: rules say `webhook:<name>`."""
    url: str
    created: int
    changed: int
    disabled: int | None = None
    """Since when (µs) nothing is sent to it."""
    reason: str = ""
    """Why it was disabled."""
    former_until: int = 0
    """Until when (µs) the secret before this one signs as well; 0 for never."""


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different; None leaves it as it is."""

    name: str | None = None
    url: str | None = None
    enabled: bool | None = None


class Webhooks(Protocol):
    """Each account's own. Every change is in the audit log, without URL and secret."""

    async def create(self, account: uuid.UUID, name: str, url: str, secret: bytes) -> Webhook:
        """Raises `Invalid` when the account has one of that name, `NotFound` for an unknown account."""
        ...

    async def listing(self, account: uuid.UUID) -> list[Webhook]:
        """In order of creation."""
        ...

    async def get(self, account: uuid.UUID, webhook: uuid.UUID) -> Webhook:
        """Raises `NotFound` for an unknown or foreign one."""
        ...

    async def change(self, account: uuid.UUID, webhook: uuid.UUID, change: WebhookChange) -> Webhook:
        """Disabled, what it is owed becomes dead letters. Raises `NotFound`, and `Invalid` for a name that is taken."""
        ...

    async def rotate(self, account: uuid.UUID, webhook: uuid.UUID, secret: bytes, *, until: int) -> Webhook:
        """A new secret; the one before it signs as well until then (µs). Raises `NotFound`."""
        ...

    async def delete(self, account: uuid.UUID, webhook: uuid.UUID) -> None:
        """What it is owed becomes dead letters. Raises `NotFound`."""
        ...


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What sending needs."""

    id: uuid.UUID
    url: str
    secrets: tuple[bytes, ...]
    """Those that sign, the newest first."""
    disabled: str | None
    """Why nothing is sent to it; None where something is."""

    def __repr__(self) -> str:
        """Nothing secret: neither the keys nor what may be in the URL."""
        return f"Endpoint({self.id})"


class Endpoints(Protocol):
    """Webhooks as who sends to them sees them."""

    async def endpoint(self, webhook: uuid.UUID) -> Endpoint | None:
        """As it is now; None for one that was deleted."""
        ...

    async def gone(self, webhook: uuid.UUID, reason: str) -> None:
        """Its other side wants nothing more: disabled with this reason; what it is owed becomes dead letters."""
        ...
