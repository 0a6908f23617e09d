"""The service: start in order, run until told to stop, drain in reverse. A crash is just a start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from pricewatch.app.clock import SystemClock
from pricewatch.app.garbage import Garbage
from pricewatch.app.loopwatch import LoopWatch
from pricewatch.app.parts import Assembly
from pricewatch.app.prompt import prompt
from pricewatch.app.seats import Tally
from pricewatch.app.stages import Stages, close_within
from pricewatch.app.startup import Startup
from pricewatch.app.wiring import Store, build_store, embedded, open_store
from pricewatch.config import Settings
from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.domain.market import Market
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import SignalSink
from pricewatch.ports.ticks import PriceTape
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.migrate import migrate
from pricewatch.store.pool import Database
from pricewatch.telemetry.logs import configure

log = structlog.get_logger(__name__)

_SETTLING = 15.0
"""Seconds after the start without a search for garbage."""

ROLES = frozenset({"ingest", "engine", "gateway", "delivery", "training"})


class Service:
    """One process of pricewatch: all roles by default, some of them over the bus otherwise."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        tapes: Sequence[PriceTape] = (),
        sinks: Sequence[SignalSink] = (),
        prepare: Callable[[Service], Awaitable[None]] | None = None,
    ) -> None:
        """`tapes` and `sinks` see what passes beside the service's own readers.

        `prepare` runs on the finished schema, before anything is evaluated.
        """
        check_roles(settings)
        self.settings = settings
        self.clock = clock or SystemClock()
        self.loop_watch = LoopWatch(window=settings.app.recent)
        self.started = asyncio.Event()
        self.assembly: Assembly | None = None
        self._tapes = tapes
        self._sinks = sinks
        self._prepare = prepare
        self._server: EmbeddedPostgres | None = None
        self._garbage = Garbage()

    @property
    def markets(self) -> Sequence[Market]:
        """The markets listened to, once started."""
        return self.assembly.markets if self.assembly is not None else ()

    @property
    def port(self) -> int | None:
        """Where the gateway listens."""
        return self._assembled.port

    @property
    def store(self) -> Store:
        """The keepers, while running."""
        return self._assembled.store

    def reread(self, settings: Settings) -> None:
        """The configuration was read again: its markets are listened to from now on."""
        if self.assembly is not None:
            self.assembly.following.reread(settings.ingest)

    def tally(self) -> Tally:
        """What has been counted so far in this process."""
        return self.assembly.tally() if self.assembly is not None else Tally()

    @property
    def _assembled(self) -> Assembly:
        if self.assembly is None:
            raise RuntimeError("the service is not running")
        return self.assembly

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises what makes it impossible to start; later troubles are lived with."""
        self._server = embedded(self.settings)
        if self._server is not None:
            await self._server.start()
        prompt()
        try:
            url = self._server.url() if self._server is not None else self.settings.database.url.get_secret_value()
            store = build_store(self.settings, url, self.clock)
            async with store.database, store.bulk, store.commits:
                assembly = Assembly(
                    self.settings,
                    store,
                    clock=self.clock,
                    owner=owner_name(),
                    tapes=self._tapes,
                    sinks=self._sinks,
                )
                assembly.add_parts(
                    Startup(self.started), self.loop_watch, store.database, *([self._server] if self._server else [])
                )
                self.assembly = assembly
                with self._garbage.watched():
                    await self._live(assembly, stop)
        finally:
            if self._server is not None:
                await close_within("postgres", 25.0, self._server.stop)

    async def _live(self, assembly: Assembly, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            stages = Stages(group, self.settings.app.drain_timeout)
            stages.start("loop", self.loop_watch.run())
            if self._server is not None:
                stages.start("postgres", self._server.run())
            stages.start("database", assembly.store.database.run())
            start = group.create_task(self._start(assembly, stages), name="start")
            await stop.wait()
            if not start.done():
                start.cancel()
                await asyncio.wait({start})
            log.info("service.stopping")
            await stages.stop()

    async def _start(self, assembly: Assembly, stages: Stages) -> None:
        assembly.open_gateway(stages)
        flavour = await self._migrated(assembly.store.database)
        if self._prepare is not None:
            await self._prepare(self)
        with self._garbage.none():
            await assembly.start(stages)
        self.loop_watch.reset()
        log.info(
            "service.started",
            roles=sorted(self.settings.app.roles),
            flavour=flavour,
            markets=len(assembly.markets),
            address=f"http://{self.settings.gateway.host}:{assembly.port}" if assembly.port is not None else None,
        )
        self.started.set()
        with self._garbage.none():  # the first trades make all that the rules and models remember
            await asyncio.sleep(_SETTLING)

    async def _migrated(self, database: Database) -> str:
        """The schema's flavour once the database has answered, however long that takes."""
        waiting = False
        while True:
            try:
                return await migrate(database)
            except Unavailable as error:
                if not waiting:
                    log.warning("database.awaited", error=str(error))
                waiting = True
                await asyncio.sleep(self.settings.database.probe_interval)


def check_roles(settings: Settings) -> None:
    """Raises `ConfigError` for unknown roles, and for a part of the service without a bus to the others."""
    roles = set(settings.app.roles)
    unknown = roles - ROLES
    if unknown or not roles:
        raise ConfigError(f"app.roles: {sorted(unknown) or '(none)'}: choose from {', '.join(sorted(ROLES))}")
    if "training" in roles and "engine" not in roles:
        raise ConfigError("app.roles: training hands its forecasts to the engine of its own process: add engine")
    if roles != ROLES and not settings.bus.url.get_secret_value():
        raise ConfigError(
            "app.roles: a process with only some roles reaches the others over Redis: set bus.url (redis://...)"
        )


def owner_name() -> str:
    """Who we are in the shard table and on the bus."""
    return f"{socket.gethostname()}:{os.getpid()}"


async def run_until_signalled(service: Service, read: Callable[[], Settings] | None = None) -> None:
    """Run; the first SIGINT or SIGTERM stops it in order, a second one at once. SIGHUP takes up what `read` gives."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if read is not None:
        loop.add_signal_handler(signal.SIGHUP, _reread, service, read)
    try:
        with stop_on_signals(stop):
            await service.run(stop)
    finally:
        if read is not None:
            loop.remove_signal_handler(signal.SIGHUP)


def _reread(service: Service, read: Callable[[], Settings]) -> None:
    """A configuration that is wrong is told, and the old one goes on."""
    try:
        settings = read()
    except ConfigError as error:
        log.warning("config.refused", error=str(error))
        return
    log.info("config.reread")
    service.reread(settings)


@contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`; after the first one they have their usual force again."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def once() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, once)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def serve(settings: Settings, read: Callable[[], Settings] | None = None) -> int:
    """The `run` command: returns 0 after a drained stop. Raises the first cause of a failure.

    `read` reads the configuration again, for SIGHUP.
    """
    configure(settings.log)
    try:
        asyncio.run(run_until_signalled(Service(settings), read))
    except ExceptionGroup as group:
        raise first_cause(group) from group
    return 0


def first_cause(group: BaseExceptionGroup[Exception]) -> Exception:
    """The innermost first exception of nested groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def migrate_once(settings: Settings) -> str:
    """The `migrate` command: returns the schema's flavour."""

    async def work() -> str:
        async with open_store(settings) as store:
            return await migrate(store.database)

    return asyncio.run(work())
