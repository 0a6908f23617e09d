"""Named consumers of one connection: joined, handed what there is room for, acknowledged in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

from pricewatch.domain.errors import Invalid, NotFound, Unavailable
from pricewatch.domain.time import SECOND
from pricewatch.gateway.feed.codes import ErrorCode
from pricewatch.gateway.feed.membership import Join, Leave, Member, Settle
from pricewatch.gateway.feed.session import Session
from pricewatch.gateway.feed.steps import Step
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.consumers import Consumers, Joined, Settlement

T = TypeVar("T")


class Way(Protocol):
    """How a connection speaks."""

    def perform(self, steps: list[Step]) -> None:
        """Carry out what the session decided."""
        ...

    async def cleared(self) -> bool:
        """Wait until the client has taken what it was sent; False when it is gone."""
        ...

    def nudge(self) -> None:
        """Something may be handed to any connection of the account."""
        ...


class _Work:
    """One membership's tasks: what woke them, and what is to be settled."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.wake = asyncio.Event()
        self.settling: deque[Settle] = deque()
        self.settle = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self.gone = asyncio.Event()
        self.is_over = False

    def end(self) -> None:
        self.is_over = True
        self.wake.set()
        self.settle.set()


class Consuming:
    """Carries out `Join`, `Settle` and `Leave` for one session, however long the database is away."""

    def __init__(
        self,
        session: Session,
        way: Way,
        consumers: Consumers,
        *,
        clock: Clock,
        settings: GatewaySettings,
        group: asyncio.TaskGroup,
    ) -> None:
        self._session = session
        self._way = way
        self._consumers = consumers
        self._clock = clock
        self._settings = settings
        self._group = group
        self._works: dict[str, _Work] = {}
        self._leaving: set[_Work] = set()

    def act(self, step: Join | Settle | Leave) -> None:
        """Do, or begin, what the session decided."""
        match step:
            case Join():
                self._join(step)
            case Settle():
                self._queue(step)
            case Leave():
                self._leave(step)

    def _join(self, step: Join) -> None:
        member = self._session.sharing.members.get(step.wish.name)
        if member is not None:
            work = self._works[step.wish.name] = _Work(member)
            self._group.create_task(self._run(step, work), name="feed.consume")

    def _queue(self, step: Settle) -> None:
        work = self._works.get(step.name)
        if work is not None:
            work.settling.append(step)
            work.idle.clear()
            work.settle.set()

    def _leave(self, step: Leave) -> None:
        work = self._works.pop(step.name, None)
        if work is not None:
            self._leaving.add(work)
            work.end()

    def wake(self, channel: str | None = None) -> None:
        """There may be something to hand out on a channel, or on any."""
        for work in self._works.values():
            if channel is None or work.member.wish.channel == channel:
                work.wake.set()

    async def drained(self, within: float) -> None:
        """Wait until what was asked is settled, but not for ever."""
        try:
            async with asyncio.timeout(within):
                for work in list(self._works.values()):
                    await work.idle.wait()
                for work in list(self._leaving):
                    await work.gone.wait()
        except TimeoutError:
            return

    async def _run(self, step: Join, work: _Work) -> None:
        await self._take_part(step, work)
        self._leaving.discard(work)
        work.gone.set()

    async def _take_part(self, step: Join, work: _Work) -> None:
        name = step.wish.name
        try:
            joined = await self._patiently(lambda: self._consumers.join(step.wish))
        except Invalid as error:
            self._over(name, work, ErrorCode.INVALID, str(error), step)
            return
        if not work.is_over:
            self._way.perform(self._session.sharing.joined(name, joined))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._settle(joined, work), name="feed.settle")
            try:
                await self._hand_out(joined, work)
            except NotFound as error:
                self._over(name, work, ErrorCode.CONSUMER_ENDED, str(error), step)
        await self._patiently(lambda: self._consumers.leave(joined))
        self._way.nudge()

    def _over(self, name: str, work: _Work, code: ErrorCode, reason: str, step: Join) -> None:
        work.end()
        work.idle.set()
        if self._works.get(name) is work:
            del self._works[name]
            self._way.perform(self._session.sharing.ended(name, code, reason, step.req_id))

    async def _hand_out(self, joined: Joined, work: _Work) -> None:
        member = work.member
        while not work.is_over:
            work.wake.clear()
            room = member.room(self._clock.now())
            if room <= 0:
                await self._sleep(work, min(member.held.values()))
                continue
            lot = await self._patiently(partial(self._consumers.take, joined, limit=room))
            if not await self._way.cleared() or work.is_over:
                return
            self._way.perform(self._session.sharing.delivered(member, joined, lot))
            if not lot.more:
                await self._sleep(work, lot.due)

    async def _sleep(self, work: _Work, due: int | None) -> None:
        """Until something happens, the next redelivery is due, or it is time to look."""
        wait = self._settings.consumer_poll
        if due is not None:
            wait = min(wait, max(0.0, (due - self._clock.now()) / SECOND))
        try:
            async with asyncio.timeout(wait):
                await work.wake.wait()
        except TimeoutError:
            return

    async def _settle(self, joined: Joined, work: _Work) -> None:
        while not work.is_over or work.settling:
            if not work.settling:
                work.idle.set()
                work.settle.clear()
                await work.settle.wait()
                continue
            steps = [work.settling.popleft()]
            while work.settling and _go_together(steps[0], work.settling[0]):
                steps.append(work.settling.popleft())
            try:
                await self._settle_all(joined, work, steps)
            except NotFound:
                for step in steps:
                    self._way.perform(self._answer(step, joined, Settlement(0, list(step.seqs))))
        work.idle.set()

    async def _settle_all(self, joined: Joined, work: _Work, steps: list[Settle]) -> None:
        first, now = steps[0], self._clock.now()
        seqs = [seq for step in steps for seq in step.seqs]
        if first.method == "ack":
            result = await self._patiently(
                lambda: self._consumers.ack(joined, seqs, lease=first.lease, upto=first.upto)
            )
        else:
            release = first.method == "nack"
            wait = first.delay if first.delay is not None else 0 if release else joined.consumer.ack_wait
            result = await self._patiently(
                lambda: self._consumers.delay(
                    joined, seqs, lease=first.lease, until=now + wait, release=release, upto=first.upto
                )
            )
            if release:
                self._way.nudge()
            elif first.lease == joined.lease:
                work.member.extended(first, now + wait)
        lost = frozenset(result.lost)
        for step in steps:
            mine = [seq for seq in step.seqs if seq in lost]
            count = result.done if step.upto is not None else len(step.seqs) - len(mine)
            self._way.perform(self._answer(step, joined, Settlement(count, mine)))
        work.wake.set()

    def _answer(self, step: Settle, joined: Joined, result: Settlement) -> list[Step]:
        return self._session.sharing.settled(step, joined.consumer.channel, result)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Each of them may be done twice."""
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(self._settings.retry_pause)


def _go_together(first: Settle, other: Settle) -> bool:
    """Acknowledgements in a row are one transaction."""
    return (
        first.method == other.method == "ack"
        and first.lease == other.lease
        and first.upto is None
        and other.upto is None
    )
