"""Every venue pricewatch can listen to."""

from __future__ import annotations

from pricewatch.exchanges.base import Exchange
from pricewatch.exchanges.binance import Binance
from pricewatch.exchanges.coinbase import Coinbase
from pricewatch.exchanges.gateio import GateIo
from pricewatch.exchanges.htx import Htx
from pricewatch.exchanges.kraken import Kraken
from pricewatch.exchanges.kucoin import KuCoin
from pricewatch.exchanges.upbit import Upbit

EXCHANGES: dict[str, type[Exchange]] = {
    Binance.id: Binance,
    Coinbase.id: Coinbase,
    GateIo.id: GateIo,
    Htx.id: Htx,
    Kraken.id: Kraken,
    KuCoin.id: KuCoin,
    Upbit.id: Upbit,
}
