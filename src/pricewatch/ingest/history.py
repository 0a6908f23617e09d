"""The venue's REST history: missing trades and past candles."""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

from pricewatch.domain.errors import BadData, Unavailable
from pricewatch.domain.market import Candle, Market, Trade
from pricewatch.exchanges.base import CandleRequest, Exchange, HistoryPage, HistoryRequest
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.transport.refusal import shown
from pricewatch.ingest.venue_rest import VenueRest
from pricewatch.ports.clock import Clock


class Found(NamedTuple):
    """What a venue's history gave."""

    trades: list[Trade]
    """Oldest first."""
    complete: bool
    """The venue has nothing more of what was asked for."""


class VenueHistory:
    """Asks one venue."""

    def __init__(self, exchange: Exchange, rest: VenueRest, *, clock: Clock, counters: Counters, limit: int) -> None:
        """`limit`: about how many trades one call fetches at most."""
        self._exchange = exchange
        self._rest = rest
        self._clock = clock
        self._counters = counters
        self._limit = limit

    def has_trades(self, market: Market) -> bool:
        """Whether the venue has a trade history that anyone may read."""
        return self._exchange.history_request(market, 1, 1, 0, 1) is not None

    async def trades(self, market: Market, first: int, last: int | None, since: int) -> list[Trade]:
        """The trades `first..last` as far as the venue has them, oldest first, by their consecutive ids.

        `since`: an instant not after the first of them. Raises `Unavailable` (try again) or `Refused`.
        """
        found = await self._pages(self._exchange.history_request(market, first, last, since))
        return sorted(found.trades, key=attrgetter("key"))

    async def between(self, market: Market, since: int, until: int | None) -> Found:
        """The trades with `since <= at <= until` (None: up to now), by their times. Raises as `trades` does."""
        found = await self._pages(self._exchange.history_request(market, 0, None, since, until))
        return Found(sorted(found.trades, key=attrgetter("at")), found.complete)

    async def candles(self, market: Market, start: int, end: int) -> list[Candle]:
        """One-minute candles with `start <= at < end`, oldest first. Raises `Unavailable` or `Refused`."""
        candles: list[Candle] = []
        for request in self._exchange.candle_requests(market, start, end):
            candles += self._candles(request, await self._rest.ask(request.url, request.body))
        return candles

    async def _pages(self, request: HistoryRequest | None) -> Found:
        pages: list[list[Trade]] = []
        known: set[int] = set()
        while request is not None and len(known) < self._limit:
            page = self._page(request, await self._rest.ask(request.url, request.body))
            news = {trade.key: trade for trade in page.trades if trade.key not in known}
            known |= news.keys()
            if news:
                pages.append(list(news.values()))
            elif page.trades:
                break  # the venue repeats itself
            request = page.next
        pages.sort(key=lambda page: page[0].at)  # some venues page back in time
        return Found([trade for page in pages for trade in page], request is None)

    def _page(self, request: HistoryRequest, body: bytes) -> HistoryPage:
        try:
            return self._exchange.parse_history(request, body, self._clock.now())
        except BadData as error:
            self._counters.history_failures += 1
            raise Unavailable(f"{shown(request.url)}: {error}") from error

    def _candles(self, request: CandleRequest, body: bytes) -> list[Candle]:
        try:
            return self._exchange.parse_candles(request, body)
        except BadData as error:
            self._counters.history_failures += 1
            raise Unavailable(f"{shown(request.url)}: {error}") from error
