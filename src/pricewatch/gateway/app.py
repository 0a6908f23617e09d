"""The gateway: one aiohttp server for REST, feed, live page and health, and the work around it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from pricewatch.accounts.policy import may_administer, may_write
from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.domain.market import Quote, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.watch import STALE_RULES, SYSTEM
from pricewatch.gateway import problems
from pricewatch.gateway.auth import Door, Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.feed.codes import Close
from pricewatch.gateway.feed.hub import Hub
from pricewatch.gateway.feed.outlet import Message, framed
from pricewatch.gateway.feed.socket import Sockets
from pricewatch.gateway.health import Health
from pricewatch.gateway.pages import Pages
from pricewatch.gateway.rest.choices import Choices
from pricewatch.gateway.rest.endpoint import Access, Endpoint
from pricewatch.gateway.rest.gaps import Gaps
from pricewatch.gateway.rest.markets import Markets
from pricewatch.gateway.rest.people import People, Sessions
from pricewatch.gateway.rest.preview import Previews
from pricewatch.gateway.rest.rules import Parse, Rules
from pricewatch.gateway.rest.signals import Signals
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.accounts import Accounts
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import FeedLog, SystemFeed
from pricewatch.ports.markets import MarketBook, MarketChanges
from pricewatch.ports.models import ModelStore
from pricewatch.ports.outbox import Outbox
from pricewatch.ports.preview import PreviewDesk
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.ports.status import Part
from pricewatch.ports.ticks import Catalog, GapBook, History
from pricewatch.telemetry.metrics import Sample
from pricewatch.wire.feed import GoingAway, encode

log = structlog.get_logger(__name__)

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]

FEED = "/ws/v1"
_API = "/api/v1"
_EVER = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepers:
    """What the gateway reads and writes."""

    accounts: Accounts
    rules: RuleBook
    changes: RuleChanges
    feed: FeedLog
    history: History
    catalog: Catalog
    outbox: Outbox
    models: ModelStore
    gaps: GapBook
    choices: MarketBook
    market_changes: MarketChanges
    system: SystemFeed
    previews: PreviewDesk


class Gateway:
    """A `Part`, `PriceTape` and `SignalSink`.

    `parts` is looked at whenever status is asked for, so parts may be added to it later; the gateway adds itself.
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
    ) -> None:
        self.started = asyncio.Event()
        self.port = settings.port
        self._settings = settings
        self._keepers = keepers
        self._others = parts
        self._board = Board(clock, quiet_after=settings.quiet_after, blind_after=settings.blind_after, states=states)
        self._health = Health(self.parts, keepers.accounts, clock, ready_timeout=settings.ready_timeout)
        self._hub = Hub(settings, clock=clock, prices=self._board, troubles=self._health.troubles)
        self._door = Door(keepers.accounts, settings, clock)
        self._sockets = Sockets(
            settings, clock=clock, door=self._door, hub=self._hub, board=self._board, feed=keepers.feed
        )
        resources = (
            Markets(self._board, keepers.history, keepers.models, clock),
            Rules(keepers.rules, keepers.changes, self._board, parse_rule),
            Previews(keepers.previews, keepers.rules, clock, patience=settings.preview_patience),
            Signals(keepers.feed),
            Gaps(keepers.gaps, self._board),
            Choices(keepers.choices, keepers.market_changes, clock),
            People(keepers.accounts, keepers.outbox),
        )
        self._endpoints = [endpoint for resource in resources for endpoint in resource.endpoints()]
        self._busy: Counter[object] = Counter()
        self._answers: Counter[int] = Counter()
        self._listing: str | None = "the list of markets has not been read yet"

    def trade(self, trade: Trade, seen: int) -> None:
        """Keep the last price of its market for the next flush."""
        self._board.trade(trade, seen)

    def quote(self, quote: Quote, seen: int) -> None:
        """Keep the last quote of its market for the next flush."""
        self._board.quote(quote, seen)

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
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=self._settings.close_timeout)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await self._listen(runner)
            stack.push_async_callback(self._say_goodbye)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_listing(), name="gateway.markets")
                group.create_task(_every(self._settings.ticker_interval, self._hub.flush_prices), name="gateway.prices")
                group.create_task(_every(self._settings.heartbeat_interval, self._hub.beat), name="gateway.beat")
                group.create_task(_every(self._settings.revocation_interval, self._evict), name="gateway.evict")
                group.create_task(self._sweep(runner), name="gateway.sweep")

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
        """Close the sockets of revoked keys."""
        verdicts: dict[tuple[bytes, bytes | None], bool] = {}
        for link in list(self._hub.links):
            key = (link.identity.digest, link.identity.browser)
            if key not in verdicts:
                verdicts[key] = await self._door.is_still_good(link.identity)
            if not verdicts[key]:
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
        for endpoint in self._endpoints:
            router.add_route(endpoint.method, _API + endpoint.path, self._guarded(endpoint))
        sessions = Sessions(self._door, self._settings.session_lifetime)
        router.add_get(f"{_API}/session", sessions.who)
        router.add_post(f"{_API}/session", sessions.log_in)
        router.add_delete(f"{_API}/session", sessions.log_out)
        pages = Pages()
        for path in pages.paths():
            router.add_get(path, pages.serve)
        router.add_get("/healthz", self._health.healthz)
        router.add_get("/readyz", self._health.readyz)
        router.add_get("/status", self._open(self._health.status))
        router.add_get("/metrics", self._open(self._health.metrics))
        return app

    def _guarded(self, endpoint: Endpoint) -> Serve:
        async def handle(request: web.Request) -> web.StreamResponse:
            who = await self._door.admit(request)
            _check(endpoint.access, who)
            return await endpoint.handler(request, who)

        return handle

    def _open(self, handler: Serve) -> Serve:
        async def handle(request: web.Request) -> web.StreamResponse:
            await self._door.admit(request)
            return await handler(request)

        return handler if self._settings.open_status else handle

    async def _shield(self, request: web.Request, handler: Serve) -> web.StreamResponse:
        """Every request ends with an answer, in time; the unforeseen is logged and hidden."""
        limit = None if request.path == FEED else self._settings.handler_timeout
        protocol = request.protocol
        self._busy[protocol] += 1
        try:
            async with asyncio.timeout(limit):
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


def _check(access: Access, who: Identity) -> None:
    if access is Access.WRITE and not may_write(who.account):
        raise problems.Denied(
            403, "read_only", "a viewer may look, not write; ask an administrator for the role `user`"
        )
    if access is Access.ADMIN and not may_administer(who.account):
        raise problems.Denied(403, "admin_only", "this needs the role `admin`")


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
