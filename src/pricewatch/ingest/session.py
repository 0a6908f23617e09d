"""One connection's life: greet, subscribe, verify, keep alive, and one synchronous chain per frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from time import perf_counter
from typing import Protocol

import msgspec
import structlog

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.engine.gate import Limits, Reason
from pricewatch.exchanges.base import (
    BadTrade,
    Closing,
    Control,
    Exchange,
    Heartbeat,
    Ignored,
    Lost,
    Notice,
    Output,
    Ready,
    Send,
    Subscribed,
    Subscription,
    SubscriptionFailed,
)
from pricewatch.exchanges.numbers import OVERLONG, SHORT_FRAME, refuse_overlong
from pricewatch.ingest.asking import Asking
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.relief import Relief
from pricewatch.ingest.sender import Sender
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ingest.skew import Skew
from pricewatch.ingest.tap import Tap
from pricewatch.ports.clock import Clock
from pricewatch.ports.connection import Connection

log = structlog.get_logger(__name__)

_BURST = 200
"""Frames after which others get their turn."""
_TURN = 0.003
"""Seconds after which they do, looked at every `_LOOK` frames: a commit waits for several turns at most."""
_LOOK = 10
_MEASURE = 10_000
"""Microseconds between two looks at a venue's clock that is as it was: what comes together says the same of it."""
_SLOW = 0.002
"""Seconds after which a single frame was enough: many rules judged at once, as after a start."""


class Venue(msgspec.Struct):
    """What all connections of one venue share."""

    id: str
    settings: VenueSettings
    feeds: dict[int, MarketFeed]
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
    relief: Relief | None = None
    """What to do when the stages behind have no room; None: they always have."""

    @property
    def skew_now(self) -> int:
        """The venue's clock minus ours, as far as it is believed, in microseconds."""
        return max(-self.max_skew, min(self.skew.measured or 0, self.max_skew))


class Keeper(Protocol):
    """Who keeps the connection, and is told what concerns more than it."""

    def heard(self, native: str) -> None:
        """The venue has confirmed all of a market's subscriptions."""
        ...

    def lost(self, natives: Collection[str], reason: str, since: int) -> None:
        """Trades of these markets (none named: of all) may be missing, printed after `since` (our clock, µs)."""
        ...

    def closing(self) -> None:
        """The venue is about to close this connection."""
        ...


class Session:
    """From an open connection to its end."""

    def __init__(self, venue: Venue, exchange: Exchange, connection: Connection, name: str, keeper: Keeper) -> None:
        self._venue = venue
        self._exchange = exchange
        self._connection = connection
        self._name = name
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._last_frame = self._loop.time()
        self._measured = 0
        """Our clock at the trade that last told of the venue's."""
        self._out: list[Output] = []
        self._ready = asyncio.Event()
        interval = venue.settings.send_interval
        self._sender = Sender(
            connection,
            interval=exchange.send_interval if interval is None else interval,
            pause=venue.pause,
            sent=self._sent,
        )
        self.asking = Asking(
            exchange,
            venue.settings,
            refused=venue.refused,
            request=self._sender.request,
            heard=keeper.heard,
        )
        self.last_received = venue.clock.now()
        """Our clock at the newest frame, or at the opening."""

    @property
    def pending(self) -> set[Subscription]:
        """Asked for, not yet confirmed."""
        return self.asking.pending

    async def run(self, *besides: Coroutine[None, None, None]) -> Refused | Unavailable:
        """Pump until the connection is gone, with `besides` running as long; why it ended."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = (self._greet(), self._subscribe(), self._sender.run(), self._keep_alive(), self._watch())
                for task in (*tasks, *besides, self._pump()):
                    group.create_task(task, name=f"session {self._name}")
        except BaseExceptionGroup as errors:
            ends = [error for error in errors.exceptions if isinstance(error, (Refused, Unavailable))]
            if len(ends) < len(errors.exceptions):
                raise  # the unforeseen goes on up as it is
            return ends[0]
        raise AssertionError("the pump ends with an error only")

    def match(self, markets: Sequence[Market]) -> None:
        """Subscribe to these markets and no others from now on."""
        wanted = {market.native: market for market in markets}
        gone = self._exchange.markets.keys() - wanted.keys()
        if gone:
            self.asking.remove(gone)
        new = [market for native, market in wanted.items() if native not in self._exchange.markets]
        if new:
            self.asking.add(new)

    # -- frames in ----------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        receive, frame_in, tap = self._connection.receive, self._frame, self._venue.tap
        present = self._venue.clock.now
        relief = self._venue.relief
        count, since = 0, perf_counter()
        while True:
            frame = await receive()
            now = present()
            if tap is not None:
                tap.received(self._name, frame, now)
            began = perf_counter()
            frame_in(frame, now)
            ended = perf_counter()
            count += 1
            if relief is not None and relief.is_due():
                await relief.wait()
                self._last_frame = self._loop.time()
            if ended - began > _SLOW or (count % _LOOK == 0 and (count >= _BURST or ended - since > _TURN)):
                await asyncio.sleep(0)
                count, since = 0, perf_counter()

    def _frame(self, frame: bytes | str, now: int) -> None:
        venue, out = self._venue, self._out
        counters = venue.counters
        counters.frames += 1
        self._last_frame = self._loop.time()
        try:
            if len(frame) > SHORT_FRAME:
                refuse_overlong(frame)
            self._exchange.receive(frame, now, out)
        except BadTrade as error:
            reason = Reason.NUMBER if error.reason == OVERLONG else Reason.MALFORMED
            counters.bad_frames += 1
            counters.received += error.count
            counters.rejected[reason] += error.count
            counters.samples.note(reason, frame, now)
        except BadData:
            counters.bad_frames += 1
            counters.samples.note("frame", frame, now)
        for output in out:
            if isinstance(output, Trade):
                venue.feeds[output.market].trade(output)
                if output.at - now > venue.skew.credible or not 0 <= now - self._measured < _MEASURE:
                    self._measure(output.at, now)
            elif isinstance(output, Quote):
                venue.feeds[output.market].quote(output)
            else:
                self._control(output, now)
        out.clear()
        self.last_received = now

    def _measure(self, at: int, now: int) -> None:
        venue = self._venue
        self._measured = now
        if not venue.skew.observe(at - now):
            return
        venue.limits.skew = max(0, venue.skew_now)
        if venue.skew.jumps > venue.counters.skew_jumps:
            venue.counters.skew_jumps = venue.skew.jumps
            log.warning("venue.clock_set", venue=venue.id, ahead_seconds=(venue.skew.measured or 0) / 1e6)

    def _control(self, output: Control, now: int) -> None:  # noqa: C901 - one branch a word
        match output:
            case Ignored():
                self._venue.counters.ignored += 1
            case Heartbeat():
                self._heartbeat(output, now)
            case Send():
                self._sender.answer(output.frame)
            case Subscribed():
                self.asking.confirmed(Subscription(output.native, output.channel))
            case SubscriptionFailed():
                if not output.native:
                    self._say(output.reason)
                self.asking.refused(Subscription(output.native, output.channel), output.reason)
            case Lost():
                self._venue.counters.losses += 1
                log.info("feed.losses", feed=self._name, reason=output.reason, natives=output.natives[:20])
                self._keeper.lost(output.natives, output.reason, self.last_received)
            case Ready():
                self._ready.set()
            case Notice():
                self._say(output.text)
            case Closing():
                self._say(f"closing: {output.reason}")
                self._keeper.closing()

    def _heartbeat(self, heartbeat: Heartbeat, now: int) -> None:
        feed = None if heartbeat.market is None else self._venue.feeds.get(heartbeat.market)
        if feed is None:
            return
        feed.last_received = now
        if heartbeat.last_key is not None:
            feed.announced(heartbeat.last_key)

    def _say(self, text: str) -> None:
        if text != self._venue.notice:
            self._venue.notice = text
            log.info("venue.notice", venue=self._venue.id, text=text)

    # -- frames out ---------------------------------------------------------------------------------------------------

    def _sent(self, frame: str) -> None:
        tap = self._venue.tap
        if tap is not None:
            tap.sent(self._name, self._exchange.url(), frame, self._venue.clock.now())

    async def _greet(self) -> None:
        """Wait for the venue's first word where it has one; from then on frames go out."""
        limit = self._venue.settings.greeting_timeout
        if self._exchange.greeting:
            try:
                async with asyncio.timeout(limit):
                    await self._ready.wait()
            except TimeoutError as error:
                raise Unavailable(f"the venue did not greet within {limit:g} s") from error
        if self._exchange.settle:
            await self._venue.pause(self._exchange.settle)
        self._sender.open()

    async def _subscribe(self) -> None:
        await self._sender.opened()
        await self.asking.run()

    async def _keep_alive(self) -> None:
        """For venues that close a connection, busy or not, on which nobody asks."""
        every = self._exchange.keepalive.every
        if every is None:
            return
        await self._sender.opened()
        while True:
            await asyncio.sleep(every)
            self._probe()

    async def _watch(self) -> None:
        """Probe a silent connection, then give it up."""
        limit = self._venue.settings.idle_timeout
        while True:
            await asyncio.sleep(limit / 4)
            if self._venue.relief is not None and self._venue.relief.paused:
                continue  # it is we who do not listen
            idle = self._loop.time() - self._last_frame
            if idle >= limit:
                raise Unavailable(f"no frame for {limit:g} s")
            if idle >= limit / 3:
                self._probe()

    def _probe(self) -> None:
        message = self._exchange.probe(self._venue.clock.now())
        if message is not None:
            self._sender.answer(message)
