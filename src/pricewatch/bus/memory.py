"""The bus inside one process: the same promises as Redis Streams, nothing outlives the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pricewatch.bus.outgoing import Outgoing
from pricewatch.bus.settings import BusSettings
from pricewatch.ports.bus import Batch, Subscription
from pricewatch.telemetry.metrics import Sample


class MemoryBus:
    """Topics in memory; a group that lags by more than `backlog` entries loses the oldest, counted."""

    name = "bus"

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._outgoing = Outgoing(settings.open_limit)
        self._groups: dict[str, dict[str, _Group]] = {}
        self._place = 0
        self._published = 0

    def publish(self, topic: str, message: bytes) -> None:
        """Put it into the topic's open batch: synchronous, never blocks, sent at the next flush."""
        self._outgoing.add(topic, message)
        self._published += 1

    async def flush(self) -> None:
        """Hand every open batch to the groups of its topic."""
        limit = self._settings.entry_limit
        for topic, messages in self._outgoing.take().items():
            for start in range(0, len(messages), limit):
                self._place += 1
                for group in self._groups.get(topic, {}).values():
                    group.append(self._place, messages[start : start + limit])

    async def subscribe(self, topic: str, group: str, consumer: str) -> Subscription:
        """Join a group. A group that is new starts with what is published from now on."""
        await self.flush()
        groups = self._groups.setdefault(topic, {})
        joined = groups.setdefault(group, _Group(topic, self._settings))
        joined.release(consumer)
        return _Member(joined, consumer)

    async def close(self) -> None:
        """Nothing to let go of."""
        await self.flush()

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts for `/status`."""
        groups = [group for groups in self._groups.values() for group in groups.values()]
        return {
            "kind": "memory",
            "published": self._published,
            "dropped": self._outgoing.dropped + sum(group.dropped for group in groups),
            "waiting": sum(len(group.waiting) for group in groups),
        }

    def trouble(self) -> str | None:
        """Memory is never away."""
        return None

    def samples(self) -> Iterable[Sample]:
        """Its counters and gauges."""
        status = self.status()
        yield Sample("published", status["published"], help="Messages published")
        yield Sample("dropped", status["dropped"], help="Messages or entries that passed a bound")
        yield Sample("waiting", status["waiting"], "gauge", help="Entries not yet delivered")


class _Group:
    """One group's view of one topic: what waits, and what was delivered but never acknowledged."""

    def __init__(self, topic: str, settings: BusSettings) -> None:
        self.topic = topic
        self.waiting: dict[int, list[bytes]] = {}
        self.pending: dict[int, tuple[str, float, list[bytes]]] = {}
        self.dropped = 0
        self._arrived = asyncio.Event()
        self._settings = settings

    def append(self, place: int, messages: list[bytes]) -> None:
        self.waiting[place] = messages
        if len(self.waiting) > self._settings.backlog:
            del self.waiting[min(self.waiting)]
            self.dropped += 1
        self._arrived.set()

    def release(self, consumer: str) -> None:
        """What this consumer holds unacknowledged waits again, in its old place."""
        self._wait_again([place for place, (holder, _, _) in self.pending.items() if holder == consumer])

    def take(self, consumer: str, now: float) -> Batch | None:
        stale = now - self._settings.claim_idle
        self._wait_again([place for place, (_, since, _) in self.pending.items() if since <= stale])
        if not self.waiting:
            return None
        place = next(iter(self.waiting))
        messages = self.waiting.pop(place)
        self.pending[place] = (consumer, now, messages)
        return Batch(self.topic, str(place), messages)

    async def arrival(self, timeout: float) -> None:  # noqa: ASYNC109 - a poll, not a deadline around work
        self._arrived.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _wait_again(self, places: list[int]) -> None:
        if not places:
            return
        for place in places:
            self.waiting[place] = self.pending.pop(place)[2]
        self.waiting = dict(sorted(self.waiting.items()))
        self._arrived.set()


class _Member:
    """One consumer of one group."""

    def __init__(self, group: _Group, consumer: str) -> None:
        self._group = group
        self._consumer = consumer

    async def next(self, timeout: float) -> Batch | None:  # noqa: ASYNC109 - a poll, not a deadline around work
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (batch := self._group.take(self._consumer, loop.time())) is None:
            if (left := deadline - loop.time()) <= 0:
                return None
            await self._group.arrival(left)
        return batch

    async def ack(self, batch: Batch) -> None:
        self._group.pending.pop(int(batch.handle), None)

    async def close(self) -> None:
        self._group.release(self._consumer)
