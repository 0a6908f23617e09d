"""The one table of everything REST answers: the router and `/openapi.json` are both made of it."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import structlog
from aiohttp import web

from pricewatch.accounts.passwords import Passwords
from pricewatch.accounts.reach import Reach
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import DAY
from pricewatch.gateway.auth import Door
from pricewatch.gateway.board import Board
from pricewatch.gateway.credentials import Identity, KeyRing
from pricewatch.gateway.feed import asyncapi
from pricewatch.gateway.guard import Guard, Serve
from pricewatch.gateway.health import Health
from pricewatch.gateway.keepers import Keepers
from pricewatch.gateway.limits import RateLimits
from pricewatch.gateway.logins import Logins
from pricewatch.gateway.lookup import Lookup
from pricewatch.gateway.openapi import describe, path_of
from pricewatch.gateway.quotas import Quotas
from pricewatch.gateway.rest.alarms import Alarms
from pricewatch.gateway.rest.channels import Channels
from pricewatch.gateway.rest.choices import Choices
from pricewatch.gateway.rest.commands import Commands
from pricewatch.gateway.rest.consumers import NamedConsumers
from pricewatch.gateway.rest.deliveries import Deliveries
from pricewatch.gateway.rest.desk import Desk
from pricewatch.gateway.rest.endpoint import Docs, Endpoint, OpenHandler, Public
from pricewatch.gateway.rest.explain import Explanations
from pricewatch.gateway.rest.features import FeatureLookups
from pricewatch.gateway.rest.forecast import Forecasts
from pricewatch.gateway.rest.gaps import Gaps
from pricewatch.gateway.rest.keys import Keys
from pricewatch.gateway.rest.markets import Markets
from pricewatch.gateway.rest.models import Models
from pricewatch.gateway.rest.preview import Previews
from pricewatch.gateway.rest.rules import Parse, Rules
from pricewatch.gateway.rest.session import BrowserSessions
from pricewatch.gateway.rest.signals import Signals
from pricewatch.gateway.rest.trials import Trials
from pricewatch.gateway.rest.users import Users
from pricewatch.gateway.rest.webhooks import WebhookChannels
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.clock import Clock

log = structlog.get_logger(__name__)


class Route(NamedTuple):
    """What the router takes."""

    method: str
    path: str
    serve: Serve


class Routes:
    """Every resource, behind its guard. `nudge` tells an account's connections that its consumers may have changed."""

    def __init__(
        self,
        settings: GatewaySettings,
        keepers: Keepers,
        *,
        clock: Clock,
        board: Board,
        lookup: Lookup,
        health: Health,
        parse_rule: Parse,
        nudge: Callable[[uuid.UUID], None],
        redis: str = "",
        reach: Reach | None = None,
    ) -> None:
        records = keepers.records
        self._records = records
        self._clock = clock
        self._passwords = Passwords(
            memory=settings.password_memory,
            rounds=settings.password_rounds,
            threads=settings.password_threads,
            queue=settings.password_queue,
        )
        limits = self._limits = RateLimits(settings, clock, redis=redis)
        ring = KeyRing(keepers.accounts, records.sessions, settings, clock)
        self.door = Door(ring, records.tickets, settings, clock, limits)
        logins = Logins(
            keepers.accounts,
            records.sessions,
            self._passwords,
            ring=ring,
            settings=settings,
            clock=clock,
            limits=limits,
        )
        quotas = Quotas(records.dossiers, settings)
        browsers = BrowserSessions(self.door, logins, records.sessions, clock)
        resources = (
            browsers,
            Keys(keepers.accounts, logins, ring, quotas, clock),
            Users(keepers.accounts, logins, records.dossiers, keepers.rules, keepers.changes),
            FeatureLookups(board, lookup),
            Markets(board, keepers.history, keepers.models, clock),
            Previews(keepers.previews, keepers.rules, clock, patience=settings.preview_patience),
            Rules(
                keepers.rules,
                keepers.changes,
                board,
                parse=parse_rule,
                quotas=quotas,
                lists=records.watchlists,
                webhooks=keepers.webhooks,
                clock=clock,
            ),
            Alarms(keepers.rules, keepers.models, records.watchlists, board, clock),
            Commands(keepers.rules, keepers.changes, clock),
            Trials(keepers.rules, keepers.outbox, records, board, clock),
            Channels(keepers.accounts, keepers.webhooks, ring),
            WebhookChannels(
                keepers.webhooks,
                records.trials,
                keepers.outbox,
                quotas=quotas,
                clock=clock,
                reach=reach or Reach(),
                overlap=settings.webhook_overlap,
            ),
            Forecasts(keepers.registry, records.watchlists, board, clock),
            Models(keepers.registry, keepers.desk, board, records.audit, clock),
            Explanations(keepers.feed, keepers.models, keepers.registry),
            Signals(keepers.feed, records.verdicts, keepers.outbox),
            NamedConsumers(keepers.consumers, nudge),
            Desk(records.watchlists, records.audit, quotas, book=keepers.rules, changes=keepers.changes, board=board),
            Deliveries(keepers.outbox, records.audit, clock),
            Gaps(keepers.gaps, board),
            Choices(keepers.choices, keepers.market_changes, clock),
        )
        self.private = [endpoint for resource in resources for endpoint in resource.endpoints()]
        self.public = [*browsers.public(), *_of_service(health, self._openapi)]
        if not settings.open_status:
            self._lock_status()
        self._guard = Guard(self.door, limits, records.repeats)

    def table(self) -> Iterator[Route]:
        """All of them."""
        for one in self.public:
            yield Route(one.method, path_of(one), self._guard.public(one))
        for endpoint in self.private:
            yield Route(endpoint.method, path_of(endpoint), self._guard.private(endpoint))

    async def forget(self) -> None:
        """Sessions, tickets and repeatable answers that have expired go."""
        now = self._clock.now()
        try:
            await self._records.sessions.forget_expired(now)
            await self._records.repeats.forget(now - DAY)
        except Unavailable as error:
            log.info("gateway.forget_later", error=str(error))

    async def close(self) -> None:
        """No more passwords, and no more Redis."""
        self._passwords.close()
        await self._limits.close()

    @functools.cached_property
    def _document(self) -> bytes:
        return msgspec.json.encode(describe([*self.public, *self.private]))

    async def _openapi(self, _: web.Request) -> web.Response:
        """What you are reading, for programs."""
        return web.Response(body=self._document, content_type="application/json", headers={"Cache-Control": "no-cache"})

    def _lock_status(self) -> None:
        """Status and metrics are for those who are known."""
        for one in [one for one in self.public if one.path in {"/status", "/metrics"}]:
            self.public.remove(one)
            self.private.append(_known(one))


def _known(one: Public) -> Endpoint:
    async def handle(request: web.Request, _: Identity) -> web.StreamResponse:
        return await one.handler(request)

    handle.__doc__ = one.handler.__doc__
    return Endpoint(one.method, one.path, handle, docs=one.docs, is_api=False)


def _of_service(health: Health, openapi: OpenHandler) -> list[Public]:
    text = Docs(media="text/plain", query=None)
    return [
        Public("GET", "/healthz", health.healthz, Docs(), is_api=False),
        Public("GET", "/readyz", health.readyz, Docs(also=(503,)), is_api=False),
        Public("GET", "/status", health.status, Docs(), is_api=False),
        Public("GET", "/metrics", health.metrics, text, is_api=False),
        Public("GET", "/openapi.json", openapi, Docs(), is_api=False),
        Public("GET", "/asyncapi.json", asyncapi.serve, Docs(), is_api=False),
    ]
