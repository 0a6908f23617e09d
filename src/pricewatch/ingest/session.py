"""One connection's life: subscribe, verify, and one synchronous chain per frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import perf_counter
from typing import Protocol

import msgspec
import structlog

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Quote, Trade
from pricewatch.engine.gate import Limits, Reason
from pricewatch.exchanges.base import (
    BadTrade,
    Closing,
    Control,
    Exchange,
    Heartbeat,
    Ignored,
    Notice,
    Output,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ingest.skew import Skew
from pricewatch.ports.clock import Clock
from pricewatch.ports.connection import Connection

log = structlog.get_logger(__name__)

_BURST = 200
"""Frames after which others get their turn."""
_TURN = 0.003
"""Seconds after which they do, looked at every `_LOOK` frames: a commit waits for several turns at most."""
_LOOK = 10
_SLOW = 0.002
"""Seconds after which a single frame was enough: many rules judged at once, as after a start."""


class Tap(Protocol):
    """Who writes down every frame (`pricewatch record`)."""

    def opened(self, connection: str, url: str, at: int) -> None:
        """A connection was opened."""
        ...

    def sent(self, connection: str, url: str, frame: str, at: int) -> None:
        """A frame went to the venue."""
        ...

    def received(self, connection: str, frame: bytes | str, at: int) -> None:
        """A frame came from the venue."""
        ...


class Venue(msgspec.Struct):
    """What all connections of one venue share."""

    id: str
    settings: VenueSettings
    feeds: Mapping[int, MarketFeed]
    """By market number."""
    limits: Limits
    counters: Counters
    clock: Clock
    pause: Callable[[float], Awaitable[None]]
    max_skew: int
    tap: Tap | None = None
    skew: Skew = msgspec.field(default_factory=Skew)
    refused: dict[Subscription, tuple[str, float]] = msgspec.field(default_factory=dict)
    """Refused subscriptions: why, and when (loop time)."""
    notice: str = ""
    """The last thing the venue said to people."""


class Session:
    """From an open connection to its end."""

    def __init__(
        self, venue: Venue, exchange: Exchange, connection: Connection, name: str, ready: asyncio.Event
    ) -> None:
        self._venue = venue
        self._exchange = exchange
        self._connection = connection
        self._name = name
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        self._last_frame = self._loop.time()
        self._out: list[Output] = []
        self.pending: set[Subscription] = set()
        """Asked for, not yet confirmed."""
        self._changed = asyncio.Event()
        self._spoilt = False

    async def run(self, *besides: Coroutine[None, None, None]) -> Refused | Unavailable:
        """Pump until the connection is gone, with `besides` running as long; why it ended."""
        try:
            async with asyncio.TaskGroup() as group:
                for task in (self._subscribe(), self._watch(), *besides, self._pump()):
                    group.create_task(task, name=f"session {self._name}")
        except BaseExceptionGroup as errors:
            ends = [error for error in errors.exceptions if isinstance(error, (Refused, Unavailable))]
            if len(ends) < len(errors.exceptions):
                raise  # the unforeseen goes on up as it is
            return ends[0]
        raise AssertionError("the pump ends with an error only")

    async def _pump(self) -> None:
        receive, frame_in, tap = self._connection.receive, self._frame, self._venue.tap
        count, since = 0, perf_counter()
        while True:
            frame = await receive()
            now = self._venue.clock.now()
            if tap is not None:
                tap.received(self._name, frame, now)
            began = perf_counter()
            frame_in(frame, now)
            ended = perf_counter()
            count += 1
            if ended - began > _SLOW or (count % _LOOK == 0 and (count >= _BURST or ended - since > _TURN)):
                await asyncio.sleep(0)
                count, since = 0, perf_counter()

    def _frame(self, frame: bytes | str, now: int) -> None:
        venue, out = self._venue, self._out
        counters = venue.counters
        counters.frames += 1
        self._last_frame = self._loop.time()
        try:
            self._exchange.receive(frame, now, out)
        except BadTrade as error:
            counters.bad_frames += 1
            counters.received += error.count
            counters.rejected[Reason.MALFORMED] += error.count
        except BadData:
            counters.bad_frames += 1
        for output in out:
            if isinstance(output, Trade):
                venue.feeds[output.market].trade(output)
                if venue.skew.observe(output.at - now):
                    self._adjust()
            elif isinstance(output, Quote):
                venue.feeds[output.market].quote(output)
            else:
                self._control(output, now)
        out.clear()

    def _adjust(self) -> None:
        measured = self._venue.skew.measured or 0
        self._venue.limits.skew = max(0, min(measured, self._venue.max_skew))

    def _control(self, output: Control, now: int) -> None:
        if isinstance(output, Ignored):
            self._venue.counters.ignored += 1
        elif isinstance(output, Heartbeat):
            self._heartbeat(output, now)
        elif isinstance(output, Subscribed):
            self._confirmed(Subscription(output.native, output.channel))
        elif isinstance(output, SubscriptionFailed):
            self._refused(Subscription(output.native, output.channel), output.reason)
        elif isinstance(output, Notice):
            self._say(output.text)
        elif isinstance(output, Closing):
            self._say(f"closing: {output.reason}")

    def _heartbeat(self, heartbeat: Heartbeat, now: int) -> None:
        if heartbeat.market is None:
            return
        feed = self._venue.feeds[heartbeat.market]
        feed.last_received = now
        if heartbeat.last_key is not None:
            feed.announced(heartbeat.last_key)

    def _say(self, text: str) -> None:
        if text != self._venue.notice:
            self._venue.notice = text
            log.info("venue.notice", venue=self._venue.id, text=text)

    def _confirmed(self, subscription: Subscription) -> None:
        self.pending.discard(subscription)
        self._venue.refused.pop(subscription, None)
        self._changed.set()

    def _refused(self, subscription: Subscription, reason: str) -> None:
        if not subscription.native:
            self._spoilt = True
            self._say(reason)
        elif subscription in self.pending:
            self.pending.discard(subscription)
            self._venue.refused[subscription] = (reason, self._loop.time())
            log.warning("feed.refused", venue=self._venue.id, native=subscription.native, reason=reason)
            self._spoilt = True
        self._changed.set()

    async def _subscribe(self) -> None:
        """Ask, wait for the confirmations, ask again for what is missing; a message a market from then on."""
        settings = self._venue.settings
        oldest = self._loop.time() - settings.refused_retry
        again = {subscription for subscription, (_, when) in self._venue.refused.items() if when < oldest}
        self.pending = {s for s in self._exchange.expected() if s not in self._venue.refused or s in again}
        wanted = [s for s in self._exchange.expected() if s in self.pending]
        await self._ask([s for s in wanted if s not in again], alone=False)
        await self._ask([s for s in wanted if s in again], alone=True)
        attempt = 0
        while True:
            wait = doubled(settings.subscribe_timeout, settings.subscribe_retry_cap, attempt)
            settled = await self._settled(wait)
            self._ready.set()
            if settled:
                return
            missing = [s for s in self._exchange.expected() if s in self.pending]
            log.info("feed.unconfirmed", venue=self._venue.id, missing=[s.native for s in missing][:20])
            await self._ask(missing, alone=True)
            attempt += 1

    async def _ask(self, wanted: list[Subscription], *, alone: bool) -> None:
        tap, interval = self._venue.tap, self._venue.settings.send_interval
        for send in self._exchange.subscribe(wanted, alone=alone) if wanted else ():
            if tap is not None:
                tap.sent(self._name, self._exchange.url(), send.frame, self._venue.clock.now())
            await self._connection.send(send.frame)
            await self._venue.pause(self._exchange.send_interval if interval is None else interval)

    async def _settled(self, wait: float) -> bool:
        """True when nothing is pending; False after `wait`, or at once where one refusal spoilt a request."""
        try:
            async with asyncio.timeout(wait):
                while self.pending and not self._spoilt:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        self._spoilt = False
        return not self.pending

    async def _watch(self) -> None:
        """Probe a silent connection, then give it up."""
        limit = self._venue.settings.idle_timeout
        probe = self._exchange.keepalive.probe
        while True:
            await asyncio.sleep(limit / 4)
            idle = self._loop.time() - self._last_frame
            if idle >= limit:
                raise Unavailable(f"no frame for {limit:g} s")
            if probe is not None and idle >= limit / 3:
                await self._connection.send(probe)
