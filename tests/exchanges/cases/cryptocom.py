from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.exchanges.cases import Case, QuoteRow, TradeRow

TRADE = {"d": "1788335095880381801", "t": 1788335095880, "p": "77558.92", "q": "0.00064", "s": "SELL"}
TICKER = {"h": "2", "l": "1", "a": "1.5", "c": "0", "b": "1.4", "bs": "1", "k": "1.6", "ks": "2", "t": 1613580710768}


def answer(sends: Sequence[str]) -> list[str]:
    return refuse(sends, "")


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        request = json.loads(send)
        for subscription in request["params"]["channels"]:
            channel, _, name = subscription.partition(".")
            told: dict[str, Any] = {"id": request["id"], "method": "subscribe", "code": 0}
            if name == native:
                told |= {"code": 40003, "channel": subscription, "message": "Unknown symbol"}
            else:
                row = {**(TRADE if channel == "trade" else TICKER), "i": name}
                told["result"] = {
                    "instrument_name": name,
                    "subscription": subscription,
                    "channel": channel,
                    "data": [row],
                }
            answers.append(json.dumps(told))
    return answers


CASE = Case(
    venue="cryptocom",
    symbols=("BTC-USD", "ETH-USDT"),
    natives=("BTC_USD", "ETH_USDT"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USD","subscription":"trade.BTC_USD",'
            '"channel":"trade","data":[{"d":"1788335095880381802","t":1788335095880,"p":"77558.92","q":"0.00004",'
            '"s":"SELL","i":"BTC_USD","m":"4611686018690432925"},{"d":"1788335095880381801","t":1788335095880,'
            '"p":"77558.920000","q":"0.00064","s":"BUY","i":"BTC_USD","m":"4611686018690432925"}]}}',
            [
                TradeRow("BTC-USD", "77558.92", "0.00064", "buy", "1788335095880381801", 1788335095880000),
                TradeRow("BTC-USD", "77558.92", "0.00004", "sell", "1788335095880381802", 1788335095880000),
            ],
        ),
        (
            '{"id":7,"method":"subscribe","code":0,"result":{"instrument_name":"ETH_USDT","subscription":"trade.ETH_USDT",'
            '"channel":"trade","data":[{"d":"2030407068","t":1613581138462,"p":"51327.500000","q":"0.000100","s":"SELL",'
            '"i":"ETH_USDT"}]}}',
            [TradeRow("ETH-USDT", "51327.5", "0.0001", "sell", "2030407068", 1613581138462000, history=True)],
        ),
    ],
    quotes=[
        (
            '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"ETH_USDT",'
            '"subscription":"ticker.ETH_USDT","channel":"ticker","data":[{"h":"51790.00","l":"47895.50",'
            '"a":"51174.500000","c":"0.03955106","b":"51170.000000","bs":"0.1000","k":"51180.000000","ks":"0.2000",'
            '"i":"ETH_USDT","v":"879.5024","vv":"26370000.12","oi":"12345.12","t":1613580710768}]}}',
            [QuoteRow("ETH-USDT", "51170", "0.1", "51180", "0.2")],
        )
    ],
    pings=[
        (
            '{"id":1587523073344,"method":"public/heartbeat","code":0}',
            '{"id":1587523073344,"method":"public/respond-heartbeat"}',
        )
    ],
    ignored=[
        '{"id":0,"method":"unsubscribe","code":0}',
        '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USD","subscription":"book.BTC_USD.10",'
        '"channel":"book","depth":10,"data":[{"bids":[],"asks":[]}]}}',
    ],
    instruments=[
        b'{"id":1,"method":"public/get-instruments","code":0,"result":{"data":[{"symbol":"BTC_USD","inst_type":"CCY_PAIR",'
        b'"display_name":"BTC/USD","base_ccy":"BTC","quote_ccy":"USD","tradable":true},{"symbol":"ETH_USDT",'
        b'"inst_type":"CCY_PAIR","base_ccy":"ETH","quote_ccy":"USDT","tradable":false},{"symbol":"BTCUSD-PERP",'
        b'"inst_type":"PERPETUAL_SWAP","base_ccy":"BTC","quote_ccy":"USD","tradable":true}]}}'
    ],
    history=b'{"id":1,"method":"public/get-trades","code":0,"result":{"data":[{"d":"15281981879","t":1613547060926,'
    b'"tn":"1613547060926523623","q":"0.181900","p":"50772.000000","s":"SELL","i":"BTC_USD"},{"d":"15281981878",'
    b'"t":1613547060925,"tn":"1613547060925523623","q":"0.181900","p":"50772.000000","s":"BUY","i":"BTC_USD"}]}}',
    candles=b'{"id":1,"method":"public/get-candlestick","code":0,"result":{"data":[{"o":"50508.500000","h":"50548.500000",'
    b'"l":"50172.500000","c":"50202.000000","v":"17.203200","t":1613544000000}]}}',
    candle_rows=[(1613544000000000, "50508.5", "50548.5", "50172.5", "50202", "17.2032")],
)
