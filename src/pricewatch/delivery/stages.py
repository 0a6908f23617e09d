"""The stages of a delivery: render, send, record."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from pricewatch.delivery.backoff import Backoff
from pricewatch.delivery.channels.base import Away, Channel
from pricewatch.delivery.pipeline import Parcel, Verdict, verdict_of_failure
from pricewatch.delivery.settings import DeliverySettings
from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Outbox

log = structlog.get_logger(__name__)


class Render:
    """Turns the signal into the channel's own words; what cannot be written down is dead, never a crash."""

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self._channel = channel
        self._clock = clock

    async def __call__(self, parcel: Parcel) -> Parcel | None:
        """Adds the letter, or the verdict that there can be none."""
        try:
            letter = self._channel.render(parcel.delivery, now=self._clock.now())
        except Refused as error:
            return msgspec.structs.replace(parcel, verdict=Verdict("dead", str(error)))
        except (ValueError, LookupError, OverflowError) as error:  # hostile content found a hole: this one alone stops
            log.exception("delivery.unrenderable", delivery=str(parcel.delivery.id))
            return msgspec.structs.replace(parcel, verdict=Verdict("dead", f"cannot be rendered: {error!r}"))
        return msgspec.structs.replace(parcel, letter=letter)


class Send:
    """One attempt, bounded in time."""

    def __init__(self, channel: Channel, clock: Clock, settings: DeliverySettings) -> None:
        self._channel = channel
        self._clock = clock
        self._timeout = settings.attempt_timeout
        self._each = Backoff(settings.retry_first, settings.retry_cap, settings.retry_for)
        self._spread = channel.manners.spread
        self._away = self._each._replace(cap=min(settings.retry_away, settings.retry_cap))

    async def __call__(self, parcel: Parcel) -> Parcel | None:
        """Adds the verdict."""
        if parcel.letter is None or parcel.verdict is not None:
            return parcel
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._channel.send(parcel.letter)
        except Refused as error:
            verdict = Verdict("dead", str(error), reached=True)
        except Away as error:
            verdict = verdict_of_failure(error, parcel, self._away, now=self._clock.now())
        except Unavailable as error:
            luck = self._spread * random.random()
            verdict = verdict_of_failure(error, parcel, self._each, now=self._clock.now(), luck=luck)
        except TimeoutError:
            slow = Away(f"no result within {self._timeout} s")
            verdict = verdict_of_failure(slow, parcel, self._away, now=self._clock.now())
        else:
            verdict = Verdict("sent", reply, reached=True)
        return msgspec.structs.replace(parcel, verdict=verdict)


class Record:
    """Writes the verdict into the outbox, as long as the lease lasts; tells `heard` what became of it."""

    def __init__(
        self, outbox: Outbox, settings: DeliverySettings, heard: Callable[[Parcel, Verdict, bool | None], None]
    ) -> None:
        self._outbox = outbox
        self._pause = settings.poll_interval
        self._patience = settings.lease
        self._heard = heard

    async def __call__(self, parcel: Parcel) -> Parcel | None:
        """The end of the way."""
        if parcel.verdict is not None:
            self._heard(parcel, parcel.verdict, await self._written(parcel, parcel.verdict))
        return None

    async def _written(self, parcel: Parcel, verdict: Verdict) -> bool | None:
        """Whether the lease still held; None when the outbox was away until it had run out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await self._mark(parcel, verdict)
            except Unavailable:
                if loop.time() + self._pause >= deadline or _is_stopping():
                    return None
            await asyncio.sleep(self._pause)

    def _mark(self, parcel: Parcel, verdict: Verdict) -> Awaitable[bool]:
        match verdict.kind:
            case "sent":
                return self._outbox.sent(parcel.delivery, verdict.words)
            case "retry":
                return self._outbox.retry(parcel.delivery, verdict.words, delay=verdict.delay)
            case "dead":
                return self._outbox.dead(parcel.delivery, verdict.words)


def _is_stopping() -> bool:
    """A library may have swallowed the cancellation that asked us to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
