"""Binance spot REST: trades, candles and the list of symbols.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md (market data endpoints and errors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.session import Reply, whole

_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360}
_MINUTES |= {"8h": 480, "12h": 720, "1d": 1_440}
_MOST = 1_000


def answer(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str], now: int) -> Reply:
    """A GET behind the venue's address; `ledgers` by native symbol."""
    match path:
        case "/api/v3/ping":
            return Reply({})
        case "/api/v3/time":
            return Reply({"serverTime": now // 1_000})
        case "/api/v3/exchangeInfo":
            return _exchange_info(ledgers, query, now)
        case "/api/v3/trades" | "/api/v3/historicalTrades" | "/api/v3/klines":
            return _of_symbol(ledgers, path, query)
        case _:
            return Reply("<html><body><h2>404 Not found</h2></body></html>", 404)


def _of_symbol(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str]) -> Reply:
    symbol = query.get("symbol")
    if not symbol:
        return _error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    ledger = ledgers.get(symbol)
    if ledger is None:
        return _error(-1121, "Invalid symbol.")
    try:
        limit = whole(query, "limit")
        limit = 500 if limit is None else min(max(limit, 1), _MOST)
        if path.endswith("klines"):
            return _klines(ledger, query, limit)
        first = whole(query, "fromId") if path.endswith("historicalTrades") else None
    except ValueError as exc:
        return _error(-1100, f"Illegal characters found in parameter '{exc.args[0][:40]}'.")
    trades = ledger.newest(limit) if first is None else ledger.starting(first, limit)
    return Reply([_trade(trade) for trade in trades])


def _trade(trade: Print) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": f"{trade.price:.8f}",
        "qty": f"{trade.size:.8f}",
        "quoteQty": f"{trade.price * trade.size:.8f}",
        "time": trade.at // 1_000,
        "isBuyerMaker": trade.side < 0,
        "isBestMatch": True,
    }


def _klines(ledger: Ledger, query: Mapping[str, str], limit: int) -> Reply:
    span = _MINUTES.get(query.get("interval", ""))
    if span is None:
        return _error(-1120, "Invalid interval.")
    start, end = whole(query, "startTime"), whole(query, "endTime")
    bars = ledger.bars(span, None if start is None else start * 1_000, None if end is None else end * 1_000)
    chosen: Sequence[Bar] = bars[:limit] if start is not None else bars[-limit:]
    return Reply([_kline(bar, span) for bar in chosen])


def _kline(bar: Bar, span: int) -> list[Any]:
    start = bar.at // 1_000
    share = bar.bought / bar.volume if bar.volume else 0.0
    return [
        start,
        f"{bar.open:.8f}",
        f"{bar.high:.8f}",
        f"{bar.low:.8f}",
        f"{bar.close:.8f}",
        f"{bar.volume:.8f}",
        start + span * 60_000 - 1,
        f"{bar.turnover:.8f}",
        bar.trades,
        f"{bar.bought:.8f}",
        f"{bar.turnover * share:.8f}",
        "0",
    ]


def _exchange_info(ledgers: Mapping[str, Ledger], query: Mapping[str, str], now: int) -> Reply:
    wanted = query.get("symbol")
    if wanted is not None and wanted not in ledgers:
        return _error(-1121, "Invalid symbol.")
    chosen = ledgers.values() if wanted is None else [ledgers[wanted]]
    limits = [("REQUEST_WEIGHT", "MINUTE", 1, 6_000), ("ORDERS", "SECOND", 10, 100), ("ORDERS", "DAY", 1, 200_000)]
    return Reply(
        {
            "timezone": "UTC",
            "serverTime": now // 1_000,
            "rateLimits": [
                {"rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": most}
                for kind, unit, number, most in limits
            ],
            "exchangeFilters": [],
            "symbols": [_symbol(ledger) for ledger in chosen],
        }
    )


def _symbol(ledger: Ledger) -> dict[str, Any]:
    listing = ledger.listing
    tick, lot = f"{listing.tick:.8f}", f"{10.0**-listing.lot:.8f}"
    return {
        "symbol": listing.native,
        "status": "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.00000000", "stepSize": lot},
        ],
        "permissions": ["SPOT", "MARGIN"],
    }


def _error(code: int, message: str) -> Reply:
    return Reply({"code": code, "msg": message}, 400)
