"""The simulated venues on two ports: WebSockets by path, REST by prefix, over any tape."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.simulator.faults import Faults
from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.link import Crowd, Link
from pricewatch.simulator.programme import Event
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.rest import RestServer
from pricewatch.simulator.session import Answer, Live, Session, Venue
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import Item, SeededTape, Tape
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_BATCH = 500
_SHORTEST, _LONGEST = 0.001, 0.02
_BEAT = 0.1


class Addresses(NamedTuple):
    """Where the venues answer: append the venue's name, then its own path: `/kraken/v2`, `/binance/stream`."""

    ws: str
    rest: str


class House(NamedTuple):
    """One venue with its protocol and its clients."""

    venue: Venue
    crowd: Crowd


class SimulatorServer:
    """Serves tapes as their venues would; without tapes, the seeded market of the settings.

    `start`, then `run` until cancelled (or, with `exit_at_end`, until the last frame is read), then `stop`.
    """

    name = "simulator"

    def __init__(self, settings: SimulatorSettings, *, clock: Clock, tapes: Sequence[Tape] = ()) -> None:
        self._settings = settings
        self._clock = clock
        self._tapes: Sequence[Tape] = tapes or [SeededTape(settings, start=clock.now())]
        ledgers: dict[str, Ledger] = {}
        for tape in self._tapes:
            ledgers.update(tape.ledgers)
        self._ledgers: Mapping[str, Ledger] = ledgers
        self.houses = {venue: self._house(venue) for venue in dict.fromkeys(key.partition(":")[0] for key in ledgers)}
        self._rest = RestServer(self, Faults(settings.faults, salt="rest"))
        self._server: Server | None = None
        self._group: asyncio.TaskGroup | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._cut = 0
        self._frames = 0

    def _house(self, venue: str) -> House:
        mine = {key: ledger for key, ledger in self._ledgers.items() if ledger.listing.venue == venue}
        served = VENUES[venue](mine, self._settings)
        return House(served, Crowd(served))

    async def start(self) -> Addresses:
        """Listen; raises `Unavailable` where a port is taken."""
        host = self._settings.host
        try:
            self._server = await serve(
                self._serve,
                host,
                self._settings.ws_port,
                compression=None,
                ping_interval=None,
                close_timeout=1.0,
            )
            rest_port = await self._rest.start(host, self._settings.rest_port)
        except OSError as exc:
            await self.stop()
            raise Unavailable(f"the simulator cannot listen on {host}: {exc}") from exc
        port = next(iter(self._server.sockets)).getsockname()[1]
        for name, house in self.houses.items():
            house.venue.socket = f"ws://{host}:{port}/{name}"
        return Addresses(f"ws://{host}:{port}", f"http://{host}:{rest_port}")

    async def run(self) -> None:
        """Print, beat and cut off until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            beats = group.create_task(self._beats(), name="simulator.beats")
            try:
                async with asyncio.TaskGroup() as pumps:
                    for tape in self._tapes:
                        pumps.create_task(self._pump(tape), name=f"simulator.{tape.name}")
            finally:
                self._group = None
            for task in (beats, *self._errands):
                task.cancel()

    async def stop(self) -> None:
        """Close every socket with a close frame and both ports."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self._rest.stop()

    def now(self) -> int:
        """The wall clock."""
        return self._clock.now()

    # --- clients ---------------------------------------------------------------------------------------------------

    async def _serve(self, socket: ServerConnection) -> None:
        """The life of one client."""
        target = urlsplit(socket.request.path if socket.request else "")
        name, _, rest = target.path.lstrip("/").partition("/")
        house = self.houses.get(name)
        self._connections += 1
        faults = Faults(self._settings.faults, salt=f"{name}/{self._connections}")
        if house is None or faults.refuses():
            await socket.close(1008 if house is None else 1001, "" if house else "no such venue")
            return
        link = Link(socket, house.venue, Session(opened=self.now()), faults)
        answer = house.venue.open(link.session, f"/{rest}" if rest else "", dict(parse_qsl(target.query)), self.now())
        house.crowd.join(link)
        try:
            await self._answer(house, link, answer)
            async for text in socket:
                await self._answer(house, link, house.venue.receive(link.session, text, self.now()))
        except ConnectionClosed:
            log.debug("simulator.left", venue=name)
        finally:
            house.crowd.leave(link)

    async def _answer(self, house: House, link: Link, answer: Answer) -> None:
        link.say(answer.frames)
        house.crowd.follow(link)
        link.flush(self.now())
        if answer.close is not None:
            await link.socket.close(*answer.close)

    async def _beats(self) -> None:
        """Heartbeats, pings, deadlines and accidents of every client."""
        pause = min(_BEAT, self._settings.heartbeat / 4, self._settings.subscribe_deadline / 4, self._settings.ping / 4)
        while True:
            await asyncio.sleep(pause)
            now = self.now()
            for house in self.houses.values():
                for link in list(house.crowd.links):
                    self._beat(house, link, now, pause)

    def _beat(self, house: House, link: Link, now: int, passed: float) -> None:
        answer = house.venue.beat(link.session, now)
        link.say(answer.frames)
        link.flush(now)
        if answer.ping is not None:
            self._spawn(self._ping(link, answer.ping))
        if answer.close is not None:
            self._part(link, *answer.close)
        match link.faults.accident(passed) if now >= link.stalled_until else None:
            case "drop":
                link.drop()
            case "close":
                self._part(link, 1001, "")
            case "stall":
                link.stalled_until = now + int(self._settings.faults.stall_span * SECOND)
            case _:
                pass
        if link.unread > self._settings.slow_bytes:
            self._cut += 1
            log.warning("simulator.slow_client_cut", venue=house.venue.id, unread=link.unread)
            link.drop()

    def _part(self, link: Link, code: int, reason: str) -> None:
        """Close properly, without making the others wait for the client's own close frame."""
        self._spawn(link.socket.close(code, reason))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(work, name="simulator.errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _ping(self, link: Link, payload: bytes) -> None:
        try:
            pong = await link.socket.ping(payload)
            async with asyncio.timeout(self._settings.pong_deadline):
                await pong
        except TimeoutError:
            await link.socket.close(1008, "Pong timeout")
        except (ConnectionClosed, RuntimeError):  # RuntimeError: the same payload is still on its way
            log.debug("simulator.ping_lost")

    # --- tapes -----------------------------------------------------------------------------------------------------

    async def _pump(self, tape: Tape) -> None:
        """Move a tape along and its frames out."""
        crowds = [self.houses[key.partition(":")[0]].crowd for key in tape.ledgers]
        while not (tape.done and self._settings.exit_at_end):
            now = self.now()
            count = 0
            for item in tape.take(now, _BATCH, heard=any(crowd.heard() for crowd in crowds)):
                self._publish(item)
                count += 1
            self._frames += count
            for crowd in set(crowds):
                for link in crowd.links:
                    link.flush(now)
            if count and self._settings.speed == "max":
                await self._breathe(crowds, self._settings.pace_bytes)
            await asyncio.sleep(0 if count == _BATCH else min(max(tape.wait(now), _SHORTEST), _LONGEST))
        await self._breathe(crowds, 0)

    def _publish(self, item: Item) -> None:
        if isinstance(item, Live):
            house = self.houses[item.ledger.listing.venue]
            house.venue.publish(item, house.crowd)
            return
        self.houses[item.venue].crowd.play(item.topics, trade=item.trade, binary=item.binary)

    async def _breathe(self, crowds: Iterable[Crowd], most: int) -> None:
        """Wait for clients that have more than `most` bytes unread; cut off who does not read at all."""
        deadline = asyncio.get_running_loop().time() + self._settings.pace_patience
        while full := [link for crowd in set(crowds) for link in crowd.links if link.unread > most]:
            if asyncio.get_running_loop().time() > deadline:
                self._cut += len(full)
                log.warning("simulator.slow_client_cut", clients=len(full))
                for link in full:
                    link.drop()
                return
            await asyncio.sleep(_SHORTEST)

    # --- control ---------------------------------------------------------------------------------------------------

    def disconnect(self, venue: str | None, *, clean: bool, notice: bool = False) -> int:
        """Part with every client of a venue (of all: None); returns how many.

        `notice`: where the venue has a word for it, it is announced first.
        """
        count = 0
        for name, house in self.houses.items():
            if venue in {None, name}:
                for link in list(house.crowd.links):
                    count += 1
                    word = house.venue.announce(self.now()) if notice else None
                    if word is not None:
                        link.say((word,))
                        link.flush(self.now())
                    if clean:
                        self._part(link, 1001, "")
                    else:
                        link.drop()
        return count

    def inject(self, event: Event) -> None:
        """Let an event happen; raises `Invalid` where no tape can."""
        self._tapes[0].inject(event, self.now())

    def status(self) -> Mapping[str, Any]:
        """Progress: what the tapes gave, what went out, and each market's trades."""
        crowds = [house.crowd for house in self.houses.values()]
        return {
            "mode": "simulate" if self._tapes[0].name == "seeded" else self._settings.mode,
            "speed": self._settings.speed,
            "done": all(tape.done for tape in self._tapes),
            "frames": self._frames,
            "sent": sum(crowd.sent for crowd in crowds),
            "lost": sum(crowd.lost for crowd in crowds),
            "cut": self._cut,
            "trades": sum(ledger.printed for ledger in self._ledgers.values()),
            "clients": {name: len(house.crowd.links) for name, house in self.houses.items()},
            "markets": {
                key: {
                    "trades": ledger.printed,
                    "first_id": ledger.first_id,
                    "last_id": ledger.last.id if ledger.last else None,
                }
                for key, ledger in self._ledgers.items()
            },
        }

    def trouble(self) -> str | None:
        """A simulator that serves has none."""
        return None if self._server is not None and self._server.is_serving() else "not listening"

    def samples(self) -> Iterable[Sample]:
        """Counters of what went out."""
        status = self.status()
        for name in ("frames", "sent", "lost", "cut", "trades"):
            yield Sample(f"simulator_{name}", float(status[name]))
