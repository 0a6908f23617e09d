"""Webhooks in PostgreSQL."""

from __future__ import annotations

import uuid

import asyncpg

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.ports.clock import Clock
from pricewatch.ports.webhooks import Endpoint, Webhook, WebhookChange
from pricewatch.store import sql
from pricewatch.store.accounts import check_text
from pricewatch.store.pool import Database, Row

_SQL = sql.load("webhooks")


class PostgresWebhooks:
    """Keeps `ports.webhooks.Webhooks` and `Endpoints`. A change, its audit entry and dead letters are one statement.

    Secrets are stored as they are, since they sign; they leave through `endpoint` alone.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, account: uuid.UUID, name: str, url: str, secret: bytes) -> Webhook:
        """As the port says."""
        check_text("name", name)
        check_text("url", url)
        fields = (uuid.uuid4(), account, name, url, secret, self._clock.now())
        try:
            row = await self._database.fetchrow(_SQL["create"], *fields)
        except asyncpg.ForeignKeyViolationError as exc:
            raise NotFound(f"there is no account {account}") from exc
        if row is None:
            raise _taken(name)
        return _webhook(row)

    async def listing(self, account: uuid.UUID) -> list[Webhook]:
        """As the port says."""
        return [_webhook(row) for row in await self._database.fetch(_SQL["listing"], account)]

    async def get(self, account: uuid.UUID, webhook: uuid.UUID) -> Webhook:
        """As the port says."""
        return _found(await self._database.fetchrow(_SQL["get"], account, webhook), webhook)

    async def change(self, account: uuid.UUID, webhook: uuid.UUID, change: WebhookChange) -> Webhook:
        """As the port says."""
        check_text("name", change.name or "")
        check_text("url", change.url or "")
        fields = (account, webhook, change.name, change.url, change.enabled, self._clock.now())
        try:
            row = await self._database.fetchrow(_SQL["change"], *fields)
        except asyncpg.UniqueViolationError as exc:
            raise _taken(change.name or "") from exc
        return _found(row, webhook)

    async def rotate(self, account: uuid.UUID, webhook: uuid.UUID, secret: bytes, *, until: int) -> Webhook:
        """As the port says; of three secrets the oldest is forgotten."""
        row = await self._database.fetchrow(_SQL["rotate"], account, webhook, secret, until, self._clock.now())
        return _found(row, webhook)

    async def delete(self, account: uuid.UUID, webhook: uuid.UUID) -> None:
        """As the port says."""
        if await self._database.fetchval(_SQL["delete"], account, webhook, self._clock.now()) is None:
            raise NotFound(f"there is no webhook {webhook}")

    async def endpoint(self, webhook: uuid.UUID) -> Endpoint | None:
        """As the port says."""
        row = await self._database.fetchrow(_SQL["endpoint"], webhook, self._clock.now())
        if row is None:
            return None
        return Endpoint(
            id=row["id"],
            url=row["url"],
            secrets=tuple(secret for secret in (row["secret"], row["former"]) if secret is not None),
            disabled=None if row["disabled"] is None else row["reason"],
        )

    async def gone(self, webhook: uuid.UUID, reason: str) -> None:
        """As the port says; what was disabled before keeps its reason."""
        await self._database.execute(_SQL["gone"], webhook, self._clock.now(), reason)


def _taken(name: str) -> Invalid:
    return Invalid("name", f"{name!r} is taken by another webhook of yours; give this one a name of its own")


def _found(row: Row | None, webhook: uuid.UUID) -> Webhook:
    if row is None:
        raise NotFound(f"there is no webhook {webhook}")
    return _webhook(row)


def _webhook(row: Row) -> Webhook:
    return Webhook(
        id=row["id"],
        account_id=row["account_id"],
        name=row["name"],
        url=row["url"],
        created=row["created"],
        changed=row["changed"],
        disabled=row["disabled"],
        reason=row["reason"],
        former_until=row["former_until"],
    )
