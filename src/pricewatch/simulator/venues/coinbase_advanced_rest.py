"""Coinbase Advanced Trade REST without a key: products, trades by time, candles.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/get-public-market-trades, …-candles and
list-public-products. Errors are known by their form only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.session import Reply, whole
from pricewatch.simulator.text import iso, short

_BASE = "/api/v3/brokerage/market/products"
_MINUTES = {"ONE_MINUTE": 1, "FIVE_MINUTE": 5, "FIFTEEN_MINUTE": 15, "THIRTY_MINUTE": 30, "ONE_HOUR": 60}
_MINUTES |= {"TWO_HOUR": 120, "SIX_HOUR": 360, "ONE_DAY": 1_440}
_MOST_TRADES = 1_000
_MOST_CANDLES = 350


def answer(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str], now: int) -> Reply:
    """A GET behind the venue's address; `ledgers` by product."""
    if path == "/api/v3/brokerage/time":
        return Reply({"iso": iso(now)[:19] + "Z", "epochSeconds": str(now // SECOND), "epochMillis": str(now // 1_000)})
    parts = path.removeprefix(_BASE).strip("/").split("/") if path.startswith(_BASE) else ["", "", ""]
    ledger = ledgers.get(parts[0])
    try:
        match parts:
            case [""]:
                rows = [_product(one.listing) for one in ledgers.values()]
                return Reply({"products": rows, "num_products": len(rows), "pagination": None})
            case [_] if ledger is not None:
                return Reply(_product(ledger.listing))
            case [_, "ticker"] if ledger is not None:
                return _trades(ledger, query, now)
            case [_, "candles"] if ledger is not None:
                return _candles(ledger, query)
            case _:
                return _failure("NOT_FOUND", "product not found", 404)
    except ValueError as exc:
        return _failure("INVALID_ARGUMENT", f"invalid {str(exc)[:40]}", 400)


def _trades(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    limit, start, end = whole(query, "limit"), whole(query, "start"), whole(query, "end")
    if limit is None:
        raise ValueError("limit")
    first, last = (start or 0) * SECOND, now if end is None else end * SECOND
    within = [trade for trade in ledger.newest(ledger.printed) if first <= trade.at <= last]
    page = within[-min(max(limit, 1), _MOST_TRADES) :][::-1]
    listing = ledger.listing
    bid, ask = short(ledger.bid, listing.decimals), short(ledger.ask, listing.decimals)
    return Reply({"trades": [_trade(listing, trade) for trade in page], "best_bid": bid, "best_ask": ask})


def _trade(listing: Listing, trade: Print) -> dict[str, Any]:
    return {
        "trade_id": str(trade.id),
        "product_id": listing.native,
        "price": short(trade.price, listing.decimals),
        "size": short(trade.size, listing.lot),
        "time": iso(trade.at),
        "side": "SELL" if trade.side > 0 else "BUY",
        "bid": "",
        "ask": "",
        "exchange": "coinbase",
    }


def _candles(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    span = _MINUTES.get(query.get("granularity", ""))
    start, end = whole(query, "start"), whole(query, "end")
    if span is None or start is None or end is None:
        raise ValueError("granularity, start or end")
    if (end - start) * SECOND // (span * MINUTE) >= _MOST_CANDLES:
        raise ValueError(f"range: more than {_MOST_CANDLES} candles")
    bars = ledger.bars(span, start * SECOND, end * SECOND)
    return Reply({"candles": [_candle(bar, ledger.listing.decimals) for bar in reversed(bars)]})


def _candle(bar: Bar, decimals: int) -> dict[str, str]:
    return {
        "start": str(bar.at // SECOND),
        "low": short(bar.low, decimals),
        "high": short(bar.high, decimals),
        "open": short(bar.open, decimals),
        "close": short(bar.close, decimals),
        "volume": short(bar.volume, 8),
    }


def _product(listing: Listing) -> dict[str, Any]:
    twin = listing.native.removesuffix("C") if listing.native.endswith("-USDC") else ""
    return {
        "product_id": listing.native,
        "base_increment": short(10.0**-listing.lot, listing.lot),
        "quote_increment": short(listing.tick, listing.decimals),
        "base_name": listing.base,
        "quote_name": listing.quote,
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": listing.quote,
        "base_currency_id": listing.base,
        "alias": twin,
        "alias_to": [],
        "view_only": False,
        "price_increment": short(listing.tick, listing.decimals),
        "display_name": listing.native,
    }


def _failure(error: str, message: str, status: int) -> Reply:
    return Reply({"error": error, "error_details": message, "message": message}, status)
