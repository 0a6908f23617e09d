"""Every venue pricewatch can listen to."""

from __future__ import annotations

from pricewatch.exchanges.base import Exchange
from pricewatch.exchanges.binance import Binance
from pricewatch.exchanges.bitget import Bitget
from pricewatch.exchanges.bybit import Bybit
from pricewatch.exchanges.coinbase import Coinbase
from pricewatch.exchanges.cryptocom import CryptoCom
from pricewatch.exchanges.kraken import Kraken
from pricewatch.exchanges.okx import Okx

EXCHANGES: dict[str, type[Exchange]] = {
    Binance.id: Binance,
    Bitget.id: Bitget,
    Bybit.id: Bybit,
    Coinbase.id: Coinbase,
    CryptoCom.id: CryptoCom,
    Kraken.id: Kraken,
    Okx.id: Okx,
}
