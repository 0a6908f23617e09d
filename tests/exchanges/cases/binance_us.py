from __future__ import annotations

import dataclasses

from tests.exchanges.cases import QuoteRow, TradeRow
from tests.exchanges.cases.binance import CASE as BINANCE

CASE = dataclasses.replace(
    BINANCE,
    venue="binance_us",
    symbols=("MANA-USD", "ZRX-USD"),
    natives=("MANAUSD", "ZRXUSD"),
    trades=[
        (
            '{"stream":"manausd@trade","data":{"e":"trade","E":1628952327578,"s":"MANAUSD","t":1985520,'
            '"p":"0.8293","q":"12.18000000","T":1628952327578,"m":false,"M":true}}',
            [TradeRow("MANA-USD", "0.8293", "12.18", "buy", "1985520", 1628952327578000)],
        )
    ],
    quotes=[
        (
            '{"stream":"zrxusd@bookTicker","data":{"u":124790176,"s":"ZRXUSD","b":"1.0550","B":"562.66000000",'
            '"a":"1.0566","A":"10950.08000000"}}',
            [QuoteRow("ZRX-USD", "1.055", "562.66", "1.0566", "10950.08")],
        )
    ],
    ignored=[
        '{"stream":"manausd@aggTrade","data":{"e":"aggTrade","E":1628952327578,"s":"MANAUSD","a":1698905,'
        '"p":"0.8293","q":"12.18000000","f":1985520,"l":1985520,"T":1628952327578,"m":false,"M":true}}'
    ],
    instruments=[
        b'{"timezone":"UTC","symbols":[{"symbol":"ZRXUSD","status":"TRADING","baseAsset":"ZRX","quoteAsset":"USD"},'
        b'{"symbol":"MANAUSD","status":"TRADING","baseAsset":"MANA","quoteAsset":"USD"}]}'
    ],
)
