"""The clients of all venues: their handshakes, requests, heartbeats, accidents and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.simulator.faults import Accident, Faults, Trouble
from pricewatch.simulator.link import Crowd, Link
from pricewatch.simulator.payloads import garbage
from pricewatch.simulator.session import Answer, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings

log = structlog.get_logger(__name__)

_BEAT = 0.1


class House(NamedTuple):
    """One venue with its protocol, its clients, and what goes wrong with them."""

    venue: Venue
    crowd: Crowd
    trouble: Trouble
    rest: Faults
    handshakes: Faults


def _parts(target: str) -> tuple[str, str, Mapping[str, str]]:
    """The venue, its own path and the query of an address."""
    parts = urlsplit(target)
    name, _, rest = parts.path.lstrip("/").partition("/")
    return name, f"/{rest}" if rest else "", dict(parse_qsl(parts.query))


class Clients:
    """Serves sockets as their venues would; `run` keeps time for them."""

    def __init__(self, houses: Mapping[str, House], settings: SimulatorSettings, clock: Clock) -> None:
        self._houses = houses
        self._settings = settings
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._connections = 0
        self.cut = 0
        """Clients dropped because they did not read."""

    async def handshake(self, socket: ServerConnection, request: Request) -> Response | None:
        """Let a client wait, turn it away, or None: let it in."""
        house = self._houses.get(_parts(request.path)[0])
        if house is None:
            return None
        faults = house.handshakes
        if faults.settings.handshake_delay:
            await asyncio.sleep(faults.settings.handshake_delay)
        if not faults.turns_away():
            return None
        response = socket.respond(HTTPStatus(faults.settings.limit_status), "Too many connections\n")
        response.headers["Retry-After"] = str(faults.settings.retry_after)
        return response

    async def serve(self, socket: ServerConnection) -> None:
        """The life of one client."""
        name, rest, query = _parts(socket.request.path if socket.request else "")
        house = self._houses.get(name)
        if house is None:
            await socket.close(1008, "no such venue")
            return
        self._connections += 1
        faults = Faults(house.trouble, salt=f"{name}/{self._connections}")
        if faults.refuses():
            await socket.close(1001)
            return
        link = Link(socket, house.venue, Session(opened=self._clock.now()), faults)
        answer = house.venue.open(link.session, rest, query, self._clock.now())
        house.crowd.join(link)
        try:
            await self._answer(house, link, answer, ())
            async for text in socket:
                before = list(link.session.topics)
                await self._answer(house, link, house.venue.receive(link.session, text, self._clock.now()), before)
        except ConnectionClosed:
            log.debug("simulator.left", venue=name)
        finally:
            house.crowd.leave(link)

    async def _answer(self, house: House, link: Link, answer: Answer, before: Sequence[str]) -> None:
        answer = link.faults.answer(house.venue, link.session, answer, before)
        link.say(answer.frames)
        house.crowd.follow(link)
        link.flush(self._clock.now())
        if answer.close is not None:
            await link.socket.close(*answer.close)

    async def run(self) -> None:
        """Heartbeats, pings, deadlines and accidents of every client, until cancelled."""
        pause = min(_BEAT, self._settings.heartbeat / 4, self._settings.subscribe_deadline / 4, self._settings.ping / 4)
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while True:
                    await asyncio.sleep(pause)
                    now = self._clock.now()
                    for house in self._houses.values():
                        for link in list(house.crowd.links):
                            self._beat(house, link, now, pause)
            finally:
                self._group = None

    def _beat(self, house: House, link: Link, now: int, passed: float) -> None:
        answer = house.venue.beat(link.session, now)
        link.say(answer.frames)
        link.flush(now)
        if answer.ping is not None:
            self._spawn(self._ping(link, answer.ping))
        if answer.close is not None:
            self.part(link, *answer.close)
        accident = link.faults.accident(passed) if now >= link.stalled_until else None
        if accident is not None:
            self.befall(link, accident)
        if link.ends_at is not None and now >= link.ends_at:
            link.ends_at = None
            self.part(link, 1001, "")
        if link.unread > self._settings.slow_bytes:
            self.cut += 1
            log.warning("simulator.slow_client_cut", venue=house.venue.id, unread=link.unread)
            link.drop()

    def befall(self, link: Link, accident: Accident) -> bool:
        """Let it happen to a client; False where it cannot suffer it."""
        now, luck = self._clock.now(), link.faults.settings
        match accident:
            case "drop":
                link.drop()
            case "close":
                self.part(link, 1001, "")
            case "stall":
                link.stalled_until = now + int(luck.stall_span * SECOND)
            case "notice":
                return link.warn(now, int(luck.notice_lead * SECOND))
            case "garbage":
                link.put(garbage(link.faults.rng))
            case "bomb":
                return link.blow(luck.bomb_bytes)
        return True

    def part(self, link: Link, code: int, reason: str) -> None:
        """Close properly, without making the others wait for the client's own close frame."""
        self._spawn(link.socket.close(code, reason))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            return
        self._group.create_task(work, name="simulator.errand")

    async def _ping(self, link: Link, payload: bytes) -> None:
        try:
            pong = await link.socket.ping(payload)
            async with asyncio.timeout(self._settings.pong_deadline):
                await pong
        except TimeoutError:
            await link.socket.close(1008, "Pong timeout")
        except (ConnectionClosed, RuntimeError):  # RuntimeError: the same payload is still on its way
            log.debug("simulator.ping_lost")
