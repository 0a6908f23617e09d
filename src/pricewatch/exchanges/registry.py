"""Every venue pricewatch can listen to."""

from __future__ import annotations

from pricewatch.exchanges.base import Exchange
from pricewatch.exchanges.binance import Binance
from pricewatch.exchanges.binance_us import BinanceUS
from pricewatch.exchanges.bitfinex import Bitfinex
from pricewatch.exchanges.bitget import Bitget
from pricewatch.exchanges.bitstamp import Bitstamp
from pricewatch.exchanges.bybit import Bybit
from pricewatch.exchanges.coinbase import Coinbase
from pricewatch.exchanges.coinbase_advanced import CoinbaseAdvanced
from pricewatch.exchanges.cryptocom import CryptoCom
from pricewatch.exchanges.deribit import Deribit
from pricewatch.exchanges.gateio import GateIo
from pricewatch.exchanges.gemini import Gemini
from pricewatch.exchanges.htx import Htx
from pricewatch.exchanges.hyperliquid import Hyperliquid
from pricewatch.exchanges.kraken import Kraken
from pricewatch.exchanges.kucoin import KuCoin
from pricewatch.exchanges.okx import Okx
from pricewatch.exchanges.upbit import Upbit

EXCHANGES: dict[str, type[Exchange]] = {
    Binance.id: Binance,
    BinanceUS.id: BinanceUS,
    Bitfinex.id: Bitfinex,
    Bitget.id: Bitget,
    Bitstamp.id: Bitstamp,
    Bybit.id: Bybit,
    Coinbase.id: Coinbase,
    CoinbaseAdvanced.id: CoinbaseAdvanced,
    CryptoCom.id: CryptoCom,
    Deribit.id: Deribit,
    GateIo.id: GateIo,
    Gemini.id: Gemini,
    Htx.id: Htx,
    Hyperliquid.id: Hyperliquid,
    Kraken.id: Kraken,
    KuCoin.id: KuCoin,
    Okx.id: Okx,
    Upbit.id: Upbit,
}
