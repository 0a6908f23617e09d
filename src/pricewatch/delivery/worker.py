"""The delivery worker: claims what is owed, carries it, and wakes at every commit."""

from __future__ import annotations

import asyncio
from collections import Counter as Multiset
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from pricewatch.delivery.channels.base import Channel
from pricewatch.delivery.channels.registry import CHANNELS, Means
from pricewatch.delivery.counter import Counter
from pricewatch.delivery.pipeline import Parcel, Stage, Verdict, carry
from pricewatch.delivery.settings import DeliverySettings
from pricewatch.delivery.stages import Record, Render, Send
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Delivery, Outbox
from pricewatch.ports.webhooks import Endpoints
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)


class DeliveryWorker:
    """Any number of these may work on one outbox; one channel's trouble never touches another's."""

    name = "delivery"

    def __init__(
        self,
        settings: DeliverySettings,
        clock: Clock,
        outbox: Outbox,
        channels: Mapping[str, Channel] | None = None,
        *,
        endpoints: Endpoints | None = None,
    ) -> None:
        if channels is None:
            means = Means(settings, clock, endpoints)
            built = {name: build(means) for name, build in CHANNELS.items()}
            channels = {name: channel for name, channel in built.items() if channel is not None}
        self._lanes = [_Lane(name, channel, settings, clock, outbox) for name, channel in channels.items()]
        self._off = sorted(CHANNELS.keys() - channels.keys())

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Somebody may be owed something: look now."""
        owed = {word.partition(":")[0] for entry in entries for word in entry.signal.channels}
        for lane in self._lanes:
            if lane.name in owed:
                lane.wake.set()

    async def run(self) -> None:
        """Work until cancelled. What was claimed and not marked comes back when its lease runs out."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run(), name=f"delivery.{lane.name}")
            await asyncio.Event().wait()

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts for `/status`."""
        return {"channels": {lane.name: lane.status() for lane in self._lanes}, "off": self._off}

    def is_held(self, channel: str, target: str) -> bool:
        """Whether this target of a channel is in trouble, and left alone for now."""
        return any(lane.holds(target) for lane in self._lanes if lane.name == channel)

    def trouble(self) -> str | None:
        """Which channels or the outbox cannot be used now."""
        troubles = [f"{lane.name}: {lane.counter.trouble}" for lane in self._lanes if lane.counter.trouble]
        return "; ".join(troubles) or None

    def samples(self) -> Iterable[Sample]:
        """Its counters and gauges."""
        for lane in self._lanes:
            yield from lane.counter.samples(lane.name)


class _Lane:
    """One channel's worker."""

    def __init__(self, name: str, channel: Channel, settings: DeliverySettings, clock: Clock, outbox: Outbox) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self.counter = Counter(name)
        self._channel = channel
        self._settings = settings
        self._outbox = outbox
        self._stages: list[Stage] = [
            Render(channel, clock),
            Send(channel, clock, settings),
            Record(outbox, settings, self._heard),
        ]
        self._clock = clock
        self._most = channel.manners.at_once or settings.concurrency
        self._under_way: Multiset[str] = Multiset()
        self._expired_at = 0.0
        self._landed = asyncio.Event()

    def status(self) -> Mapping[str, Any]:
        return {**self.counter.status(), "in_flight": self._under_way.total(), "held": len(self._channel.held())}

    def holds(self, target: str) -> bool:
        """Whether this target is left alone for now."""
        return target in self._channel.held()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    while True:
                        await self._turn(group)
                except asyncio.CancelledError:
                    await self._drain()
                    raise
        finally:
            await self._channel.close()

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        self.wake.clear()
        claimed = await self._claim()
        for delivery in claimed:
            self._under_way[delivery.target] += 1
            group.create_task(self._carry(delivery), name=f"delivery.{self.name}.{delivery.id}")
        if not claimed:
            await self._channel.rest()
            await self._expire()
        if not claimed or self._room() <= 0:
            await self._pause()

    async def _drain(self) -> None:
        """Let what is under way end: an attempt cut off after sending would be sent again."""
        try:
            async with asyncio.timeout(self._settings.drain):
                while self._under_way:
                    self._landed.clear()
                    await self._landed.wait()
        except TimeoutError:
            log.warning("delivery.drain_timeout", channel=self.name, in_flight=self._under_way.total())

    def _room(self) -> int:
        """How many more may set out: one at a time while the other side is away."""
        return (1 if self.counter.away else self._most) - self._under_way.total()

    async def _claim(self) -> list[Delivery]:
        if (room := self._room()) <= 0:
            return []
        try:
            each = self._channel.manners.each
            skip = {*self._under_way, *self._channel.held()} if each is not None else ()
            claimed = await self._outbox.claim(self.name, limit=room, lease=self._settings.lease, each=each, skip=skip)
        except Unavailable as error:
            self.counter.outbox_lost(str(error))
            return []
        self.counter.outbox_found()
        return claimed

    async def _expire(self) -> None:
        """What waits for targets left alone does so no longer than anything else, though nobody tries to send it."""
        held, now = self._channel.held(), asyncio.get_running_loop().time()
        settings = self._settings
        if not held or now < self._expired_at + settings.retry_away:
            return
        self._expired_at = now
        grace = 2 * settings.retry_away  # the last attempt falls on the end of the time
        before = self._clock.now() - round((settings.retry_for + grace) * SECOND)
        error = f"gave up after {settings.retry_for:.0f} s: its endpoint did not take what came before"
        try:
            gone = await self._outbox.expire(self.name, held, before=before, error=error)
        except Unavailable as trouble:
            self.counter.outbox_lost(str(trouble))
            return
        if gone:
            self.counter.dead += gone
            log.warning("delivery.expired", channel=self.name, deliveries=gone)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_interval):
                await self.wake.wait()
        except TimeoutError:
            return

    async def _carry(self, delivery: Delivery) -> None:
        try:
            await carry(delivery, self._stages)
        finally:
            self._under_way[delivery.target] -= 1
            self._under_way += Multiset()  # forgets those with none
            self._landed.set()
            if not self.counter.away:
                self.wake.set()

    def _heard(self, parcel: Parcel, verdict: Verdict, held: bool | None) -> None:  # noqa: FBT001 - a stage's report
        self.counter.count(parcel.delivery, verdict, held=held)
