from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return refuse(sends, "nothing")


def refuse(sends: Sequence[str], native: str) -> list[str]:
    """One unknown pair fails the whole request."""
    answers = []
    for send in sends:
        request = json.loads(send)
        result: dict[str, object] = {"result": {"status": "success"}}
        if native in request["payload"]:
            error = {"code": 2, "message": f"unknown currency pair: {native}"}
            result = {"error": error, "result": {"status": "fail"}}
        envelope = {"time": 1717595231, "time_ms": 1717595231793, "conn_id": "28838ac31473dcbb"}
        answers.append(json.dumps({**envelope, **request, **result, "requestId": "789a534faf3c5165"}))
    return answers


CASE = Case(
    venue="gateio",
    symbols=("GT-USDT", "ETH-USDT"),
    natives=("GT_USDT", "ETH_USDT"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"time":1606292218,"time_ms":1606292218231,"channel":"spot.trades","event":"update","result":{'
            '"id":309143071,"id_market":2390902,"create_time":1606292218,"create_time_ms":"1606292218213.4578",'
            '"side":"sell","currency_pair":"GT_USDT","amount":"16.4700000000","price":"0.4705000000",'
            '"range":"2390902-2390902"}}',
            [TradeRow("GT-USDT", "0.4705", "16.47", "sell", "309143071", 1606292218213458)],
        ),
        (
            '{"time":1619093547,"channel":"spot.trades","event":"update","result":{"id":816995982,'
            '"create_time":1619093547,"create_time_ms":"1619093547078.008","side":"buy","currency_pair":"ETH_USDT",'
            '"amount":"1.0700000000","price":"0.0018753000"}}',
            [TradeRow("ETH-USDT", "0.0018753", "1.07", "buy", "816995982", 1619093547078008)],
        ),
    ],
    quotes=[
        (
            '{"time":1606293275,"time_ms":1606293275723,"channel":"spot.book_ticker","event":"update","result":{'
            '"t":1606293275123,"u":48733182,"s":"ETH_USDT","b":"19177.79","B":"0.0003341504","a":"19179.38","A":"0.09"}}',
            [QuoteRow("ETH-USDT", "19177.79", "0.0003341504", "19179.38", "0.09")],
        )
    ],
    ignored=[
        '{"time":1717595231,"channel":"spot.pong","event":"","result":null}',
        '{"time":1717595233,"channel":"spot.tickers","event":"update","result":{"currency_pair":"ETH_USDT"}}',
        '{"time":1717595233,"id":9,"channel":"spot.trades","event":"unsubscribe","result":{"status":"success"}}',
    ],
    instruments=[
        b'[{"id":"GT_USDT","base":"GT","quote":"USDT","fee":"0.2","trade_status":"tradable"},'
        b'{"id":"ETH_USDT","base":"ETH","quote":"USDT","fee":"0.2","trade_status":"buyable"},'
        b'{"id":"IHT_ETH","base":"IHT","quote":"ETH","fee":"0.2","trade_status":"untradable"}]'
    ],
    history=(
        b'[{"id":"1232893233","create_time":"1548000000","create_time_ms":"1548000000124.456","order_id":"",'
        b'"side":"buy","amount":"0.15","price":"0.03","sequence_id":"588019"},{"id":"1232893232",'
        b'"create_time":"1548000000","create_time_ms":"1548000000123.456","side":"sell","amount":"0.1",'
        b'"price":"0.031","sequence_id":"588018"}]'
    ),
    candles=b'[["1717246800","1157762.86821200","67772.5","67839.9","67715","67715.1","17.07790000","true"]]',
    candle_rows=[(1717246800000000, "67715.1", "67839.9", "67715", "67772.5", "17.0779")],
)
