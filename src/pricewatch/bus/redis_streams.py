"""The bus over Redis Streams: packed entries, consumer groups, every trouble told as `Unavailable`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError, TryAgainError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pricewatch.bus.codec import pack_messages, unpack_messages
from pricewatch.bus.outgoing import Outgoing
from pricewatch.bus.settings import BusSettings
from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.ports.bus import Batch, Subscription
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_AWAY = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError, TryAgainError, OSError)
_FIELD = b"m"
_PAGE = 100


class _GroupLost(Refused):
    """The group is not there any more: Redis lost its memory."""


class _Link:
    """The client and what is known of its health; logs when a trouble starts and when it ends."""

    def __init__(self, settings: BusSettings) -> None:
        self.settings = settings
        self.trouble: str | None = None
        self.redis = Redis.from_url(
            settings.url.get_secret_value(),
            socket_timeout=settings.socket_timeout,
            socket_connect_timeout=settings.connect_timeout,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=False,
        )

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Translates Redis' errors into `Unavailable` and `Refused`."""
        try:
            yield
        except _AWAY as error:
            self._lost(f"{type(error).__name__}: {error}")
            raise Unavailable(f"redis: {error}") from error
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                raise _GroupLost from error
            self._lost(f"{type(error).__name__}: {error}")
            raise Refused(f"redis: {error}") from error
        except RedisError as error:
            self._lost(f"{type(error).__name__}: {error}")
            raise Unavailable(f"redis: {error}") from error
        else:
            if self.trouble is not None:
                self.trouble = None
                log.info("bus.recovered")

    async def make_group(self, stream: str, group: str, start: str) -> None:
        """The group exists afterwards; a new one reads from `start`."""
        try:
            await self.redis.xgroup_create(stream, group, id=start, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _lost(self, reason: str) -> None:
        if self.trouble is None:
            log.warning("bus.lost", reason=reason)
        self.trouble = reason


class RedisBus:
    """One XADD per topic and flush. What is on Redis may be lost with it; nothing there is the only copy."""

    name = "bus"

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._link = _Link(settings)
        self._outgoing = Outgoing(settings.open_limit)
        self._flushing = asyncio.Lock()
        self._published = 0
        self._entries = 0

    def publish(self, topic: str, message: bytes) -> None:
        """Put it into the topic's open batch: synchronous, never blocks, sent at the next flush."""
        self._outgoing.add(topic, message)
        self._published += 1

    async def flush(self) -> None:
        """Send every open batch; raises `Unavailable` and keeps them (up to the bound) when it cannot.

        After a broken connection some may be sent twice: at least once.
        """
        async with self._flushing:
            taken = self._outgoing.take()
            if not taken:
                return
            try:
                with self._link.watch():
                    await self._send(taken)
            except BaseException:
                self._outgoing.give_back(taken)
                raise

    async def subscribe(self, topic: str, group: str, consumer: str) -> Subscription:
        """Join a group. A group that is new starts with what is published from now on."""
        with self._link.watch():
            await self._link.make_group(self._settings.prefix + topic, group, "$")
        return _Consumer(self._link, topic, group, consumer)

    async def close(self) -> None:
        """Flush what can be flushed and let go."""
        try:
            await self.flush()
        except (Unavailable, Refused) as error:
            log.warning("bus.unsent", messages=len(self._outgoing), reason=str(error))
        finally:
            await self._link.redis.aclose()

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts for `/status`."""
        return {
            "kind": "redis",
            "published": self._published,
            "entries": self._entries,
            "dropped": self._outgoing.dropped,
            "unsent": len(self._outgoing),
            "trouble": self._link.trouble,
        }

    def trouble(self) -> str | None:
        """Why the last command failed, until one succeeds."""
        return self._link.trouble

    def samples(self) -> Iterable[Sample]:
        """Its counters and gauges."""
        yield Sample("published", self._published, help="Messages published")
        yield Sample("entries", self._entries, help="Entries written to Redis")
        yield Sample("dropped", self._outgoing.dropped, help="Unsent messages that passed the bound")
        yield Sample("unsent", len(self._outgoing), "gauge", help="Messages waiting for Redis")

    async def _send(self, taken: dict[str, list[bytes]]) -> None:
        limit, backlog = self._settings.entry_limit, self._settings.backlog
        async with self._link.redis.pipeline(transaction=False) as pipe:
            for topic, messages in taken.items():
                stream = self._settings.prefix + topic
                for start in range(0, len(messages), limit):
                    payload = pack_messages(messages[start : start + limit])
                    _ = pipe.xadd(stream, {_FIELD: payload}, maxlen=backlog, approximate=True)
            self._entries += len(await pipe.execute())


_Entry = tuple[bytes, dict[bytes, bytes]]


class _Consumer:
    """One consumer of one group: own unacknowledged entries, then abandoned ones, then new ones."""

    def __init__(self, link: _Link, topic: str, group: str, consumer: str) -> None:
        self._link = link
        self._topic = topic
        self._stream = link.settings.prefix + topic
        self._group = group
        self._consumer = consumer
        self._idle = round(link.settings.claim_idle * 1000)
        self._own: bytes | None = b"0"
        """From here on own entries may be unacknowledged on Redis without being in our hands."""
        self._claim_at = 0.0
        self._ahead: deque[_Entry] = deque()
        self._held: set[bytes] = set()
        """Handed out, not acknowledged."""

    async def next(self, timeout: float) -> Batch | None:  # noqa: ASYNC109 - a poll, not a deadline around work
        """The next batch, or None after `timeout` seconds of nothing. First what this group never acknowledged."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            while self._ahead:
                batch = await self._open(*self._ahead.popleft())
                if batch is not None:
                    return batch
            await self._read(loop.time(), max(deadline - loop.time(), 0.0))
            if not self._ahead and self._own is None and loop.time() >= deadline:
                return None

    async def ack(self, batch: Batch) -> None:
        """Done with it: it is durable elsewhere and never comes again."""
        with self._link.watch():
            await self._link.redis.xack(self._stream, self._group, batch.handle)
        self._held.discard(batch.handle.encode())

    async def close(self) -> None:
        """Stop reading. What was not acknowledged is marked as long idle, so that the next consumer takes it."""
        self._ahead.clear()
        try:
            with self._link.watch():
                await self._release()
        except (Unavailable, Refused) as error:
            log.info("bus.release_failed", topic=self._topic, group=self._group, reason=str(error))

    async def _open(self, place: bytes, fields: dict[bytes, bytes] | None) -> Batch | None:
        """The entry as a batch; one that is trimmed away or not ours is acknowledged and passed over."""
        try:
            batch = Batch(self._topic, place.decode(), unpack_messages((fields or {}).get(_FIELD, b"")))
        except BadData as error:
            log.warning("bus.entry_unreadable", topic=self._topic, entry=place.decode(), reason=str(error))
            with self._link.watch():
                await self._link.redis.xack(self._stream, self._group, place)
            return None
        self._held.add(place)
        return batch

    async def _read(self, now: float, patience: float) -> None:
        """One command's worth of entries into `_ahead`."""
        try:
            with self._link.watch():
                if self._own is not None:
                    await self._read_own(self._own)
                elif now >= self._claim_at:
                    await self._claim(now)
                else:
                    await self._read_new(patience)
        except _GroupLost:
            # Redis came back empty: everything it holds now was published since, and nobody has read it.
            with self._link.watch():
                await self._link.make_group(self._stream, self._group, "0")
        except Unavailable:
            self._own = b"0"  # an answer may have been lost on its way: look again at what we hold
            raise

    async def _read_own(self, after: bytes) -> None:
        entries = await self._group_read(after)
        self._ahead.extend(entry for entry in entries if entry[0] not in self._held)
        self._own = entries[-1][0] if entries else None

    async def _claim(self, now: float) -> None:
        _, entries, *_ = await self._link.redis.xautoclaim(
            self._stream, self._group, self._consumer, self._idle, count=self._link.settings.prefetch
        )
        self._ahead.extend(entry for entry in entries if entry[0] not in self._held)
        if not entries:
            self._own = b"0"  # a former process under our name may have read on: its entries are ours, too
            self._claim_at = now + self._link.settings.claim_idle / 2

    async def _read_new(self, patience: float) -> None:
        block = min(patience, self._link.settings.block)
        self._ahead.extend(await self._group_read(b">", block=max(1, round(block * 1000))))

    async def _group_read(self, after: bytes, block: int | None = None) -> list[_Entry]:
        reply: Any = await self._link.redis.xreadgroup(
            self._group,
            self._consumer,
            {self._stream: after},
            count=self._link.settings.prefetch,
            block=block,
        )
        return list(reply[0][1]) if reply else []

    async def _release(self) -> None:
        first = "-"
        while True:
            rows: Any = await self._link.redis.xpending_range(
                self._stream, self._group, first, "+", _PAGE, consumername=self._consumer
            )
            if not rows:
                return
            held = [row["message_id"] for row in rows]
            await self._link.redis.xclaim(
                self._stream, self._group, self._consumer, 0, held, idle=2 * self._idle, justid=True
            )
            first = "(" + held[-1].decode()
