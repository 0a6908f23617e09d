from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return [json.dumps({"result": None, "id": json.loads(send)["id"]}) for send in sends]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        request = json.loads(send)
        bad = any(native.lower() in name for name in request["params"])
        answers.append(
            json.dumps({"error": {"code": 2, "msg": "Invalid request"}, "id": request["id"]})
            if bad
            else json.dumps({"result": None, "id": request["id"]})
        )
    return answers


CASE = Case(
    venue="binance",
    symbols=("BTC-USDT", "ETH-USDT"),
    natives=("BTCUSDT", "ETHUSDT"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,'
            '"p":"0.00100000","q":"100","T":1672515782136,"m":true,"M":true}}',
            [TradeRow("BTC-USDT", "0.001", "100", "sell", "12345", 1672515782136000)],
        )
    ],
    quotes=[
        (
            '{"stream":"ethusdt@bookTicker","data":{"u":400900217,"s":"ETHUSDT","b":"25.35190000","B":"31.21000000",'
            '"a":"25.36520000","A":"40.66000000"}}',
            [QuoteRow("ETH-USDT", "25.3519", "31.21", "25.3652", "40.66")],
        )
    ],
    closing=['{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'],
    ignored=['{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate"}}'],
    instruments=[
        b'{"timezone":"UTC","symbols":[{"symbol":"ETHUSDT","status":"BREAK","baseAsset":"ETH","quoteAsset":"USDT"},'
        b'{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT"}]}'
    ],
    history=b'[{"id":12345,"price":"4.00000100","qty":"12.00000000","time":1499865549590,"isBuyerMaker":true}]',
    candles=b'[[1499040000000,"0.0163","0.8000","0.0157","0.0158","148976.11",1499040059999,"2434.19",308,"1","2","0"]]',
    candle_rows=[(1499040000000000, "0.0163", "0.8", "0.0157", "0.0158", "148976.11")],
)
