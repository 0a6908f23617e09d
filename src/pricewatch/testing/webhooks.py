"""Webhooks in memory."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.ports.clock import Clock
from pricewatch.ports.webhooks import Endpoint, Webhook, WebhookChange
from pricewatch.testing.accounts import MemoryAccounts
from pricewatch.testing.outbox import MemoryOutbox


class _Secrets(msgspec.Struct):
    new: bytes
    former: bytes | None = None


class MemoryWebhooks:
    """Keeps `ports.webhooks.Webhooks` and `Endpoints`."""

    def __init__(self, clock: Clock, accounts: MemoryAccounts, outbox: MemoryOutbox) -> None:
        self._clock = clock
        self._accounts = accounts
        self._outbox = outbox
        self._secrets: dict[uuid.UUID, _Secrets] = {}
        self.held: dict[uuid.UUID, Webhook] = {}

    async def create(self, account: uuid.UUID, name: str, url: str, secret: bytes) -> Webhook:
        """As the port says."""
        if await self._accounts.get(account) is None:
            raise NotFound(f"there is no account {account}")
        _check_text(name=name, url=url)
        self._check_name(account, name)
        now = self._clock.now()
        made = Webhook(id=uuid.uuid4(), account_id=account, name=name, url=url, created=now, changed=now)
        self.held[made.id] = made
        self._secrets[made.id] = _Secrets(secret)
        self._note("create", made, {"name": name})
        return made

    async def listing(self, account: uuid.UUID) -> list[Webhook]:
        """As the port says."""
        return [one for one in self.held.values() if one.account_id == account]

    async def get(self, account: uuid.UUID, webhook: uuid.UUID) -> Webhook:
        """As the port says."""
        held = self.held.get(webhook)
        if held is None or held.account_id != account:
            raise NotFound(f"there is no webhook {webhook}")
        return held

    async def change(self, account: uuid.UUID, webhook: uuid.UUID, change: WebhookChange) -> Webhook:
        """As the port says."""
        held = await self.get(account, webhook)
        _check_text(name=change.name or "", url=change.url or "")
        if change.name is not None and change.name != held.name:
            self._check_name(account, change.name)
        now = self._clock.now()
        disabled, reason = held.disabled, held.reason
        if change.enabled is not None:
            disabled = None if change.enabled else held.disabled or now
            reason = "" if change.enabled else held.reason or "disabled by its owner"
        changed = self.held[webhook] = msgspec.structs.replace(
            held,
            name=held.name if change.name is None else change.name,
            url=held.url if change.url is None else change.url,
            disabled=disabled,
            reason=reason,
            changed=now,
        )
        if disabled is not None:
            self._outbox.drop(str(webhook), "the webhook was disabled")
        words = {"name": change.name, "enabled": change.enabled, "url": "changed" if change.url is not None else None}
        self._note("change", changed, {name: word for name, word in words.items() if word is not None})
        return changed

    async def rotate(self, account: uuid.UUID, webhook: uuid.UUID, secret: bytes, *, until: int) -> Webhook:
        """As the port says."""
        held = await self.get(account, webhook)
        self._secrets[webhook] = _Secrets(secret, self._secrets[webhook].new)
        changed = msgspec.structs.replace(held, former_until=until, changed=self._clock.now())
        self.held[webhook] = changed
        self._note("rotate", changed)
        return changed

    async def delete(self, account: uuid.UUID, webhook: uuid.UUID) -> None:
        """As the port says."""
        gone = await self.get(account, webhook)
        del self.held[webhook], self._secrets[webhook]
        self._outbox.drop(str(webhook), "the webhook was deleted")
        self._note("delete", gone, {"name": gone.name})

    async def endpoint(self, webhook: uuid.UUID) -> Endpoint | None:
        """As the port says."""
        held = self.held.get(webhook)
        if held is None:
            return None
        kept = self._secrets[webhook]
        former = (kept.former,) if kept.former is not None and held.former_until > self._clock.now() else ()
        disabled = None if held.disabled is None else held.reason
        return Endpoint(id=webhook, url=held.url, secrets=(kept.new, *former), disabled=disabled)

    async def gone(self, webhook: uuid.UUID, reason: str) -> None:
        """As the port says."""
        held = self.held.get(webhook)
        if held is None or held.disabled is not None:
            return
        now = self._clock.now()
        self.held[webhook] = msgspec.structs.replace(held, disabled=now, reason=reason, changed=now)
        self._outbox.drop(str(webhook), f"the webhook was disabled: {reason}")
        self._accounts.note("webhook.disable", webhook, held.account_id, None, {"reason": reason})

    def owed_on(self, account: uuid.UUID, word: str) -> list[str]:
        """For the journal: the webhooks that this word of a rule's channels means."""
        return [
            str(one.id)
            for one in self.held.values()
            if one.account_id == account and one.disabled is None and word in {"webhook", f"webhook:{one.name}"}
        ]

    def forget(self, account: uuid.UUID) -> None:
        """For the dossiers: everything of an account goes."""
        self.held = {key: one for key, one in self.held.items() if one.account_id != account}

    def _check_name(self, account: uuid.UUID, name: str) -> None:
        if any(one.account_id == account and one.name == name for one in self.held.values()):
            raise Invalid("name", f"{name!r} is taken by another webhook of yours; give this one a name of its own")

    def _note(self, act: str, one: Webhook, detail: dict[str, Any] | None = None) -> None:
        self._accounts.note(f"webhook.{act}", one.id, one.account_id, one.account_id, detail)


def _check_text(**fields: str) -> None:
    for field, text in fields.items():
        if not text.isprintable():
            raise Invalid(field, "must not contain control characters or broken Unicode")
