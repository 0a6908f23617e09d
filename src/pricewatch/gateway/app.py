"""The gateway: one aiohttp server for REST, feed, live page and health, and the work around it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiohttp import web

from pricewatch.accounts.reach import Reach
from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.domain.market import Quote, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.watch import STALE_RULES, SYSTEM
from pricewatch.gateway import problems
from pricewatch.gateway.auth import Door, refuse_key_in_url
from pricewatch.gateway.board import Board
from pricewatch.gateway.feed.candles import Candles
from pricewatch.gateway.feed.codes import Close
from pricewatch.gateway.feed.features import Features
from pricewatch.gateway.feed.framing import Message, framed
from pricewatch.gateway.feed.hub import Hub
from pricewatch.gateway.feed.socket import Sockets
from pricewatch.gateway.health import Health
from pricewatch.gateway.keepers import Keepers
from pricewatch.gateway.lookup import Lookup
from pricewatch.gateway.pages import Pages
from pricewatch.gateway.rest.rules import Parse
from pricewatch.gateway.routes import Routes
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.gateway.unreadable import LOGGER
from pricewatch.ports.clock import Clock
from pricewatch.ports.status import Part
from pricewatch.ports.ticks import PriceTape
from pricewatch.telemetry.metrics import Sample
from pricewatch.wire.feed import GoingAway, encode

log = structlog.get_logger(__name__)

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]

FEED = "/ws/v1"
_UNHURRIED = frozenset({FEED, "/api/v1/me/export"})
"""What may take as long as its reader does."""
_EVER = 2**62


class Gateway:
    """A `Part`, `PriceTape` and `SignalSink`.

    `parts` is looked at whenever status is asked for, so parts may be added to it later; the gateway adds itself.
    `redis`: where gateways count requests together; empty to count alone. `reach`: where webhooks may go.
    `states` may name a market's feed `live`, `quiet` or `blind` better than its age does. `started` is set, and
    `port` right, once requests are answered.
    """

    name = "gateway"

    def __init__(
        self,
        settings: GatewaySettings,
        keepers: Keepers,
        *,
        clock: Clock,
        parse_rule: Parse,
        parts: Iterable[Part] = (),
        states: Callable[[], Mapping[str, str]] | None = None,
        redis: str = "",
        reach: Reach | None = None,
    ) -> None:
        self.started = asyncio.Event()
        self.port = settings.port
        self._settings = settings
        self._keepers = keepers
        self._others = parts
        self._board = Board(clock, quiet_after=settings.quiet_after, blind_after=settings.blind_after, states=states)
        self._health = Health(self.parts, keepers.accounts, clock, ready_timeout=settings.ready_timeout)
        self._hub = Hub(settings, clock=clock, prices=self._board, troubles=self._health.troubles)
        self._candles = Candles(self._board, keepers.history, clock)
        lookup = Lookup(self._board, keepers.history, keepers.models, clock)
        self._features = Features(self._board, lookup)
        self._routes = Routes(
            settings,
            keepers,
            clock=clock,
            board=self._board,
            lookup=lookup,
            health=self._health,
            parse_rule=parse_rule,
            nudge=self._hub.nudge,
            redis=redis,
            reach=reach,
        )
        self._door: Door = self._routes.door
        self._sockets = Sockets(
            settings,
            clock=clock,
            door=self._door,
            hub=self._hub,
            board=self._board,
            feed=keepers.feed,
            consumers=keepers.consumers,
            desks={"candles": self._candles, "features": self._features},
        )
        self._busy: Counter[object] = Counter()
        self._answers: Counter[int] = Counter()
        self._listing: str | None = "the list of markets has not been read yet"

    def readers(self) -> tuple[PriceTape, ...]:
        """Those who want to see every tick: the last prices, and the open candles."""
        return self._board, self._candles

    def trade(self, trade: Trade, seen: int) -> None:
        """Show it to all of them."""
        for reader in self.readers():
            reader.trade(trade, seen)

    def quote(self, quote: Quote, seen: int) -> None:
        """Show it to all of them."""
        for reader in self.readers():
            reader.quote(quote, seen)

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Write committed signals to everybody concerned, now. Never blocks."""
        for entry in entries:
            if entry.feed == SYSTEM:
                self._board.note(entry.signal)
        self._hub.committed(entries)

    # -- Part ---------------------------------------------------------------------------------------------------------

    def parts(self) -> list[Part]:
        """All parts, this one last."""
        return [*(part for part in self._others if part is not self), self]

    def status(self) -> Mapping[str, Any]:
        """For `/status`."""
        return {
            "address": f"{self._settings.host}:{self.port}",
            "markets": len(self._board.everything()),
            "requests": sum(self._answers.values()),
            **self._hub.status(),
        }

    def trouble(self) -> str | None:
        """Not listening yet, or markets unknown."""
        return self._listing if self.started.is_set() else "not listening yet"

    def samples(self) -> Iterable[Sample]:
        """For `/metrics`."""
        yield from self._hub.samples()
        for status, count in sorted(self._answers.items()):
            yield Sample("responses", count, labels=(("status", str(status)),), help="HTTP answers.")

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled; then tell every client to come back, and close. `ConfigError` for a taken port."""
        patience = self._settings.close_timeout
        runner = web.AppRunner(self._application(), access_log=None, logger=LOGGER, shutdown_timeout=patience)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._routes.close)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await self._listen(runner)
            stack.push_async_callback(self._say_goodbye)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_listing(), name="gateway.markets")
                group.create_task(_every(self._settings.ticker_interval, self._hub.flush_prices), name="gateway.prices")
                group.create_task(_every(self._settings.candle_interval, self._candles.flush), name="gateway.candles")
                group.create_task(
                    _every(self._settings.features_interval, self._features.flush), name="gateway.features"
                )
                group.create_task(_every(self._settings.heartbeat_interval, self._hub.beat), name="gateway.beat")
                group.create_task(_every(self._settings.revocation_interval, self._evict), name="gateway.evict")
                group.create_task(self._sweep(runner), name="gateway.sweep")
                group.create_task(_every(self._settings.forget_interval, self._routes.forget), name="gateway.forget")

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(runner, host, port, backlog=1_024).start()
        except OSError as error:
            raise ConfigError(
                f"gateway.host/gateway.port: cannot listen on {host}:{port}: {error.strerror or error}; "
                "stop what uses it, or choose another port"
            ) from error
        self.port = runner.addresses[0][1]
        self.started.set()
        log.info("gateway.listening", host=host, port=self.port)

    async def _say_goodbye(self) -> None:
        self.started.clear()
        for link in list(self._hub.links):
            wait = random.uniform(0, self._settings.reconnect_spread)
            link.outlet.send(Message(framed(encode(GoingAway(round(wait, 3))))))
            link.outlet.end(Close.GOING_AWAY)
        # One turn for the sessions to see it; the runner's clean-up waits for their closing handshakes.
        await asyncio.sleep(0)

    async def _keep_listing(self) -> None:
        """Learn of new markets, soon when an unknown one prints, and their stored last prices."""
        while True:
            try:
                if self._board.list_markets(await self._keepers.catalog.markets()):
                    last = await self._keepers.history.last(_EVER)
                    self._board.prime(sequenced.trade for sequenced in last.values())
                if self._listing is not None:
                    await self._read_watches()
                self._listing = None
            except Unavailable as error:
                if self._listing is None:
                    log.warning("gateway.markets_unread", error=str(error))
                self._listing = f"the list of markets cannot be read: {error}"
            for _ in range(max(1, round(self._settings.catalog_interval / self._settings.retry_pause))):
                await asyncio.sleep(min(self._settings.retry_pause, self._settings.catalog_interval))
                if self._listing is not None or self._board.is_unlisted():
                    break

    async def _read_watches(self) -> None:
        """Which markets were stale before we listened."""
        for signal in await self._keepers.system.standing(list(STALE_RULES.values())):
            self._board.note(signal)

    async def _evict(self) -> None:
        """Close the sockets of revoked keys and ended sessions."""
        links = list(self._hub.links)
        standing = await self._door.standing(link.identity for link in links)
        for link in links:
            if link.identity.digest not in standing:
                link.outlet.end(Close.KEY_REVOKED)

    async def _sweep(self, runner: web.AppRunner) -> None:
        """Close connections that do not get a request together: aiohttp has no deadline for that."""
        idle: dict[object, float] = {}
        pause = self._settings.head_timeout / 4
        while True:
            await asyncio.sleep(pause)
            server = runner.server
            connections = server.connections if server is not None else []
            idle = {one: idle.get(one, 0.0) + pause for one in connections if not self._busy[one]}
            for connection in connections:
                if idle.get(connection, 0.0) >= self._settings.head_timeout:
                    connection.force_close()

    # -- the application ----------------------------------------------------------------------------------------------

    def _application(self) -> web.Application:
        @web.middleware
        async def shield(request: web.Request, handler: Serve) -> web.StreamResponse:
            return await self._shield(request, handler)

        app = web.Application(client_max_size=self._settings.body_limit, middlewares=[shield])
        app.on_response_prepare.append(_add_headers)
        router = app.router
        router.add_get(FEED, self._sockets.serve)
        for method, path, serve in self._routes.table():
            router.add_route(method, path, serve)
        pages = Pages()
        for path in pages.paths():
            router.add_get(path, pages.serve)
        return app

    async def _shield(self, request: web.Request, handler: Serve) -> web.StreamResponse:
        """Every request ends with an answer, in time; the unforeseen is logged and hidden."""
        limit = None if request.path in _UNHURRIED else self._settings.handler_timeout
        protocol = request.protocol
        self._busy[protocol] += 1
        try:
            async with asyncio.timeout(limit):
                refuse_key_in_url(request)
                answer = await handler(request)
        except Exception as error:
            known = problems.of_error(error)
            if known is None:
                log.exception("gateway.request_failed", method=request.method, path=request.path)
                known = problems.problem(500, "internal", "this is our fault; it is in the log")
            answer = known
        finally:
            self._busy[protocol] -= 1
            if not self._busy[protocol]:
                del self._busy[protocol]
        self._answers[answer.status] += 1
        return answer


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "pricewatch"
    response.headers["X-Content-Type-Options"] = "nosniff"


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Call `work` in a steady rhythm; what takes longer delays, nothing piles up."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        await work()
        due = max(due + seconds, loop.time())
