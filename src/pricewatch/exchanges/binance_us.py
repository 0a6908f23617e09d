"""Binance.US: Binance's protocol at another address, and less history without a key.

https://docs.binance.us/#websocket-streams and https://docs.binance.us/#trade-data: `historicalTrades` wants an API
key here, `trades` does not but holds the newest 1,000 of a symbol only. What lies before them is left to candles.
"""

from __future__ import annotations

from pricewatch.domain.market import Market
from pricewatch.exchanges.base import Endpoints, HistoryPage, HistoryRequest, Request
from pricewatch.exchanges.binance import Binance


class BinanceUS(Binance):
    """As `Binance` but for its addresses, its trade history and one option of its list."""

    id = "binance_us"
    endpoints = Endpoints(socket="wss://stream.binance.us:9443", rest="https://api.binance.us")

    def instrument_requests(self) -> list[Request]:
        """Every symbol in one answer."""
        return [Request(f"{self.where.rest}/api/v3/exchangeInfo")]

    def history_request(
        self,
        market: Market,
        first: int,
        last: int | None,
        since: int,  # noqa: ARG002 - the newest are all there is
        until: int | None = None,  # noqa: ARG002
    ) -> HistoryRequest:
        """The newest 1,000 trades."""
        url = f"{self.where.rest}/api/v3/trades?symbol={market.native}&limit=1000"
        return HistoryRequest(market, url, first, last)

    def parse_history(self, request: HistoryRequest, body: bytes, received: int) -> HistoryPage:
        """The one page there is."""
        return HistoryPage(super().parse_history(request, body, received).trades, None)
