"""Every channel there is, in plain sight."""

from __future__ import annotations

from collections.abc import Callable

from pricewatch.delivery.channels.base import Channel
from pricewatch.delivery.channels.email import EmailChannel
from pricewatch.delivery.settings import DeliverySettings


def _email(settings: DeliverySettings) -> Channel | None:
    return EmailChannel(settings.email) if settings.email.host else None


CHANNELS: dict[str, Callable[[DeliverySettings], Channel | None]] = {
    "email": _email,
}
"""By the name rules use. None: not configured, its deliveries wait in the outbox."""
