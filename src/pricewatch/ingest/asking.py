"""One connection's subscriptions: asked for, verified, asked for again one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from pricewatch.domain.market import Market
from pricewatch.exchanges.base import Exchange, Subscription
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.settings import VenueSettings

log = structlog.get_logger(__name__)

_TRIES = 2
"""Times the confirmations are waited for before the connection counts as standing without them."""


class Asking:
    """Until the venue has confirmed every expected subscription, and again whenever markets are added."""

    def __init__(
        self,
        exchange: Exchange,
        settings: VenueSettings,
        *,
        refused: dict[Subscription, tuple[str, float]],
        request: Callable[[str], Awaitable[None]],
        heard: Callable[[str], None],
    ) -> None:
        """`refused` is shared by the venue's connections: why, and when (loop time).

        `heard` is told a market's native name once all of its subscriptions stand.
        """
        self.pending: set[Subscription] = set()
        """Asked for, not yet confirmed."""
        self.heard: set[str] = set()
        """Native names of the markets all of whose subscriptions the venue confirmed."""
        self.stands = asyncio.Event()
        """Everything is confirmed, or has been asked for often enough for now."""
        self._exchange = exchange
        self._settings = settings
        self._refused = refused
        self._request = request
        self._heard = heard
        self._wanted: list[Subscription] = []
        self._gone: list[Subscription] = []
        self._asked: set[Subscription] = set()
        self._changed = asyncio.Event()
        self._spoilt = False
        self._timeouts = 0
        self._of: dict[str, list[Subscription]] = {}
        self._loop = asyncio.get_running_loop()
        self._want(exchange.expected())

    async def run(self) -> None:
        """Ask, wait for the confirmations, ask again for what is missing; a message a market from then on."""
        attempt = 0
        while True:
            attempt = 0 if self._wanted else attempt
            await self._ask_new()
            if not self.pending:
                self.stands.set()
                await self._change()
                continue
            wait = doubled(self._settings.subscribe_timeout, self._settings.subscribe_retry_cap, attempt)
            if not await self._settled(wait) and not self._news:
                missing = [one for one in self._exchange.expected() if one in self.pending]
                log.info("feed.unconfirmed", venue=self._exchange.id, missing=[one.native for one in missing][:20])
                await self._ask(missing, alone=True)
                attempt += 1

    def confirmed(self, subscription: Subscription) -> None:
        """The venue says yes."""
        self.pending.discard(subscription)
        self._refused.pop(subscription, None)
        native = subscription.native
        if native in self._of and native not in self.heard and self._is_whole(native):
            self.heard.add(native)
            self._heard(native)
        self._changed.set()

    def refused(self, subscription: Subscription, reason: str) -> None:
        """The venue says no: to one market, or (native name empty) to a whole request."""
        if subscription in self.pending:
            self.pending.discard(subscription)
            self._refused[subscription] = (reason, self._loop.time())
            log.warning("feed.refused", venue=self._exchange.id, native=subscription.native, reason=reason)
        elif subscription.native:
            return
        self._spoilt = True
        self._changed.set()

    def add(self, markets: Sequence[Market]) -> None:
        """Subscribe to these too."""
        self._exchange.add(markets)
        names = {market.native for market in markets}
        self._want([one for one in self._exchange.expected() if one.native in names])
        self._changed.set()

    def remove(self, natives: Collection[str]) -> None:
        """Unsubscribe from these."""
        gone = [one for native in natives for one in self._of.pop(native, ())]
        self._exchange.drop(natives)
        self.pending.difference_update(gone)
        self.heard.difference_update(natives)
        self._wanted = [one for one in self._wanted if one.native not in natives]
        self._gone += [one for one in gone if one in self._asked]
        self._asked.difference_update(gone)
        self._changed.set()

    def renew(self, natives: Collection[str]) -> None:
        """Ask again for markets the venue has confirmed but of which nothing comes."""
        again = [one for native in natives for one in self._of.get(native, ()) if one not in self._refused]
        self.heard.difference_update(natives)
        self._gone += [one for one in again if one not in self.pending]
        self._want(again)
        self._changed.set()

    def _want(self, wanted: Sequence[Subscription]) -> None:
        """Leaves out what was refused lately."""
        for one in wanted:
            known = self._of.setdefault(one.native, [])
            if one not in known:
                known.append(one)
        oldest = self._loop.time() - self._settings.refused_retry
        mine = [one for one in wanted if one not in self._refused or self._refused[one][1] < oldest]
        self.pending.update(mine)
        self._wanted += mine

    def _is_whole(self, native: str) -> bool:
        return not any(one in self.pending or one in self._refused for one in self._of[native])

    @property
    def _news(self) -> bool:
        return bool(self._wanted or self._gone)

    async def _ask_new(self) -> None:
        gone, self._gone = self._gone, []
        if gone:
            for send in self._exchange.unsubscribe(gone):
                await self._request(send.frame)
        wanted, self._wanted = self._wanted, []
        await self._ask([one for one in wanted if one not in self._refused], alone=False)
        await self._ask([one for one in wanted if one in self._refused], alone=True)

    async def _ask(self, wanted: list[Subscription], *, alone: bool) -> None:
        self._asked.update(wanted)
        for send in self._exchange.subscribe(wanted, alone=alone) if wanted else ():
            await self._request(send.frame)

    async def _change(self) -> None:
        if not self._news:
            self._changed.clear()
            await self._changed.wait()

    async def _settled(self, wait: float) -> bool:
        """True when nothing is pending; False after `wait`, or at once where one refusal spoilt a request."""
        try:
            async with asyncio.timeout(wait):
                while self.pending and not self._spoilt and not self._news:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._timeouts += 1
            if self._timeouts >= _TRIES:
                self.stands.set()
        self._spoilt = False
        return not self.pending
