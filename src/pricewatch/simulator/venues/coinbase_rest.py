"""Coinbase Exchange REST: trades by cursor, candles, products.

Trades and cursors: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-trades and
https://docs.cdp.coinbase.com/exchange/rest-api/pagination. `before` answers with the newest trades down to its cursor,
not with those next to it: walk back with `after`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from pricewatch.domain.time import MINUTE, SECOND, from_datetime
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.session import Reply, whole
from pricewatch.simulator.text import iso, number, short

_GRANULARITIES = {60, 300, 900, 3_600, 21_600, 86_400}
_MOST_TRADES = 1_000
_MOST_CANDLES = 300


def answer(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str], now: int) -> Reply:
    """A GET behind the venue's address; `ledgers` by product id."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["time"]:
            return Reply({"iso": iso(now)[:23] + "Z", "epoch": now // 1_000 / 1_000})
        case ["products"]:
            return Reply([_product(ledger) for ledger in ledgers.values()])
        case ["products", name] if name in ledgers:
            return Reply(_product(ledgers[name]))
        case ["products", name, "trades"] if name in ledgers:
            return _trades(ledgers[name], query)
        case ["products", name, "candles"] if name in ledgers:
            return _candles(ledgers[name], query, now)
        case _:
            return Reply({"message": "NotFound"}, 404)


def _trades(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    try:
        before, after, limit = whole(query, "before"), whole(query, "after"), whole(query, "limit")
    except ValueError:
        return Reply({"message": "Invalid cursor"}, 400)
    most = _MOST_TRADES if limit is None else min(max(limit, 1), _MOST_TRADES)
    page = ledger.between(before, after, most)[::-1]
    headers = {"CB-BEFORE": str(page[0].id), "CB-AFTER": str(page[-1].id)} if page else {}
    return Reply([_trade(trade) for trade in page], 200, headers)


def _trade(trade: Print) -> dict[str, Any]:
    return {
        "trade_id": trade.id,
        "side": "sell" if trade.side > 0 else "buy",
        "size": f"{trade.size:.8f}",
        "price": f"{trade.price:.8f}",
        "time": iso(trade.at),
    }


def _candles(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    try:
        granularity = whole(query, "granularity") or 60
        start, end = _instant(query.get("start")), _instant(query.get("end"))
    except ValueError:
        return Reply({"message": "Invalid date or granularity"}, 400)
    if granularity not in _GRANULARITIES:
        return Reply({"message": "Unsupported granularity"}, 400)
    width = granularity * SECOND
    end = now if end is None else end
    start = end - _MOST_CANDLES * width if start is None else start
    if (end - start) // width > _MOST_CANDLES:
        text = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
        return Reply({"message": text}, 400)
    bars = ledger.bars(width // MINUTE, start, end)[-_MOST_CANDLES:]
    return Reply([_candle(bar, ledger.listing.decimals) for bar in reversed(bars)])


def _candle(bar: Bar, decimals: int) -> list[msgspec.Raw | int]:
    prices = [msgspec.Raw(number(value, decimals).encode()) for value in (bar.low, bar.high, bar.open, bar.close)]
    return [bar.at // SECOND, *prices, msgspec.Raw(number(bar.volume, 8).encode())]


def _instant(text: str | None) -> int | None:
    """Microseconds of an ISO 8601 time or of unix seconds."""
    if not text:
        return None
    if text.isdecimal():
        return int(text[:12]) * SECOND
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    if moment.tzinfo is None:
        moment = datetime.fromisoformat(f"{text}Z")
    return from_datetime(moment)


def _product(ledger: Ledger) -> dict[str, Any]:
    listing = ledger.listing
    return {
        "id": listing.native,
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "base_min_size": short(10.0**-listing.lot, listing.lot),
        "base_max_size": "10000",
        "quote_increment": short(listing.tick, listing.decimals),
        "base_increment": short(10.0**-listing.lot, listing.lot),
        "display_name": f"{listing.base}/{listing.quote}",
        "min_market_funds": "1",
        "max_market_funds": "1000000",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "trading_disabled": False,
        "status": "online",
        "status_message": "",
    }
