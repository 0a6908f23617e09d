"""Every venue the simulator can be."""

from __future__ import annotations

from pricewatch.domain.errors import ConfigError
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.session import Venue
from pricewatch.simulator.venues.binance import Binance
from pricewatch.simulator.venues.binance_us import BinanceUS
from pricewatch.simulator.venues.bitfinex import Bitfinex
from pricewatch.simulator.venues.bitget import Bitget
from pricewatch.simulator.venues.bitstamp import Bitstamp
from pricewatch.simulator.venues.bybit import Bybit
from pricewatch.simulator.venues.coinbase import Coinbase
from pricewatch.simulator.venues.coinbase_advanced import CoinbaseAdvanced
from pricewatch.simulator.venues.cryptocom import CryptoCom
from pricewatch.simulator.venues.deribit import Deribit
from pricewatch.simulator.venues.gateio import GateIo
from pricewatch.simulator.venues.gemini import Gemini
from pricewatch.simulator.venues.htx import Htx
from pricewatch.simulator.venues.hyperliquid import Hyperliquid
from pricewatch.simulator.venues.kraken import Kraken
from pricewatch.simulator.venues.kucoin import KuCoin
from pricewatch.simulator.venues.okx import Okx
from pricewatch.simulator.venues.upbit import Upbit

VENUES: dict[str, type[Venue]] = {
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


def listed(venue: str, symbol: str) -> Listing:
    """The market of a canonical symbol, as that venue lists it; raises `ConfigError` for what cannot be."""
    if venue not in VENUES:
        raise ConfigError(f"simulator.markets: there is no venue {venue[:40]!r}; there are {', '.join(VENUES)}")
    base, _, quote = symbol.partition("-")
    if not base or not quote:
        raise ConfigError(f"simulator.markets.{venue}: {symbol[:40]!r} is not BASE-QUOTE; write for example 'BTC-USD'")
    return VENUES[venue].listed(symbol)
