"""Kraken REST: trades by a nanosecond cursor, candles, the list of pairs.

https://docs.kraken.com/api/docs/rest-api/get-recent-trades/, …/get-ohlc-data/, …/get-tradable-asset-pairs/. Results
are keyed by Kraken's own name of the pair (`XXBTZUSD`), whatever name was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.simulator.ledger import Bar, Ledger, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.session import Reply, whole

_ALIASES = {"BTC": "XBT", "DOGE": "XDG"}
_LEGACY = {"XBT": "XXBT", "XDG": "XXDG", "ETH": "XETH", "LTC": "XLTC", "XRP": "XXRP", "XMR": "XXMR", "ZEC": "XZEC"}
_FIAT = {"USD": "ZUSD", "EUR": "ZEUR", "GBP": "ZGBP", "CAD": "ZCAD", "JPY": "ZJPY", "AUD": "ZAUD"}
_INTERVALS = {1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600}
_MOST_TRADES = 1_000
_MOST_CANDLES = 720
_NANOS = 10**15  # a `since` below this is in seconds


def answer(ledgers: Mapping[str, Ledger], path: str, query: Mapping[str, str], now: int) -> Reply:
    """A GET behind the venue's address."""
    match path:
        case "/0/public/Time":
            return _result({"unixtime": now // SECOND})
        case "/0/public/AssetPairs":
            return _pairs(ledgers, query)
        case "/0/public/Trades" | "/0/public/OHLC":
            pair = query.get("pair", "")
            ledger = next((one for one in ledgers.values() if pair in _names(one.listing)), None)
            if ledger is None:
                return _failure("EQuery:Unknown asset pair")
            try:
                return _trades(ledger, query) if path.endswith("Trades") else _candles(ledger, query)
            except ValueError as exc:
                return _failure(f"EGeneral:Invalid arguments:{str(exc)[:40]}")
        case _:
            return _failure("EGeneral:Unknown method")


def _assets(listing: Listing) -> tuple[str, str]:
    return _ALIASES.get(listing.base, listing.base), _ALIASES.get(listing.quote, listing.quote)


def _codes(listing: Listing) -> tuple[str, str]:
    """Kraken's own names of the two assets."""
    base, quote = _assets(listing)
    return _LEGACY.get(base, base), _FIAT.get(quote) or _LEGACY.get(quote, quote)


def _key(listing: Listing) -> str:
    (base, quote), (base_code, quote_code) = _assets(listing), _codes(listing)
    return base_code + quote_code if base_code != base and quote_code != quote else base + quote


def _names(listing: Listing) -> set[str]:
    base, quote = _assets(listing)
    return {_key(listing), base + quote, f"{base}/{quote}", listing.native, listing.base + listing.quote}


def _trades(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    since, count = whole(query, "since"), whole(query, "count")
    limit = _MOST_TRADES if count is None else count
    if not 1 <= limit <= _MOST_TRADES:
        raise ValueError("count")
    if since is None:
        page, last = ledger.newest(limit), ledger.cursor()
    else:
        page, last = ledger.since(since * 10**9 if since < _NANOS else since, limit)
    rows = [_trade(trade, ledger.listing) for trade in page]
    return _result({_key(ledger.listing): rows, "last": str(last)})


def _trade(trade: Print, listing: Listing) -> list[Any]:
    return [
        f"{trade.price:.{max(listing.decimals, 5)}f}",
        f"{trade.size:.8f}",
        msgspec.Raw(f"{trade.at // SECOND}.{trade.at % SECOND:06d}".encode()),
        "b" if trade.side > 0 else "s",
        "l" if trade.id % 3 == 0 else "m",
        "",
        trade.id,
    ]


def _candles(ledger: Ledger, query: Mapping[str, str]) -> Reply:
    interval = whole(query, "interval") or 1
    if interval not in _INTERVALS:
        raise ValueError("interval")
    since = whole(query, "since")
    bars = ledger.bars(interval)[-_MOST_CANDLES:]
    rows = [_candle(bar, ledger.listing.decimals) for bar in bars if since is None or bar.at > since * SECOND]
    last = bars[-2].at // SECOND if len(bars) > 1 else (bars[-1].at - interval * MINUTE) // SECOND if bars else 0
    return _result({_key(ledger.listing): rows, "last": last})


def _candle(bar: Bar, decimals: int) -> list[Any]:
    vwap = bar.turnover / bar.volume if bar.volume else bar.close
    prices = [f"{value:.{decimals}f}" for value in (bar.open, bar.high, bar.low, bar.close, vwap)]
    return [bar.at // SECOND, *prices, f"{bar.volume:.8f}", bar.trades]


def _pairs(ledgers: Mapping[str, Ledger], query: Mapping[str, str]) -> Reply:
    wanted = [name for name in query.get("pair", "").split(",") if name]
    chosen = list(ledgers.values())
    if wanted:
        chosen = [ledger for ledger in chosen if _names(ledger.listing) & set(wanted)]
        if len(chosen) < len(set(wanted)):
            return _failure("EQuery:Unknown asset pair")
    return _result({_key(ledger.listing): _pair(ledger.listing) for ledger in chosen})


def _pair(listing: Listing) -> dict[str, Any]:
    base, quote = _assets(listing)
    base_code, quote_code = _codes(listing)
    return {
        "altname": base + quote,
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": base_code,
        "aclass_quote": "currency",
        "quote": quote_code,
        "lot": "unit",
        "pair_decimals": listing.decimals,
        "lot_decimals": listing.lot,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.26], [50_000, 0.24]],
        "fees_maker": [[0, 0.16], [50_000, 0.14]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0002",
    }


def _result(result: dict[str, Any]) -> Reply:
    return Reply({"error": [], "result": result})


def _failure(error: str) -> Reply:
    return Reply({"error": [error]})
