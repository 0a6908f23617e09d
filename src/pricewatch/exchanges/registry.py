"""Every venue pricewatch can listen to."""

from __future__ import annotations

from pricewatch.exchanges.base import Exchange
from pricewatch.exchanges.binance import Binance
from pricewatch.exchanges.binance_us import BinanceUS
from pricewatch.exchanges.coinbase import Coinbase
from pricewatch.exchanges.coinbase_advanced import CoinbaseAdvanced
from pricewatch.exchanges.deribit import Deribit
from pricewatch.exchanges.kraken import Kraken

EXCHANGES: dict[str, type[Exchange]] = {
    Binance.id: Binance,
    BinanceUS.id: BinanceUS,
    Coinbase.id: Coinbase,
    CoinbaseAdvanced.id: CoinbaseAdvanced,
    Deribit.id: Deribit,
    Kraken.id: Kraken,
}
