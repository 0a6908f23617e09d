"""What `/api/v1` says of channels: where one is reached beside the feed. Fields are only ever added."""

from __future__ import annotations

import uuid
from typing import Literal

import msgspec

from pricewatch.domain.time import rfc3339
from pricewatch.ports.webhooks import Webhook
from pricewatch.wire.people import Name, Url, instant


class ChannelDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is below `state` is null for mail; `secret` is in the answer to its making and never again.

    `state` is `confirmed` for mail (an address not confirmed gets nothing and is not listed), and for webhooks
    `enabled` or `disabled` (with `reason`).
    """

    channel: str
    target: str
    """The mail address, or the URL."""
    state: str
    id: uuid.UUID | None = None
    name: str | None = None
    created: str | None = None
    changed: str | None = None
    disabled: str | None = None
    reason: str | None = None
    former_until: str | None = None
    """Until when the secret before this one signs as well."""
    secret: str | None = None


class ChannelPage(msgspec.Struct, frozen=True):
    """Where one is reached beside the feed: mail first, then webhooks in order of creation."""

    channels: list[ChannelDocument]
    next: str | None


class NewChannel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A webhook. Rules use it as `webhook:<name>`; without a name it gets its host's."""

    kind: Literal["webhook"]
    url: Url
    name: Name | None = None


class ChannelChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | None = None
    url: Url | None = None
    enabled: bool | None = None


def mail(address: str) -> ChannelDocument:
    """The public form of a mail address."""
    return ChannelDocument(channel="email", target=address, state="confirmed")


def webhook(one: Webhook, secret: str | None = None) -> ChannelDocument:
    """The public form of a webhook; `secret` when it is new."""
    return ChannelDocument(
        channel="webhook",
        target=one.url,
        state="enabled" if one.disabled is None else "disabled",
        id=one.id,
        name=one.name,
        created=rfc3339(one.created),
        changed=rfc3339(one.changed),
        disabled=instant(one.disabled),
        reason=one.reason or None,
        former_until=rfc3339(one.former_until) if one.former_until else None,
        secret=secret,
    )
