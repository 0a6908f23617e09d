"""`channels` of kind `webhook`: made, changed, tried out, given new secrets, taken away."""

from __future__ import annotations

import re
import secrets
import uuid

from aiohttp import web

from pricewatch.accounts.reach import Reach
from pricewatch.domain.signal import Direction, Signal, signal_id
from pricewatch.domain.time import SECOND
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import Denied, reply
from pricewatch.gateway.quotas import Quotas
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, document, identifier, no_content
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Outbox
from pricewatch.ports.records import Trials
from pricewatch.ports.webhooks import WebhookChange, Webhooks
from pricewatch.wire.channel import ChannelChange, ChannelDocument, NewChannel, webhook
from pricewatch.wire.owed import TrialDocument, delivery
from pricewatch.wire.webhook import secret_text

_HOST = re.compile(r"https?://([A-Za-z0-9.-]+)")
_SECRET_BYTES = 32
_SCOPE = "test"


class WebhookChannels:
    """One account's webhooks. URLs are checked when they are written, and again at every request."""

    def __init__(
        self,
        webhooks: Webhooks,
        trials: Trials,
        outbox: Outbox,
        *,
        quotas: Quotas,
        clock: Clock,
        reach: Reach,
        overlap: float,
    ) -> None:
        self._webhooks = webhooks
        self._trials = trials
        self._outbox = outbox
        self._quotas = quotas
        self._clock = clock
        self._reach = reach
        self._overlap = overlap

    def endpoints(self) -> list[Endpoint]:
        """Reading for everybody, writing for users."""
        shown = Docs(ChannelDocument, query=())
        secret = shown._replace(is_secret=True)
        return [
            Endpoint("POST", "/channels", self.create, Access.WRITE, secret._replace(status=201, body=NewChannel)),
            Endpoint("GET", "/channels/{id}", self.get, docs=shown),
            Endpoint("PATCH", "/channels/{id}", self.change, Access.WRITE, shown._replace(body=ChannelChange)),
            Endpoint("DELETE", "/channels/{id}", self.delete, Access.WRITE, Docs(status=204, query=())),
            Endpoint("POST", "/channels/{id}/rotate", self.rotate, Access.WRITE, secret),
            Endpoint(
                "POST", "/channels/{id}/test", self.test, Access.WRITE, Docs(TrialDocument, 202, query=(), also=(409,))
            ),
        ]

    async def create(self, request: web.Request, who: Identity) -> web.Response:
        """A new webhook. `secret` verifies what is sent to it; it is shown this once."""
        wish = await document(request, NewChannel)
        self._reach.check(wish.url)
        self._quotas.check_webhooks(len(await self._webhooks.listing(who.account.id)))
        secret = secrets.token_bytes(_SECRET_BYTES)
        made = await self._webhooks.create(who.account.id, wish.name or _name_of(wish.url), wish.url, secret)
        return reply(webhook(made, secret_text(secret)), 201, {"Location": f"/api/v1/channels/{made.id}"})

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """One of one's own webhooks."""
        return reply(webhook(await self._webhooks.get(who.account.id, identifier(request))))

    async def change(self, request: web.Request, who: Identity) -> web.Response:
        """Another name or URL, disabled or enabled again. Disabled, what it is owed becomes dead letters."""
        number, wish = identifier(request), await document(request, ChannelChange)
        if wish.url is not None:
            self._reach.check(wish.url)
        change = WebhookChange(name=wish.name, url=wish.url, enabled=wish.enabled)
        return reply(webhook(await self._webhooks.change(who.account.id, number, change)))

    async def delete(self, request: web.Request, who: Identity) -> web.Response:
        """It is gone; what it is owed becomes dead letters."""
        await self._webhooks.delete(who.account.id, identifier(request))
        return no_content()

    async def rotate(self, request: web.Request, who: Identity) -> web.Response:
        """A new secret, shown this once; the one before it signs as well for a day, so that no receiver breaks."""
        secret = secrets.token_bytes(_SECRET_BYTES)
        until = self._clock.now() + round(self._overlap * SECOND)
        changed = await self._webhooks.rotate(who.account.id, identifier(request), secret, until=until)
        return reply(webhook(changed, secret_text(secret)))

    async def test(self, request: web.Request, who: Identity) -> web.Response:
        """Send it a `signal.test` now; see the delivery for how far it comes."""
        hook = await self._webhooks.get(who.account.id, identifier(request))
        if hook.disabled is not None:
            raise Denied(409, "disabled", f"this webhook is disabled: {hook.reason}; enable it first")
        now = self._clock.now()
        cause = f"test:{now}"
        signal = Signal(
            id=signal_id(hook.id, 0, _SCOPE, cause, Direction.FIRED),
            account_id=who.account.id,
            rule_id=uuid.UUID(int=0),
            rule_version=0,
            title=f"Test: {hook.name}",
            kind="test",
            severity="info",
            direction=Direction.FIRED,
            scope=_SCOPE,
            market=0,
            venue="",
            symbol="",
            cause=cause,
            at=now,
            seen=now,
            received=now,
            price=0.0,
            since=now,
            evidence={"v": 1, "test": "sent by hand; no rule has fired"},
            channels=(f"webhook:{hook.name}",),
        )
        await self._trials.owe(signal)
        rows = await self._outbox.listing(who.account.id, signal=signal.id)
        return reply(TrialDocument(signal.id, "", [delivery(row) for row in rows]), 202)


def _name_of(url: str) -> str:
    """The host's name, as far as it can be one."""
    found = _HOST.match(url)
    return found[1][:64] if found else "webhook"
