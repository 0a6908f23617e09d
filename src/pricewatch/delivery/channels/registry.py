"""Every channel there is, in plain sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pricewatch.delivery.channels.base import Channel
from pricewatch.delivery.channels.email import EmailChannel
from pricewatch.delivery.channels.webhook import WebhookChannel
from pricewatch.delivery.settings import DeliverySettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.webhooks import Endpoints


class Means(NamedTuple):
    """What channels are made of."""

    settings: DeliverySettings
    clock: Clock
    endpoints: Endpoints | None


def _email(means: Means) -> Channel | None:
    return EmailChannel(means.settings.email) if means.settings.email.host else None


def _webhook(means: Means) -> Channel | None:
    return None if means.endpoints is None else WebhookChannel(means.settings, means.clock, means.endpoints)


CHANNELS: dict[str, Callable[[Means], Channel | None]] = {
    "email": _email,
    "webhook": _webhook,
}
"""By the name rules use. None: not configured, its deliveries wait in the outbox."""
