from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    answers = []
    for send in sends:
        params = json.loads(send)["params"]
        for symbol in params["symbol"]:
            result = {"channel": params["channel"], "symbol": symbol, "snapshot": False}
            answers.append(json.dumps({"method": "subscribe", "result": result, "success": True}))
    return answers


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        params = json.loads(send)["params"]
        for symbol in params["symbol"]:
            if symbol == native:
                error = f"Currency pair not supported {symbol}"
                answers.append(json.dumps({"error": error, "method": "subscribe", "success": False, "symbol": symbol}))
            else:
                result = {"channel": params["channel"], "symbol": symbol}
                answers.append(json.dumps({"method": "subscribe", "result": result, "success": True}))
    return answers


CASE = Case(
    venue="kraken",
    symbols=("MATIC-USD", "ALGO-USD"),
    natives=("MATIC/USD", "ALGO/USD"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"channel":"trade","type":"update","data":[{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.0,'
            '"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"MATIC/USD",'
            '"side":"buy","price":0.5118,"qty":4e-5,"ord_type":"limit","trade_id":4665907,'
            '"timestamp":"2023-09-25T07:49:38Z"}]}',
            [
                TradeRow("MATIC-USD", "0.5117", "40", "sell", "4665906", 1695628177708706),
                TradeRow("MATIC-USD", "0.5118", "0.00004", "buy", "4665907", 1695628178000000),
            ],
        )
    ],
    quotes=[
        (
            '{"channel":"ticker","type":"snapshot","data":[{"symbol":"ALGO/USD","bid":0.10025,"bid_qty":740.0,'
            '"ask":0.10036,"ask_qty":1361.44813783,"last":0.10035,"volume":997038.98383185,"vwap":0.10148,'
            '"low":0.09979,"high":0.10285,"change":-0.00017,"change_pct":-0.17}]}',
            [QuoteRow("ALGO-USD", "0.10025", "740", "0.10036", "1361.44813783")],
        )
    ],
    ignored=['{"method":"pong","req_id":1}', '{"channel":"book","type":"update","data":[]}'],
    instruments=[
        b'{"error":[],"result":{"ALGOUSD":{"altname":"ALGOUSD","wsname":"ALGO/USD","base":"ALGO","quote":"ZUSD"},'
        b'"MATICUSD":{"altname":"MATICUSD","wsname":"MATIC/USD","status":"online"}}}'
    ],
    history=b'{"error":[],"result":{"MATICUSD":[["30243.4","0.34507674",1688669597.827,"b","m","",61044952]],"last":"1"}}',
    candles=b'{"error":[],"result":{"MATICUSD":[[1688671200,"30306.1","30306.2","30305.7","30306","0","3.39","23"]],"last":1}}',
    candle_rows=[(1688671200000000, "30306.1", "30306.2", "30305.7", "30306", "3.39")],
)
