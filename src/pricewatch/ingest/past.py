"""A venue's past, page by page: candles of any span, and trades where it has a history anyone may read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from operator import attrgetter
from typing import Protocol, TypeVar

from pricewatch.domain.errors import BadData, Unavailable
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.exchanges.base import Exchange, HistoryPage, HistoryRequest
from pricewatch.ingest.backoff import doubled
from pricewatch.ingest.candles import is_sound
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ports.clock import Clock

_IDS = 5_000
"""Trades asked for at once where they are asked for by id."""
Found = TypeVar("Found")


class Rest(Protocol):
    """A venue's REST service, at its pace."""

    async def ask(self, url: str, body: str | None = None) -> bytes:
        """One reply's body; raises `Unavailable` or `Refused`."""
        ...


class Past:
    """One venue's. What fails is asked again with growing pauses, for `refill_deadline` seconds at most."""

    def __init__(
        self,
        exchange: Exchange,
        rest: Rest,
        settings: VenueSettings,
        *,
        clock: Clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._exchange = exchange
        self._rest = rest
        self._settings = settings
        self._clock = clock
        self._pause = pause

    def tells_trades(self, market: Market) -> bool:
        """Whether the venue has a history of trades."""
        return self._exchange.history_request(market, 1, 1, 0, 1) is not None

    async def candles(self, market: Market, start: int, end: int) -> AsyncIterator[tuple[int, list[Candle]]]:
        """Pages of sound one-minute candles with `start <= at < end`, each with how far it reaches.

        Raises `Unavailable` when the venue stays away, or `Refused`.
        """
        for request in self._exchange.candle_requests(market, start, end):

            def read(body: bytes, request: object = request) -> list[Candle]:
                return self._exchange.parse_candles(request, body)  # type: ignore[arg-type]

            found = await self._asked(request.url, request.body, read)
            yield request.end, [candle for candle in found if is_sound(candle)]

    async def trades(self, market: Market, start: int, end: int) -> AsyncIterator[tuple[int, list[Trade]]]:
        """Pages of the trades with `start <= at < end`, each with how far the search has come; raises likewise.

        In whatever order the venue tells them; nothing where it has no history.
        """
        if not self.tells_trades(market):
            return
        pages = self._by_id(market, start, end) if self._asks_by_id(market) else self._by_time(market, start, end)
        async for page in pages:
            trades = [trade for trade in page if start <= trade.at < end]
            if trades:
                yield max(trade.at for trade in trades), trades

    def _asks_by_id(self, market: Market) -> bool:
        """Whether a request for the past looks the same whatever the time."""
        early, late = (self._exchange.history_request(market, 1, 1, at, at + 1) for at in (10**15, 10**15 + 10**12))
        return early is not None and late is not None and (early.url, early.body) == (late.url, late.body)

    async def _by_time(self, market: Market, start: int, end: int) -> AsyncIterator[list[Trade]]:
        request = self._exchange.history_request(market, 0, None, start, end - 1)
        async for page in self._pages(request):
            yield page
            if page and min(trade.at for trade in page) >= end:
                return

    async def _by_id(self, market: Market, start: int, end: int) -> AsyncIterator[list[Trade]]:
        known = await self._some_id(market)
        if known is None:
            return
        newest = await self._newest(market, known)
        first = await self._first_id(market, start, known, newest)
        last = await self._first_id(market, end, known, newest) - 1
        for low in range(first, last + 1, _IDS):
            high = min(low + _IDS - 1, last)
            async for page in self._pages(self._exchange.history_request(market, low, high, start, end)):
                yield page

    async def _some_id(self, market: Market) -> int | None:
        """The id of one trade that is there, the oldest or the newest as the venue likes; None without any."""
        async for page in self._pages(self._exchange.history_request(market, 0, None, 0, None)):
            return page[-1].key if page else None
        return None

    async def _newest(self, market: Market, known: int) -> int:
        """The highest id there is, by doubling and halving."""
        low, step = known, 1
        while await self._at(market, low + step) is not None:
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if await self._at(market, middle) is None else (middle, high)
        return low

    async def _first_id(self, market: Market, at: int, known: int, newest: int) -> int:
        """The lowest id of a trade not before `at`; one beyond the newest where there is none."""
        low, high = 0, newest + 1
        while low < high:
            middle = (low + high) // 2
            found = await self._at(market, middle)
            if found is None:  # ids need not begin at one
                low, high = (middle + 1, high) if middle < known else (low, middle)
            elif found < at:
                low = middle + 1
            else:
                high = middle
        return low

    async def _at(self, market: Market, key: int) -> int | None:
        """When a trade was; None where there is none of this id."""
        async for page in self._pages(self._exchange.history_request(market, key, key, 0, None)):
            if page:
                return page[0].at
        return None

    async def _pages(self, request: HistoryRequest | None) -> AsyncIterator[list[Trade]]:
        while request is not None:

            def read(body: bytes, request: HistoryRequest = request) -> HistoryPage:
                return self._exchange.parse_history(request, body, self._clock.now())

            page = await self._asked(request.url, request.body, read)
            yield sorted(page.trades, key=attrgetter("at"))
            request = None if page.next is None or page.next.url == request.url else page.next

    async def _asked(self, url: str, body: str | None, read: Callable[[bytes], Found]) -> Found:
        """One answer, understood."""
        settings, waited, attempt = self._settings, 0.0, 0
        while True:
            try:
                return read(await self._rest.ask(url, body))
            except (Unavailable, BadData) as error:
                wait = doubled(settings.refill_backoff, settings.refill_backoff_cap, attempt)
                if waited + wait > settings.refill_deadline:
                    raise Unavailable(f"{url.partition('?')[0]}: {error}") from error
            await self._pause(wait)
            waited, attempt = waited + wait, attempt + 1
