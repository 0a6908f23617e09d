"""Signals by HTTP to people's own servers, signed by the Standard Webhooks scheme."""

from __future__ import annotations

import asyncio
import ssl
import uuid

import aiohttp
import msgspec
import structlog
from yarl import URL

from pricewatch.delivery.channels.base import Later, Letter, Manners
from pricewatch.delivery.channels.holds import Holds
from pricewatch.delivery.channels.resolver import GuardedResolver
from pricewatch.delivery.channels.retry_after import wait_of
from pricewatch.delivery.figures import printable
from pricewatch.delivery.settings import DeliverySettings, WebhookSettings
from pricewatch.domain.errors import Invalid, Refused, Unavailable
from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import SECOND
from pricewatch.ports.clock import Clock
from pricewatch.ports.outbox import Delivery
from pricewatch.ports.webhooks import Endpoint, Endpoints
from pricewatch.wire.webhook import event, signature

log = structlog.get_logger(__name__)

_GONE = 410
_BUSY = frozenset({429, 503})
_ANSWER_BYTES = 4_096
_ANSWER_PATIENCE = 1.0
"""Seconds for the rest of an answer whose status is known: only so that its connection can be used again."""


class WebhookChannel:
    """One session for all endpoints. Trouble of one is never a trouble of the channel: it raises no `Away`."""

    def __init__(
        self, settings: DeliverySettings, clock: Clock, endpoints: Endpoints, resolver: GuardedResolver | None = None
    ) -> None:
        self._settings: WebhookSettings = settings.webhook
        self._clock = clock
        self._endpoints = endpoints
        self._reach = self._settings.reach
        self._resolver = resolver or GuardedResolver(self._reach)
        self._holds = Holds(settings.retry_first, min(settings.retry_away, settings.retry_cap))
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._longest = settings.retry_for
        self._timeout = min(self._settings.timeout, settings.attempt_timeout / 2)
        self.manners = Manners(at_once=self._settings.concurrency, each=self._settings.each, spread=0.5)

    def render(self, delivery: Delivery, *, now: int) -> Letter:
        """The same body at every attempt. A test, which has no place in the feed, says 0 for epoch and seq."""
        _ = now
        signal = delivery.signal
        try:
            uuid.UUID(delivery.target)
        except ValueError as error:
            raise Refused(f"{printable(delivery.target, 40)!r} is no webhook") from error
        entry = delivery.entry or FeedEntry(
            feed=signal.account_id, epoch=0, seq=0, signal=signal, committed=delivery.queued
        )
        return Letter(delivery.target, msgspec.json.encode(event(entry)), str(delivery.id))

    def held(self) -> list[str]:
        """Endpoints that did not answer, or said that it was too much for them."""
        return self._holds.held(self._clock.now())

    async def send(self, letter: Letter) -> str:
        """One POST; returns status and time. What is neither 2xx nor 410 is tried again."""
        endpoint = await self._endpoints.endpoint(uuid.UUID(letter.target))
        if endpoint is None:
            raise Refused("the webhook was deleted")
        if endpoint.disabled is not None:
            raise Refused(f"the webhook is disabled: {endpoint.disabled}")
        begun = asyncio.get_running_loop().time()
        try:
            status, said = await self._post(endpoint, letter)
        except Unavailable:
            self._holds.failed(letter.target, now=self._clock.now())
            raise
        took = f"{status} after {1000 * (asyncio.get_running_loop().time() - begun):.0f} ms"
        if 200 <= status < 300:
            self._holds.worked(letter.target)
            return took
        raise await self._trouble(endpoint, status, said, took)

    async def rest(self) -> None:
        """Idle connections go by themselves."""

    async def close(self) -> None:
        """No connection stays open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._resolver.close()

    async def _post(self, endpoint: Endpoint, letter: Letter) -> tuple[int, str | None]:
        """The status, and what it says of coming back. Raises `Unavailable` when there is no answer."""
        try:
            self._reach.check(endpoint.url)
            session = await self._opened()
            async with session.post(
                URL(endpoint.url, encoded=True),
                data=letter.body,
                headers=self._headers(endpoint, letter),
                allow_redirects=False,
            ) as answer:
                await _read_away(answer)
                return answer.status, answer.headers.get("Retry-After")
        except Invalid as error:
            raise Unavailable(f"this URL is not allowed here: it {error.problem}") from error
        except TimeoutError as error:
            raise Unavailable(f"no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"no answer: {_words(error)}") from error

    def _headers(self, endpoint: Endpoint, letter: Letter) -> dict[str, str]:
        second = self._clock.now() // SECOND
        signed = (signature(secret, letter.id, second, letter.body) for secret in endpoint.secrets)
        return {
            "Content-Type": "application/json",
            "User-Agent": "pricewatch",
            "webhook-id": letter.id,
            "webhook-timestamp": str(second),
            "webhook-signature": " ".join(signed),
        }

    async def _trouble(self, endpoint: Endpoint, status: int, said: str | None, took: str) -> Exception:
        target, now = str(endpoint.id), self._clock.now()
        if status == _GONE:
            await self._endpoints.gone(endpoint.id, "its endpoint answered 410 Gone")
            log.info("webhook.gone", webhook=target)
            return Refused(f"{took}: the webhook is now disabled")
        wait = wait_of(said, now=now) if status in _BUSY else None
        if wait is not None:
            self._holds.failed(target, now=now, wait=min(wait, self._longest))
            return Later(f"{took}: to come back in {wait:.0f} s", wait)
        if status >= 500 or status in _BUSY:
            self._holds.failed(target, now=now)
        else:
            self._holds.worked(target)
        return Unavailable(f"{took}: redirects are not followed" if 300 <= status < 400 else took)

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                settings = self._settings
                connector = aiohttp.TCPConnector(
                    resolver=self._resolver, use_dns_cache=False, limit=settings.concurrency, ssl=await self._trust()
                )
                self._session = aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                    timeout=aiohttp.ClientTimeout(total=self._timeout, connect=settings.connect_timeout),
                )
            return self._session

    async def _trust(self) -> ssl.SSLContext | bool:
        ca_file = self._settings.ca_file
        if ca_file is None:
            return True
        try:
            return await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(f"cannot read ca_file {ca_file}: {printable(str(error), 200)}") from error


def _words(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return printable(str(cause) or type(cause).__name__, 200)


async def _read_away(answer: aiohttp.ClientResponse) -> None:
    """A short answer leaves its connection usable; a long or slow one does not, and changes nothing else."""
    try:
        async with asyncio.timeout(_ANSWER_PATIENCE):
            await answer.content.readexactly(_ANSWER_BYTES + 1)
    except asyncio.IncompleteReadError:
        return
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    answer.close()
