"""Bitfinex REST: past trades, candles, the lists of pairs and names.

https://docs.bitfinex.com/reference/rest-public-trades, …/rest-public-candles, …/rest-public-conf.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.session import Reply, whole

NAMES = {"UST": "USDT", "UDC": "USDC", "DSH": "DASH", "IOT": "IOTA", "BCHN": "BCH"}
"""The venue's codes and what everybody else says."""
CODES = {name: code for code, name in NAMES.items()}
_TRADES = re.compile(r"/v2/trades/(t[A-Z0-9:]+)/hist\Z")
_CANDLES = re.compile(r"/v2/candles/trade:1m:(t[A-Z0-9:]+)/hist\Z")
_MOST = 10_000


def answer(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str]) -> Reply:
    """A GET behind the venue's address."""
    if path == "/v2/conf/pub:list:pair:exchange":
        return Reply([sorted(native.removeprefix("t") for native in ledgers)])
    if path == "/v2/conf/pub:map:currency:sym":
        return Reply([[list(pair) for pair in NAMES.items()]])
    found = _TRADES.match(path) or _CANDLES.match(path)
    ledger = ledgers.get(found[1]) if found else None
    if found is None:
        return _error(10_020, "path: invalid", 404)
    try:
        limit, start, end = _limit(query), whole(query, "start"), whole(query, "end")
    except ValueError as exc:
        return _error(10_020, f"{str(exc)[:40]}: invalid", 500)
    oldest_first = query.get("sort") == "1"
    if ledger is None:
        return Reply([])  # the venue knows no difference between no market and no trades
    if path.startswith("/v2/trades"):
        return Reply(_trades(ledger, limit, start, end, oldest_first=oldest_first))
    return Reply(_candles(ledger, limit, start, end, oldest_first=oldest_first))


def _limit(query: Mapping[str, str]) -> int:
    limit = whole(query, "limit")
    if limit is None:
        return 125
    if not 1 <= limit <= _MOST:
        raise ValueError("limit")
    return limit


def _trades(ledger: Ledger, limit: int, start: int | None, end: int | None, *, oldest_first: bool) -> list[Any]:
    found = [
        trade
        for trade in ledger.starting(0, 10**9)
        if (start is None or trade.at >= start * 1_000) and (end is None or trade.at <= end * 1_000)
    ]
    page = found[:limit] if oldest_first else found[::-1][:limit]
    return [_trade(trade) for trade in page]


def _trade(trade: Print) -> list[Any]:
    return [trade.id, trade.at // 1_000, -trade.size if trade.side < 0 else trade.size, trade.price]


def _candles(ledger: Ledger, limit: int, start: int | None, end: int | None, *, oldest_first: bool) -> list[Any]:
    low, high = (None if bound is None else bound * 1_000 for bound in (start, end))
    found = [bar for bar in ledger.bars(1, low, high) if bar.trades]
    page = found[:limit] if oldest_first else found[::-1][:limit]
    return [_candle(bar) for bar in page]


def _candle(bar: Bar) -> list[Any]:
    """Close before high and low."""
    return [bar.at // 1_000, bar.open, bar.close, bar.high, bar.low, bar.volume]


def _error(code: int, words: str, status: int) -> Reply:
    return Reply(["error", code, words], status)
