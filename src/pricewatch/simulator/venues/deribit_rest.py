"""Deribit REST: trades by number, chart data in columns, instruments.

https://docs.deribit.com/api-reference/market-data/public-get_last_trades_by_instrument, …-get_tradingview_chart_data
and …-get_instruments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.session import Reply, whole
from pricewatch.simulator.text import number

_MOST_TRADES = 1_000
_MOST_CANDLES = 5_000
_FOREVER = 32_503_708_800_000
_SPANS = {"1": 1, "3": 3, "5": 5, "10": 10, "15": 15, "30": 30, "60": 60, "120": 120, "180": 180, "360": 360}
_SPANS |= {"720": 720, "1D": 1_440}


def answer(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str], now: int) -> Reply:
    """A GET behind the venue's address; `ledgers` by native name."""
    match path:
        case "/public/get_time":
            return _result(now // 1_000, now)
        case "/public/test":
            return _result({"version": "1.2.26"}, now)
        case "/public/get_instruments":
            return _instruments(ledgers, query, now)
        case "/public/get_last_trades_by_instrument" | "/public/get_tradingview_chart_data":
            ledger = ledgers.get(query.get("instrument_name", ""))
            if ledger is None:
                return _failure(-32602, "Invalid params", "wrong format", "instrument_name")
            try:
                return _trades(ledger, query, now) if path.endswith("instrument") else _chart(ledger, query, now)
            except ValueError as exc:
                return _failure(-32602, "Invalid params", "value must be an integer", str(exc)[:40])
        case _:
            return _failure(-32601, "Method not found")


def trade_text(listing: Listing, trade: Print) -> str:
    """One trade, as frames and REST tell it."""
    places, index = listing.decimals, number(trade.price, listing.decimals)
    return (
        f'{{"trade_seq":{trade.id},"trade_id":"{trade_ident(listing, trade)}","timestamp":{trade.at // 1_000}'
        f',"tick_direction":{0 if trade.side > 0 else 2},"price":{number(trade.price, places)},"mark_price":{index}'
        f',"instrument_name":"{listing.native}","index_price":{index}'
        f',"direction":"{"buy" if trade.side > 0 else "sell"}","amount":{number(trade.size, listing.lot)}}}'
    )


def trade_ident(listing: Listing, trade: Print) -> str:
    """Unique in its currency: plain numbers for bitcoin's contracts, with a name before them elsewhere."""
    if trade.ref:
        return trade.ref
    plain = f"{trade.id + 17_000_000}"
    return plain if listing.native.startswith("BTC-") else f"{listing.native.partition('-')[0]}-{plain}"


def _trades(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    first, last, wanted = whole(query, "start_seq"), whole(query, "end_seq"), whole(query, "count")
    limit = min(max(10 if wanted is None else wanted, 1), _MOST_TRADES)
    above, below = None if first is None else first - 1, None if last is None else last + 1
    if query.get("sorting") == "asc":
        page = [trade for trade in ledger.starting(first or 0, limit + 1) if below is None or trade.id < below]
        more, page = len(page) > limit, page[:limit]
    else:
        page = ledger.between(above, below, limit + 1)
        more, page = len(page) > limit, page[-limit:][::-1]
    rows = [msgspec.Raw(trade_text(ledger.listing, trade).encode()) for trade in page]
    return _result({"trades": rows, "has_more": more}, now)


def _chart(ledger: Ledger, query: Mapping[str, str], now: int) -> Reply:
    span = _SPANS.get(query.get("resolution", ""))
    start, end = whole(query, "start_timestamp"), whole(query, "end_timestamp")
    if span is None or start is None or end is None:
        return _failure(-32602, "Invalid params", "wrong format", "resolution")
    bars = ledger.bars(span, start * 1_000, end * 1_000)[-_MOST_CANDLES:]
    columns: dict[str, Any] = {
        "volume": [bar.volume for bar in bars],
        "ticks": [bar.at // 1_000 for bar in bars],
        "status": "ok" if bars else "no_data",
        "open": [bar.open for bar in bars],
        "low": [bar.low for bar in bars],
        "high": [bar.high for bar in bars],
        "cost": [bar.turnover for bar in bars],
        "close": [bar.close for bar in bars],
    }
    return _result(columns, now)


def _instruments(ledgers: Mapping[str, Ledger], query: Mapping[str, str], now: int) -> Reply:
    currency, kind = query.get("currency", ""), query.get("kind")
    if not currency:
        return _failure(-32602, "Invalid params", "required", "currency")
    rows = [_instrument(ledger.listing) for ledger in ledgers.values()]
    return _result(
        [row for row in rows if currency in {"any", row["base_currency"]} and kind in {None, "any", row["kind"]}],
        now,
    )


def _instrument(listing: Listing) -> dict[str, Any]:
    contract = listing.inverse
    quote = "USD" if contract else listing.quote
    return {
        "tick_size": listing.tick,
        "taker_commission": 0.0005,
        "settlement_period": ("perpetual" if listing.quote == "PERPETUAL" else "month") if contract else None,
        "quote_currency": quote,
        "min_trade_amount": 10.0**-listing.lot,
        "maker_commission": 0.0,
        "kind": "future" if contract else "spot",
        "is_active": True,
        "instrument_name": listing.native,
        "expiration_timestamp": _FOREVER,
        "creation_timestamp": 1_534_167_754_000,
        "contract_size": 10.0 if contract else 1.0,
        "block_trade_commission": 0.00025,
        "base_currency": listing.base,
    }


def _result(result: Any, now: int) -> Reply:
    body = {"jsonrpc": "2.0", "result": result, "usIn": now, "usOut": now + 40, "usDiff": 40, "testnet": False}
    return Reply(body)


def _failure(code: int, message: str, reason: str = "", param: str = "") -> Reply:
    data = {"data": {"reason": reason, "param": param}} if reason else {}
    return Reply({"jsonrpc": "2.0", "error": {"message": message, **data, "code": code}, "testnet": False}, 400)
