"""One connected client: its session's steps carried out on its outlet."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Protocol

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.watch import SYSTEM
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Selection
from pricewatch.gateway.feed.consuming import Consuming
from pricewatch.gateway.feed.framing import Message, framed
from pricewatch.gateway.feed.outlet import Outlet
from pricewatch.gateway.feed.seats import Desk
from pricewatch.gateway.feed.session import Session
from pricewatch.gateway.feed.steps import Act, Hang, More, Open, Prices, Say, Seat, Status, Step
from pricewatch.gateway.feed.subscription import Opening, Plan, Signals
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.consumers import Consumers
from pricewatch.ports.journal import FeedLog


class Switchboard(Protocol):
    """Where links stand together: who wants which prices, and what the status is."""

    def prices(self, link: Link, selection: Selection) -> None:
        """The link's ticker selection is now this one."""
        ...

    def status_frame(self) -> bytes:
        """The parts' status as a frame."""
        ...

    def nudge(self, account: uuid.UUID) -> None:
        """Something may be handed to any named consumer of the account."""
        ...


class Link:
    """Joins a session (what to do) and an outlet (how it goes out); reads the log where the session asks."""

    def __init__(
        self,
        session: Session,
        outlet: Outlet,
        identity: Identity,
        *,
        board: Switchboard,
        log: FeedLog,
        consumers: Consumers,
        desks: Mapping[str, Desk],
        clock: Clock,
        settings: GatewaySettings,
        group: asyncio.TaskGroup,
    ) -> None:
        self.session = session
        self.outlet = outlet
        self.identity = identity
        self.pending: set[int] = set()
        """Markets whose newest price did not go out because the client lagged."""
        self.is_welcome = False
        """The welcome went out: heartbeats may follow."""
        self._board = board
        self._log = log
        self._settings = settings
        self._group = group
        self._desks = desks
        self.consuming = Consuming(session, self, consumers, clock=clock, settings=settings, group=group)

    def perform(self, steps: list[Step]) -> None:
        """Carry out what the session decided; frames that follow each other go out in one write."""
        saying: list[bytes] = []
        for step in steps:
            if isinstance(step, Say):
                saying.append(framed(step.frame))
                continue
            self._say(saying)
            saying = []
            self._act(step)
        self._say(saying)

    def deliver(self, signals: Signals, plan: Plan, message: Message, newest: int) -> bool:
        """Live signals. True when the message went out or is queued (its `landed` will be called)."""
        if plan.is_hole or (self.outlet.is_exceeded_by(message) and self.outlet.is_idle()):
            # More than the bound at once is no fault of a client that keeps up: it reads the log, as after a hole.
            signals.fall_behind(newest)
            self.perform(self.session.after_reading(signals))
            return False
        if plan.frames and not self.outlet.send(message):
            return False
        signals.follow(plan)
        return bool(plan.frames)

    async def cleared(self) -> bool:
        """Wait until the client has taken what it was sent; False when it is gone."""
        await self.outlet.cleared()
        return not self.outlet.ended.is_set()

    def nudge(self) -> None:
        """Something may be handed to any named consumer of the account."""
        self._board.nudge(self.session.account)

    def _say(self, frames: list[bytes]) -> None:
        if frames:
            self.outlet.send(Message(b"".join(frames), len(frames)))

    def _act(self, step: Act) -> None:
        match step:
            case Open() | More():
                self._group.create_task(self._read(step), name="feed.read")
            case Prices(selection):
                self._board.prices(self, selection)
            case Seat(channel, selection, news):
                self._desks[channel].select(self, selection)
                if news:
                    self._group.create_task(self._take_seat(self._desks[channel], news), name="feed.seat")
            case Status(on):
                if on:
                    self._say([framed(self._board.status_frame())])
            case Hang(code):
                self.outlet.end(code)
            case _:
                self.consuming.act(step)

    async def _read(self, step: Open | More) -> None:
        """Answer the session from the log, however long it is away. A backlog waits for the client, page by page."""
        while not self.outlet.ended.is_set():
            try:
                found = await (self._opening(step) if isinstance(step, Open) else self._page(step))
            except Unavailable:
                await asyncio.sleep(self._settings.retry_pause)
                continue
            await self.outlet.cleared()
            if isinstance(found, Opening):
                self.perform(self.session.opened(step.generation, found))
            else:
                self.perform(self.session.page(step.generation, found))
            return

    async def _take_seat(self, desk: Desk, news: Selection) -> None:
        while not self.outlet.ended.is_set():
            try:
                frame = await desk.snapshot(news)
            except Unavailable:
                await asyncio.sleep(self._settings.retry_pause)
                continue
            await self.outlet.cleared()
            self._say([framed(frame)])
            return

    def _feed(self, step: Open | More) -> uuid.UUID:
        return SYSTEM if step.channel == "system" else self.session.account

    async def _opening(self, step: Open) -> Opening:
        feed = self._feed(step)
        head = await self._log.head(feed)
        oldest = await self._log.read(feed, after_seq=0, limit=1)
        recent = await self._log.latest(feed, limit=self._settings.snapshot_signals)
        first = oldest[0].seq if oldest else None
        if step.span is None:
            return Opening(head, first, recent)
        begin = await self._log.place_before(feed, step.span.since)
        end = None if step.span.until is None else await self._log.place_before(feed, step.span.until)
        return Opening(head, first, recent, begin, end)

    async def _page(self, step: More) -> list[FeedEntry]:
        return await self._log.read(self._feed(step), after_seq=step.cursor, limit=self._settings.page_size)
