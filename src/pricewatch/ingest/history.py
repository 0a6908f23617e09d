"""The venue's REST history: missing trades and past candles, at the venue's pace."""

from __future__ import annotations

import aiohttp

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.exchanges.base import CandleRequest, Exchange, HistoryPage, HistoryRequest
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.settings import VenueSettings
from pricewatch.ingest.transport.refusal import refusal
from pricewatch.ports.clock import Clock

_MAX_BODY = 16 * 1024 * 1024
"""Bytes of one reply; a page of 1,000 rows is a few hundred kilobytes."""


class VenueHistory:
    """Asks one venue at its pace, and keeps away for as long as it says."""

    def __init__(
        self,
        exchange: Exchange,
        settings: VenueSettings,
        *,
        session: aiohttp.ClientSession,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._exchange = exchange
        self._session = session
        self._clock = clock
        self._counters = counters
        self._limit = settings.max_gap
        self._timeout = aiohttp.ClientTimeout(total=settings.history_timeout)
        interval = settings.history_interval
        self._pace = Pace(exchange.history_interval if interval is None else interval)

    async def trades(self, market: Market, first: int, last: int | None, since: int) -> list[Trade]:
        """The trades `first..last` as far as the venue has them, oldest first, about `max_gap` at most.

        `since`: an instant not after the first of them. Raises `Unavailable` (try again) or `Refused`.
        """
        found: dict[int, Trade] = {}
        request: HistoryRequest | None = self._exchange.history_request(market, first, last, since)
        while request is not None and len(found) < self._limit:
            body = await self._get(request.url)
            page = self._page(request, body)
            known = len(found)
            found.update((trade.key, trade) for trade in page.trades)
            if page.trades and len(found) == known:
                break  # the venue repeats itself
            request = page.next
        return [found[key] for key in sorted(found)]

    async def candles(self, market: Market, start: int, end: int) -> list[Candle]:
        """One-minute candles with `start <= at < end`, oldest first. Raises `Unavailable` or `Refused`."""
        candles: list[Candle] = []
        for request in self._exchange.candle_requests(market, start, end):
            candles += self._candles(request, await self._get(request.url))
        return candles

    def _page(self, request: HistoryRequest, body: bytes) -> HistoryPage:
        try:
            return self._exchange.parse_history(request, body, self._clock.now())
        except BadData as error:
            self._counters.history_failures += 1
            raise Unavailable(f"{request.url}: {error}") from error

    def _candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        try:
            return self._exchange.parse_candles(request, body)
        except BadData as error:
            self._counters.history_failures += 1
            raise Unavailable(f"{request.url}: {error}") from error

    async def _get(self, url: str) -> bytes:
        """One reply's body. A stated time to stay away holds for every later request."""
        await self._pace.turn()
        self._counters.history_requests += 1
        try:
            return await self._fetch(url)
        except Refused as error:
            self._counters.history_failures += 1
            if error.retry_after is None:
                raise
            self._pace.stay_away(error.retry_after)
            raise Unavailable(str(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self._counters.history_failures += 1
            raise Unavailable(f"{url}: {str(error) or type(error).__name__}") from error
        except Unavailable:
            self._counters.history_failures += 1
            raise

    async def _fetch(self, url: str) -> bytes:
        async with self._session.get(url, timeout=self._timeout) as response:
            if response.status != 200:
                raise refusal(response.status, response.headers, url)
            body = await response.content.read(_MAX_BODY)
            while len(body) < _MAX_BODY and (more := await response.content.read(_MAX_BODY - len(body))):
                body += more
            return body
