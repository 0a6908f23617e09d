"""One delivery's way: a list of stages, each passes on what the next one needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from pricewatch.delivery.backoff import Backoff
from pricewatch.delivery.channels.base import Away, Later, Letter
from pricewatch.domain.time import SECOND
from pricewatch.ports.outbox import Delivery


class Verdict(msgspec.Struct, frozen=True):
    """What came of the attempt. `delay` in seconds, for `retry`."""

    kind: Literal["sent", "retry", "dead"]
    words: str
    delay: float = 0.0
    reached: bool | None = None
    """Whether the other side as a whole could be used; None when it was not asked."""


class Parcel(msgspec.Struct, frozen=True):
    """A delivery on its way. Once it has a verdict the stages up to the record let it pass untouched."""

    delivery: Delivery
    letter: Letter | None = None
    verdict: Verdict | None = None


Stage = Callable[[Parcel], Awaitable[Parcel | None]]
"""None: nothing is left to do."""


async def carry(delivery: Delivery, stages: Sequence[Stage]) -> None:
    """Take one delivery through all stages."""
    parcel: Parcel | None = Parcel(delivery)
    for stage in stages:
        if parcel is None:
            return
        parcel = await stage(parcel)


def verdict_of_failure(error: Exception, parcel: Parcel, backoff: Backoff, *, now: int, luck: float = 0.0) -> Verdict:
    """Temporary trouble: when to try again, or that its time is up. `luck` is the share of the pause that is skipped.

    What the other side asks for is obeyed, but for one last attempt at the end of the time there is.
    """
    waited = (now - parcel.delivery.queued) / SECOND
    delay = backoff.after(parcel.delivery.attempts, waited)
    if delay is not None:
        delay *= 1.0 - luck
        if isinstance(error, Later):
            delay = min(max(delay, error.wait), backoff.span - waited)
    reached = not isinstance(error, Away)
    if delay is None:
        words = f"gave up after {waited:.0f} s and {parcel.delivery.attempts} attempts: {error}"
        return Verdict("dead", words, reached=reached)
    return Verdict("retry", str(error), delay, reached=reached)
