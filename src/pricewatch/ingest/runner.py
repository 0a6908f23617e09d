"""One chunk of a venue's markets, kept connected for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any

import structlog

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Market
from pricewatch.exchanges.base import Exchange
from pricewatch.ingest.backoff import Backoff
from pricewatch.ingest.compare import MARGIN, Compare, Heard
from pricewatch.ingest.feed import MarketFeed
from pricewatch.ingest.session import Session, Venue
from pricewatch.ingest.stayaway import Distance
from pricewatch.ingest.transport.refusal import shown
from pricewatch.ingest.venue_rest import VenueRest
from pricewatch.ports.connection import Connector

log = structlog.get_logger(__name__)

_AGE = 0.9
"""Share of the venue's longest life after which a connection is replaced at the latest."""
_SPREAD = 0.1
"""Share of that time by which connections differ, so that they do not all go at once."""


class _Life:
    """One connection, from its attempt to its end."""

    def __init__(self) -> None:
        self.decided = asyncio.Event()
        """Its subscriptions stand, or it is over."""
        self.turn = asyncio.Event()
        """It is over, or must be replaced."""
        self.opened: float | None = None
        """Loop time."""
        self.error: Refused | Unavailable | None = None
        """Why it is over."""
        self.closing = False
        self.task: asyncio.Task[None] | None = None

    def ended(self, error: Refused | Unavailable) -> None:
        self.error = error
        self.decided.set()
        self.turn.set()


class Runner:
    """Reconnects with backoff, and replaces a connection before the venue would close it: the new one comes first."""

    def __init__(
        self,
        venue: Venue,
        markets: Sequence[Market],
        *,
        build: Callable[[Sequence[Market]], Exchange],
        connector: Connector,
        compare: Compare,
        rest: VenueRest,
        distance: Distance,
        rotating: asyncio.Lock,
        lifetime: float | None,
        luck: Callable[[], float],
        name: str,
    ) -> None:
        """`rotating` is the venue's: one connection at a time is replaced for its age.

        `lifetime`: seconds after which the venue closes any connection.
        """
        self.name = name
        self.markets = tuple(markets)
        self.url = ""
        """Of the newest connection, as people may see it."""
        self.since: int | None = None
        """When the newest connection opened; None before the first."""
        self.sessions: list[Session] = []
        """Open ones: two while one replaces the other."""
        self.trouble: str | None = "not connected yet"
        self._venue = venue
        self._build = build
        self._connector = connector
        self._compare = compare
        self._rest = rest
        self._distance = distance
        self._rotating = rotating
        age = venue.settings.rotate_after
        self._age = age if lifetime is None else min(age, _AGE * lifetime)
        self._luck = luck
        self._numbers = count(1)
        self._backoff = Backoff(venue.settings, luck)
        self._has_turn = False

    # -- markets ------------------------------------------------------------------------------------------------------

    def add(self, markets: Sequence[Market]) -> None:
        """Listen to these too, on the connection that stands."""
        self.markets = (*self.markets, *markets)
        for market in markets:
            self._venue.feeds[market.id].blind()
        for session in self.sessions:
            session.match(self.markets)

    def remove(self, natives: Collection[str]) -> None:
        """Listen to these no more."""
        self.markets = tuple(market for market in self.markets if market.native not in natives)
        for session in self.sessions:
            session.match(self.markets)

    def renew(self, native: str) -> None:
        """Subscribe anew to a market of which nothing comes."""
        for session in self.sessions:
            session.asking.renew([native])

    # -- connections --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        for feed in self.feeds(()):
            feed.blind()
        try:
            async with asyncio.TaskGroup() as group:
                life = await self._stand(group)
                while True:
                    await self._must_be_replaced(life)
                    wait = self._failed(life, life.error) if life.error is not None else self._rotates(life)
                    await self._venue.pause(wait)
                    fresh = await self._stand(group)
                    group.create_task(self._retire(life), name=f"retire {self.name}")
                    life = fresh
        finally:
            self._end_turn()

    async def _must_be_replaced(self, life: _Life) -> None:
        """Return when the connection is over, about to be closed, or old and it is its turn among the venue's."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._age * (1.0 - _SPREAD * self._luck())
        while not life.turn.is_set():
            try:
                async with asyncio.timeout_at(due):
                    await life.turn.wait()
            except TimeoutError:
                if not self._rotating.locked():
                    await self._rotating.acquire()
                    self._has_turn = True
                    return
                due = loop.time() + self._venue.settings.rotate_overlap

    def _rotates(self, life: _Life) -> float:
        """Seconds to wait before a standing connection's successor is opened: a venue may say goodbye at once."""
        log.info("feed.rotating", feed=self.name, announced=life.closing)
        now = asyncio.get_running_loop().time()
        lived = now - (life.opened or now)
        return self._backoff.after(lived, now) if life.closing and lived < self._venue.settings.forgive_after else 0.0

    async def _retire(self, old: _Life) -> None:
        """Let the old connection hand over what it still has, then end it."""
        await self._venue.pause(self._venue.settings.rotate_overlap)
        if old.task is not None:
            old.task.cancel()
        self._end_turn()

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._rotating.release()

    async def _stand(self, group: asyncio.TaskGroup) -> _Life:
        """A connection whose subscriptions stand, however many attempts that takes."""
        loop = asyncio.get_running_loop()
        while True:
            await self._venue.pause(self._backoff.ration(loop.time()))
            await self._distance.opening.turn()
            self._backoff.began(loop.time())
            life = _Life()
            life.task = group.create_task(self._live(life), name=f"feed {self.name}")
            await life.decided.wait()
            if life.error is None:
                return life
            await self._venue.pause(self._failed(life, life.error))

    def _failed(self, life: _Life, error: Refused | Unavailable) -> float:
        """Note the end of a connection; seconds to wait before the next."""
        now = asyncio.get_running_loop().time()
        lived = now - life.opened if life.opened is not None else 0.0
        wait = self._backoff.after(lived, now, error.retry_after if isinstance(error, Refused) else None)
        if self._backoff.failures <= 1:
            log.warning("feed.lost", feed=self.name, reason=str(error), wait=round(wait, 3))
        self.trouble = str(error)
        self._venue.counters.reconnects += 1
        return wait

    async def _live(self, life: _Life) -> None:
        try:
            life.ended(await self._connected(life))
        except Refused as error:
            await self._distance.refused_handshake(error)
            life.ended(error)
        except Unavailable as error:
            life.ended(error)

    async def _connected(self, life: _Life) -> Refused | Unavailable:
        """One connection from opening to its end; why it ended."""
        exchange = self._build(self.markets)
        await self._prepare(exchange)
        name = f"{self.name}.{next(self._numbers)}"
        async with self._connector.connect(exchange.url()) as connection:
            life.opened = asyncio.get_running_loop().time()
            self._opened(name, exchange.url())
            keeper = _Keeper(self, life, self._venue, self._compare)
            session = Session(self._venue, exchange, connection, name, keeper)
            session.match(self.markets)  # they may have changed since the adapter was made
            self.sessions.append(session)
            try:
                return await session.run(self._standing(session, life), self._compare.run(keeper.queue))
            finally:
                self.sessions.remove(session)
                self._unheard(session)

    async def _prepare(self, exchange: Exchange) -> None:
        """What the venue wants to be asked before each connection."""
        request = exchange.prepare()
        if request is None:
            return
        body = await self._rest.ask(request.url, request.body)
        try:
            exchange.prepared(body)
        except BadData as error:
            raise Unavailable(f"{shown(request.url)}: {error}") from error

    def _opened(self, name: str, url: str) -> None:
        venue = self._venue
        venue.counters.connects += 1
        self.since = venue.clock.now()
        self.url = shown(url)
        if venue.tap is not None:
            venue.tap.opened(name, url, self.since)
        if self.trouble is not None:
            self.trouble = None
            log.info("feed.connected", feed=self.name, markets=len(self.markets))

    @staticmethod
    async def _standing(session: Session, life: _Life) -> None:
        await session.asking.stands.wait()
        life.decided.set()

    # -- what the venue says of markets -------------------------------------------------------------------------------

    def feeds(self, natives: Collection[str]) -> list[MarketFeed]:
        """Those of our markets; all of them where none is named."""
        return [self._venue.feeds[market.id] for market in self.markets if not natives or market.native in natives]

    def _unheard(self, session: Session) -> None:
        """The connection is gone; markets that no other connection brings are blind."""
        since = session.last_received + self._venue.skew_now - MARGIN
        others = set[str]().union(*(other.asking.heard for other in self.sessions))
        for feed in self.feeds(()):
            native = feed.market.native
            if native not in others and not feed.is_blind:
                feed.blind(since if native in session.asking.heard else None)

    def status(self) -> dict[str, Any]:
        """The connection for `/status`."""
        pending = sorted({item.native for session in self.sessions for item in session.pending})
        return {
            "name": self.name,
            "url": self.url,
            "markets": len(self.markets),
            "connected": bool(self.sessions),
            "since": self.since if self.sessions else None,
            "trouble": self.trouble,
            "unconfirmed": pending,
        }


class _Keeper:
    """What one connection tells."""

    def __init__(self, runner: Runner, life: _Life, venue: Venue, compare: Compare) -> None:
        self.queue: asyncio.Queue[Heard] = asyncio.Queue()
        """Markets to be compared with the venue's history a while after they were heard."""
        self._runner = runner
        self._life = life
        self._venue = venue
        self._compare = compare

    def heard(self, native: str) -> None:
        for feed in self._runner.feeds([native]):
            self._compare.heard(feed, self.queue, self._venue.skew_now)

    def lost(self, natives: Collection[str], reason: str, since: int) -> None:
        for feed in self._runner.feeds(natives):
            self._compare.lost(feed, reason, since, self._venue.skew_now)

    def closing(self) -> None:
        self._life.closing = True
        self._life.turn.set()
