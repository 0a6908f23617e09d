"""A stream of signals that outlives connections: the loop of a bot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from pricewatch.client.ahead import Ahead
from pricewatch.client.connection import Connection, Gone
from pricewatch.client.cursors import Cursors
from pricewatch.client.follower import Again, Follower, Query
from pricewatch.client.frames import Frame, frame
from pricewatch.client.health import Health
from pricewatch.client.leases import Request
from pricewatch.client.options import Backoff, Options
from pricewatch.client.signal import Signal
from pricewatch.domain.errors import PricewatchError

_BEAT = 5.0
"""Seconds between heartbeats until the welcome says better."""
_LEAST = 0.1
"""Seconds between extensions at least: fewer than a session may ask for."""


class Signals:
    """Iterate over it: each signal comes once and in order, and counts as handled when the loop asks for the next.

    With `manual` only `ack` counts. As a named consumer it reads on while the loop's body works, and asks the server to
    wait for it: a signal is handed to nobody else as long as its body works (in `manual`, until it is handed out).
    Without one, frames are read while a signal is asked for, and `health` is as of then.
    """

    def __init__(
        self,
        url: str,
        key: str,
        query: Query,
        *,
        cursors: Cursors,
        name: str,
        manual: bool = False,
        options: Options,
        on_health: Callable[[Health], None] | None = None,
    ) -> None:
        self._url = url
        self._key = key
        self._follower = Follower(query, remembered=options.remembered)
        self._cursors = cursors
        self._name = name
        self._manual = manual
        self._options = options
        self._on_health = on_health
        self._backoff = Backoff(options)
        self._connection: Connection | None = None
        self._silence = options.open_timeout
        self._wait: float | None = None
        self._current: Signal | None = None
        self._since = self._until = 0.0
        """When it was handed out, and until when the program has asked for it to be its own."""
        self._ahead = Ahead(self._step, self._keep, self._pace) if query.consumer is not None else None
        self._health = Health(connected=False, caught_up=False, age=None, reason="not connected yet")
        self._heard: float | None = None
        self._is_loaded = self._is_closed = False

    # -- the loop -----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        """The next signal, however long it takes.

        Raises `Unauthorized`, `NotPricewatch`, `Rejected`, `Refused` or `PositionLost`, and ends after `aclose`.
        """
        if self._is_closed:
            raise StopAsyncIteration
        current, self._current = self._current, None
        if current is not None and not self._manual:
            await self.ack(current)
        signal = self._current = await self._next()
        self._since, self._until = asyncio.get_running_loop().time(), 0.0
        return signal

    async def ack(self, signal: Signal) -> None:
        """It is handled: never again. Without a consumer that goes for everything before it as well.

        Returns when the position is saved; a consumer's acknowledgement is on its way and repeated until confirmed.
        """
        before = self._follower.handled
        await self._send(self._follower.done(signal))
        await self._save(before)

    async def nack(self, signal: Signal, delay: float = 0.0) -> None:
        """It could not be handled: its consumer gets it again after `delay` seconds, here or elsewhere."""
        if self._current is not None and self._current.id == signal.id:
            self._current = None
        await self._send(self._follower.give_back(signal, delay))

    async def extend(self, signal: Signal, seconds: float | None = None) -> None:
        """Handling takes longer: redeliver it no earlier than in `seconds` (`ack_wait` by default)."""
        if seconds is not None and self._current is not None and self._current.id == signal.id:
            self._until = asyncio.get_running_loop().time() + seconds
        await self._send(self._follower.leases.extend(signal, seconds))

    async def aclose(self) -> None:
        """End: acknowledgements are confirmed, what is not handled is given back. Doing so twice is fine."""
        self._is_closed = True
        if self._ahead is not None:
            await self._ahead.close()
        connection = self._connection
        if connection is None:
            return
        try:
            await self._send(self._follower.leave())
            async with asyncio.timeout(self._options.close_timeout):
                while not self._follower.leases.is_confirmed() and self._connection is not None:
                    await self._take(connection)
        except (TimeoutError, Gone, Again, PricewatchError):
            pass  # what was not confirmed comes again to whoever goes on, with the same id
        finally:
            self._lose("closed")
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def health(self) -> Health:
        """Whether silence means that nothing happened."""
        health = self._health
        if self._heard is None:
            return health
        age = asyncio.get_running_loop().time() - self._heard
        return Health(
            connected=health.connected,
            caught_up=health.caught_up and self._follower.is_live,
            age=age,
            feeds=health.feeds,
            reason=health.reason,
        )

    @property
    def lost_leases(self) -> int:
        """Signals that were acknowledged after they had been handed to somebody else."""
        return self._follower.leases.lost

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _next(self) -> Signal:
        while True:
            signal = await (self._step() if self._ahead is None else self._ahead.next())
            if signal is not None and (self._ahead is None or self._follower.leases.holds(signal.id)):
                return signal  # else it has become somebody else's while it waited here

    def _pace(self) -> float:
        """Thrice within the time the server waits."""
        return max(_LEAST, self._follower.ack_wait / 3) if self._follower.ack_wait else 1.0

    async def _keep(self) -> None:
        """What waits here, and what the loop's body works on, goes on being ours; but not for ever."""
        ahead, current, now = self._ahead, self._current, asyncio.get_running_loop().time()
        if ahead is None:
            return
        if current is not None and now - self._since > self._options.longest_work:
            for signal in ahead.drop():
                self._follower.let_go(signal)
            return
        held = [signal.id for signal in ahead.ready]
        if current is not None and not self._manual and self._until - now < self._follower.ack_wait:
            held.append(current.id)
        await self._send(self._follower.leases.keep(held))

    async def _step(self) -> Signal | None:
        """Read one frame, or get a connection to read from."""
        connection = self._connection
        if connection is None:
            await self._connect()
            return None
        try:
            return await self._take(connection)
        except Gone as gone:
            await self._pause(connection, gone.reason, gone.retry_after)
        except Again as again:
            await self._pause(connection, again.reason, 0.0 if again.at_once else None, at_once=again.at_once)
        return None

    async def _connect(self) -> None:
        if not self._is_loaded:
            self._follower.resume(await self._cursors.load(self._name))
            self._is_loaded = True
        try:
            self._connection = await Connection.open(self._url, self._key, self._options)
        except Gone as gone:
            await self._pause(None, gone.reason, gone.retry_after)
            return
        self._silence = self._options.open_timeout
        await self._send(self._follower.begin())

    async def _take(self, connection: Connection) -> Signal | None:
        message = frame(await connection.receive(self._silence))
        self._heard = asyncio.get_running_loop().time()
        self._look(message)
        before = self._follower.handled
        signal, answers = self._follower.take(message)
        await self._send(answers)
        await self._save(before)
        return signal

    def _look(self, message: Frame) -> None:
        if message.type == "welcome":
            self._silence = self._options.silence * float(message.limits.get("heartbeat_seconds", _BEAT))
            self._tell(Health(connected=True, caught_up=False, age=0.0))
        elif message.type == "heartbeat":
            self._tell(Health(connected=True, caught_up=self._follower.is_live, age=0.0, feeds=message.feeds))
        elif message.type == "going_away":
            self._wait = message.reconnect_after

    async def _send(self, requests: Sequence[Request]) -> None:
        """What does not get out is said again on the next connection."""
        for method, params, number in requests:
            if self._connection is None:
                return
            try:
                await self._connection.send(method, params, number)
            except Gone:
                return  # reading says so as well, and tells why

    async def _save(self, before: object) -> None:
        position = self._follower.position()
        if self._follower.query.consumer is None and position is not None and self._follower.handled != before:
            await self._cursors.save(self._name, position)

    async def _pause(
        self, connection: Connection | None, reason: str, least: float | None, *, at_once: bool = False
    ) -> None:
        """Give the connection up and wait before the next one."""
        self._lose(reason)
        if connection is not None:
            await connection.close()
        wait = 0.0 if at_once else self._backoff.after(connection.lived() if connection else 0.0)
        if self._wait is not None:
            wait, self._wait = self._wait, None
        await asyncio.sleep(max(wait, least or 0.0))

    def _lose(self, reason: str) -> None:
        self._connection = None
        self._follower.is_live = False
        self._tell(Health(connected=False, caught_up=False, age=None, feeds=self._health.feeds, reason=reason))

    def _tell(self, health: Health) -> None:
        before, self._health = self._health, health
        news = (before.connected, before.blind, before.blind_markets) != (
            health.connected,
            health.blind,
            health.blind_markets,
        )
        if news and self._on_health is not None:
            self._on_health(health)
