"""The same hand-overs across processes: what is a plain call in one process is a message on the bus here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import structlog

from pricewatch.bus.codec import pack_entry, pack_ticks, unpack_entry, unpack_ticks
from pricewatch.domain.errors import BadData, Unavailable
from pricewatch.domain.market import Quote, Tick, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.bus import Batch, Bus, Subscription
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import SignalSink
from pricewatch.ports.rules import RuleChanges
from pricewatch.ports.ticks import Mark, PriceTape, TickSink, TickWriter

log = structlog.get_logger(__name__)

Handler = Callable[[Batch], Awaitable[None]]
"""Takes a batch; once it returns the batch is acknowledged."""

TICKS, SIGNALS, RULES = "ticks", "signals", "rules"
_BLIND, _SIGHTED = b"!blind ", b"!sighted "
"""Before a market's number, between packed ticks: no packed list begins with `!`."""
_PAUSE = 0.2
_RECENT = 256
"""How many of the last messages are remembered, for those that come twice."""


def _is_cancelled() -> bool:
    """Whether this task is to end: the bus's library may have swallowed the word itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Outlet:
    """Sends what stages hand over: ticks, signals, rule changes.

    A `TickSink`, `PriceTape`, `SignalSink` and `RuleChanges`; and a `Backlog`, full once `limit` ticks are unsent.
    """

    def __init__(self, bus: Bus, interval: float = 0.005, limit: int = 200_000) -> None:
        self._bus = bus
        self._interval = interval
        self._limit = limit
        self._ticks: list[Tick] = []
        self._unsent = 0
        self._due = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def offer(self, tick: Tick) -> None:
        """Into the next packed entry."""
        self._ticks.append(tick)
        self._unsent += 1
        if self._unsent >= self._limit:
            self._room.clear()
        self._due.set()

    def is_full(self) -> bool:
        """Whether so many ticks are unsent that no more should be read from the venues."""
        return not self._room.is_set()

    async def eased(self) -> None:
        """Return once they are sent."""
        await self._room.wait()

    def trade(self, trade: Trade, seen: int) -> None:
        """Evaluated here, shown elsewhere; nobody misses what cannot be sent."""
        _ = seen
        if not self.is_full():
            self.offer(trade)

    def quote(self, quote: Quote, seen: int) -> None:
        """As `trade`."""
        _ = seen
        if not self.is_full():
            self.offer(quote)

    def blind(self, market: int) -> None:
        """At its place between the ticks."""
        self._tell(_BLIND, market)

    def sighted(self, market: int) -> None:
        """As `blind`."""
        self._tell(_SIGHTED, market)

    def _tell(self, word: bytes, market: int) -> None:
        self._pack()
        self._bus.publish(TICKS, word + b"%d" % market)
        self._due.set()

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Each signal is one message."""
        for entry in entries:
            self._bus.publish(SIGNALS, pack_entry(entry))
        self._due.set()

    def rules_changed(self) -> None:
        """An empty message wakes the engine."""
        self._bus.publish(RULES, b"")
        self._due.set()

    async def run(self) -> None:
        """Flush whenever there is something, packed over a few milliseconds."""
        down = False
        try:
            while not _is_cancelled():
                await self._due.wait()
                await asyncio.sleep(self._interval)
                try:
                    await self._flush()
                except Unavailable as error:
                    if not down:
                        log.warning("bus.down", error=str(error))
                    down = True
                    await asyncio.sleep(_PAUSE)
                else:
                    if down:
                        log.info("bus.up")
                    down = False
        finally:
            try:
                await self._flush()
            except Unavailable as error:
                log.warning("bus.unsent", error=str(error))

    async def _flush(self) -> None:
        self._due.clear()
        self._pack()
        sending = self._unsent
        try:
            await self._bus.flush()
        except Unavailable:
            self._due.set()
            raise
        self._unsent -= sending
        if self._unsent < self._limit:
            self._room.set()

    def _pack(self) -> None:
        if self._ticks:
            ticks, self._ticks = self._ticks, []
            self._bus.publish(TICKS, pack_ticks(ticks))


class Inlet:
    """Reads one topic for one group until cancelled; a batch is acknowledged when its handler returns."""

    def __init__(self, bus: Bus, topic: str, group: str, consumer: str, handler: Handler) -> None:
        self._bus = bus
        self._topic = topic
        self._group = group
        self._consumer = consumer
        self._handler = handler

    async def run(self) -> None:
        """Read, handle, acknowledge; when the bus is away, wait and join again."""
        while not _is_cancelled():
            try:
                subscription = await self._bus.subscribe(self._topic, self._group, self._consumer)
                try:
                    while not _is_cancelled():
                        batch = await subscription.next(timeout=1.0)
                        if batch is not None:
                            await self._handler(batch)
                            await subscription.ack(batch)
                finally:
                    await subscription.close()
            except Unavailable as error:  # the bus itself logs when it goes and when it is back
                log.debug("inlet.waiting", topic=self._topic, error=str(error))
                await asyncio.sleep(_PAUSE)


class TickInlet:
    """Hands the bus's ticks to the engine at once, and acknowledges them once their rows are durable.

    While the database is away ticks go on being evaluated; what is read again before its acknowledgement (the bus or
    its connection was lost) is not offered again. After a crash the bus delivers again what was not acknowledged;
    trades that are stored already are left out then.
    """

    def __init__(
        self,
        sink: TickSink,
        writer: TickWriter,
        marks: Mapping[int, Mark],
        markets: Collection[int],
        sure: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`marks`: how far each market's stored trades reach; ticks of markets other than `markets` are dropped.

        `sure` is awaited before every read: it returns while what we take from the bus is ours to take.
        """
        self._sure = sure
        self._sink = sink
        self._writer = writer
        self._marks = dict(marks)
        self._markets = set(markets)
        self._fresh: set[int] = set()
        self._recent: dict[bytes, None] = {}
        self._unacknowledged: dict[str, Batch] = {}
        self._taken = asyncio.Event()
        self.repeated = 0
        self.unknown = 0

    def follow(self, markets: Iterable[int]) -> None:
        """Take ticks of these, too."""
        self._markets.update(markets)

    async def run(self, bus: Bus, topic: str, group: str, consumer: str) -> None:
        """Read and acknowledge until cancelled; when the bus is away, wait and join again."""
        while not _is_cancelled():
            try:
                subscription = await bus.subscribe(topic, group, consumer)
                try:
                    await self._follow(subscription)
                finally:
                    await subscription.close()
            except* Unavailable as errors:  # the bus itself logs when it goes and when it is back
                log.debug("inlet.waiting", topic=topic, error=str(errors.exceptions[0]))
                await asyncio.sleep(_PAUSE)

    async def _follow(self, subscription: Subscription) -> None:
        async with asyncio.TaskGroup() as tasks:
            acknowledging = tasks.create_task(self._acknowledge(subscription), name="inlet.acknowledge")
            while not _is_cancelled():
                if self._sure is not None:
                    await self._sure()
                batch = await subscription.next(timeout=1.0)
                if batch is not None:
                    self.take(batch)
            acknowledging.cancel()

    def take(self, batch: Batch) -> None:
        """Offer one packed entry, unless it has been offered and only its acknowledgement is missing."""
        if batch.handle not in self._unacknowledged:
            for message in batch.messages:
                self._take(batch.topic, message)
        self._unacknowledged[batch.handle] = Batch(batch.topic, batch.handle, [])
        self._taken.set()

    def _take(self, topic: str, message: bytes) -> None:
        if message.startswith(b"!"):
            self._take_sight(message)
            return
        if message in self._recent:  # sent twice: the answer to the first sending was lost
            self.repeated += 1
            return
        self._recent[message] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        try:
            ticks = unpack_ticks(message)
        except BadData as error:
            log.warning("bus.unreadable", topic=topic, error=str(error))
            return
        for tick in ticks:
            if tick.market not in self._markets:
                self._drop_unknown(tick.market)
            elif isinstance(tick, Trade) and self._is_stored(tick):
                self.repeated += 1
            else:
                self._sink.offer(tick)

    def _take_sight(self, message: bytes) -> None:
        word, _, number = message.partition(b" ")
        market = int(number)
        if market in self._markets:
            (self._sink.blind if word + b" " == _BLIND else self._sink.sighted)(market)

    def _drop_unknown(self, market: int) -> None:
        if not self.unknown:
            log.warning("bus.unknown_market", market=market, fix="give all processes the same ingest.venues")
        self.unknown += 1

    async def _acknowledge(self, subscription: Subscription) -> None:
        """What has been taken by now, once it is in the table; again and again."""
        while not _is_cancelled():
            await self._taken.wait()
            self._taken.clear()
            batches = list(self._unacknowledged.values())
            try:
                await self._writer.drain()
            except Unavailable as error:  # the writer itself logs when the database goes and when it is back
                log.debug("inlet.undrained", error=str(error))
                await asyncio.sleep(_PAUSE)
                self._taken.set()
                continue
            for batch in batches:
                await subscription.ack(batch)
                del self._unacknowledged[batch.handle]

    def _is_stored(self, trade: Trade) -> bool:
        """Only what came before the first new trade of a market can be a repetition."""
        if trade.market in self._fresh:
            return False
        mark = self._marks.get(trade.market)
        if mark is None or trade.key > mark.key:
            self._fresh.add(trade.market)
            return False
        return not any(first <= trade.key <= last for first, last in mark.missing)


class TapeInlet:
    """Shows the bus's ticks to a gateway in its own process."""

    def __init__(self, tape: PriceTape, clock: Clock) -> None:
        self._tape = tape
        self._clock = clock

    async def take(self, batch: Batch) -> None:
        """One packed entry."""
        now = self._clock.now()
        for message in batch.messages:
            if message.startswith(b"!"):
                continue
            try:
                for tick in unpack_ticks(message):
                    if isinstance(tick, Quote):
                        self._tape.quote(tick, now)
                    else:
                        self._tape.trade(tick, now)
            except BadData as error:
                log.warning("bus.unreadable", topic=batch.topic, error=str(error))


class SignalInlet:
    """Tells a gateway or a delivery worker in its own process of committed signals."""

    def __init__(self, sink: SignalSink) -> None:
        self._sink = sink

    async def take(self, batch: Batch) -> None:
        """One packed entry."""
        entries = []
        for message in batch.messages:
            try:
                entries.append(unpack_entry(message))
            except BadData as error:
                log.warning("bus.unreadable", topic=batch.topic, error=str(error))
        self._sink.committed(entries)


class RulesInlet:
    """Wakes the engine when a gateway in its own process changed a rule."""

    def __init__(self, changes: RuleChanges) -> None:
        self._changes = changes

    async def take(self, batch: Batch) -> None:
        """The content does not matter."""
        _ = batch
        self._changes.rules_changed()
