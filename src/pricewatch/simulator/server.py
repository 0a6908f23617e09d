"""The simulated venues on two ports: WebSockets by path, REST by prefix, over any tape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from websockets.asyncio.server import Server, serve

from pricewatch.domain.errors import ConfigError, Invalid, Unavailable
from pricewatch.ports.clock import Clock
from pricewatch.simulator.clients import Clients, House
from pricewatch.simulator.faults import Accident, Faults, Trouble
from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.link import Crowd
from pricewatch.simulator.programme import Event
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.rest import RestServer
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import FaultSettings, SimulatorSettings
from pricewatch.simulator.tape import Item, SeededTape, Tape
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

_BATCH = 500
_SHORTEST, _LONGEST = 0.001, 0.02
_BEAT = 0.1
_OPEN = 60.0


class Addresses(NamedTuple):
    """Where the venues answer: append the venue's name, then its own path: `/kraken/v2`, `/binance/stream`."""

    ws: str
    rest: str


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
        try:
            self._check(settings.faults)
        except Invalid as exc:
            raise ConfigError(f"simulator.faults.{exc}") from exc
        self.houses = {venue: self._house(venue) for venue in dict.fromkeys(key.partition(":")[0] for key in ledgers)}
        self._rest = RestServer(self)
        self._server: Server | None = None
        self._clients = Clients(self.houses, settings, clock)
        self._frames = 0

    def _house(self, venue: str) -> House:
        mine = {key: ledger for key, ledger in self._ledgers.items() if ledger.listing.venue == venue}
        served = VENUES[venue](mine, self._settings)
        trouble = Trouble(self._settings.faults, {key: ledger.listing.native for key, ledger in mine.items()})
        rest, handshakes = (Faults(trouble, salt=f"{kind}/{venue}") for kind in ("rest", "handshake"))
        return House(served, Crowd(served), trouble, rest, handshakes)

    async def start(self) -> Addresses:
        """Listen; raises `Unavailable` where a port is taken."""
        host = self._settings.host
        try:
            self._server = await serve(
                self._clients.serve,
                host,
                self._settings.ws_port,
                process_request=self._clients.handshake,
                open_timeout=_OPEN,
                compression="deflate" if self._settings.faults.deflate else None,
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
            beats = group.create_task(self._clients.run(), name="simulator.beats")
            async with asyncio.TaskGroup() as pumps:
                for tape in self._tapes:
                    pumps.create_task(self._pump(tape), name=f"simulator.{tape.name}")
            beats.cancel()

    async def stop(self) -> None:
        """Close every socket with a close frame and both ports."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self._rest.stop()

    def now(self) -> int:
        """The wall clock."""
        return self._clock.now()

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
            if item.ledger.listing.key not in house.trouble.muted:
                house.venue.publish(house.trouble.touched(item), house.crowd)
            return
        house = self.houses[item.venue]
        if not house.trouble.muted.issuperset(item.markets):
            house.crowd.play(item.topics, trade=item.trade, binary=item.binary)

    async def _breathe(self, crowds: Iterable[Crowd], most: int) -> None:
        """Wait for clients that have more than `most` bytes unread; cut off who does not read at all."""
        deadline = asyncio.get_running_loop().time() + self._settings.pace_patience
        while full := [link for crowd in set(crowds) for link in crowd.links if link.unread > most]:
            if asyncio.get_running_loop().time() > deadline:
                self._clients.cut += len(full)
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
                        self._clients.part(link, 1001, "")
                    else:
                        link.drop()
        return count

    def befall(self, venue: str | None, accident: Accident) -> int:
        """Let an accident happen to every client of a venue (of all: None); returns to how many it could."""
        links = [link for name, house in self.houses.items() if venue in {None, name} for link in house.crowd.links]
        return sum(self._clients.befall(link, accident) for link in links)

    def change(self, venue: str | None, changes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Change the faults of a venue (of all: None); None: back to those of the start. Returns what is wrong now.

        Raises pydantic's `ValidationError` or `Invalid`, and changes nothing then.
        """
        if changes is not None:
            self._check(FaultSettings.model_validate({**self._settings.faults.model_dump(), **changes}))
        for name, house in self.houses.items():
            if venue in {None, name}:
                if changes is None:
                    house.trouble.reset()
                else:
                    house.trouble.change(changes)
        return self.faults()

    def faults(self) -> Mapping[str, Any]:
        """What is wrong at each venue, as far as it is not calm."""
        return {name: house.trouble.settings.model_dump(exclude_defaults=True) for name, house in self.houses.items()}

    def _check(self, faults: FaultSettings) -> None:
        """Raise `Invalid` for a market nobody has."""
        for field in ("mute", "freeze"):
            for key in getattr(faults, field):
                if key not in self._ledgers:
                    raise Invalid(field, f"there is no market {key[:80]!r}; there are {', '.join(self._ledgers)}")

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
            "cut": self._clients.cut,
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
