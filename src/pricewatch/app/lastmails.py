"""At the stop: mails that are due are given the time to go."""

from __future__ import annotations

import asyncio

import structlog

from pricewatch.delivery.worker import DeliveryWorker
from pricewatch.domain.errors import Unavailable
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import DeliveryState, Outbox

log = structlog.get_logger(__name__)


async def mails_out(delivery: DeliveryWorker, outbox: Outbox, clock: Clock) -> None:
    """Return once no mail is due, or its way is blocked anyway."""
    while delivery.trouble() is None and await _owes_mail(delivery, outbox, clock):  # noqa: ASYNC110 - in the table
        await asyncio.sleep(0.05)


async def _owes_mail(delivery: DeliveryWorker, outbox: Outbox, clock: Clock) -> bool:
    now, off = clock.now(), delivery.status()["off"]
    try:
        rows = [
            row for state in (DeliveryState.QUEUED, DeliveryState.SENDING) for row in await outbox.listing(state=state)
        ]
    except Unavailable as error:
        log.info("mails.left", error=str(error))
        return False
    return any(
        row.not_before <= now and row.channel not in off and not delivery.is_held(row.channel, row.target)
        for row in rows
    )
