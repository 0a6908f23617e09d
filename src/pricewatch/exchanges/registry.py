"""Every venue pricewatch can listen to."""

from __future__ import annotations

from pricewatch.exchanges.base import Exchange
from pricewatch.exchanges.binance import Binance
from pricewatch.exchanges.bitfinex import Bitfinex
from pricewatch.exchanges.bitstamp import Bitstamp
from pricewatch.exchanges.coinbase import Coinbase
from pricewatch.exchanges.gemini import Gemini
from pricewatch.exchanges.hyperliquid import Hyperliquid
from pricewatch.exchanges.kraken import Kraken

EXCHANGES: dict[str, type[Exchange]] = {
    Binance.id: Binance,
    Bitfinex.id: Bitfinex,
    Bitstamp.id: Bitstamp,
    Coinbase.id: Coinbase,
    Gemini.id: Gemini,
    Hyperliquid.id: Hyperliquid,
    Kraken.id: Kraken,
}
