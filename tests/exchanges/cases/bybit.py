from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow

CONN = "2324d924-aa4d-45b0-a858-7b8be29ab52b"


def answer(sends: Sequence[str]) -> list[str]:
    return refuse(sends, "")


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        request = json.loads(send)
        assert len(request["args"]) <= 10
        bad = [topic for topic in request["args"] if topic.split(".")[-1] == native]
        message = f"error:handler not found,topic:{bad[0]}" if bad else "subscribe"
        told = {"success": not bad, "ret_msg": message, "conn_id": CONN, "req_id": request["req_id"], "op": "subscribe"}
        answers.append(json.dumps(told))
    return answers


CASE = Case(
    venue="bybit",
    symbols=("BTC-USDT", "ETH-USDT"),
    natives=("BTCUSDT", "ETHUSDT"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT",'
            '"S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,'
            '"seq":1783284617},{"T":1672304486866,"s":"BTCUSDT","S":"Sell","v":"0.000041","p":"16578",'
            '"i":"2290000000067341920","BT":false,"RPI":false,"seq":1783284617}]}',
            [
                TradeRow(
                    "BTC-USDT", "16578.5", "0.001", "buy", "20f43950-d8dd-5b31-9112-a178eb6023af", 1672304486865000
                ),
                TradeRow("BTC-USDT", "16578", "0.000041", "sell", "2290000000067341920", 1672304486866000),
            ],
        )
    ],
    quotes=[
        (
            '{"topic":"orderbook.1.ETHUSDT","ts":1672304484978,"type":"snapshot","data":{"s":"ETHUSDT",'
            '"b":[["16493.50","0.006"]],"a":[["16611.00","0.029"]],"u":18521288,"seq":7961638724},"cts":1672304484976}',
            [QuoteRow("ETH-USDT", "16493.5", "0.006", "16611", "0.029")],
        )
    ],
    ignored=[
        f'{{"success":true,"ret_msg":"pong","conn_id":"{CONN}","op":"ping"}}',
        f'{{"success":true,"ret_msg":"","conn_id":"{CONN}","req_id":"77","op":"unsubscribe"}}',
        '{"topic":"tickers.BTCUSDT","ts":1673853746003,"type":"snapshot","cs":2588407389,"data":{"symbol":"BTCUSDT"}}',
    ],
    instruments=[
        b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbolId":9,"symbol":"BTCUSDT",'
        b'"baseCoin":"BTC","quoteCoin":"USDT","innovation":"0","status":"Trading"},{"symbol":"ETHUSDT",'
        b'"baseCoin":"ETH","quoteCoin":"USDT","status":"Trading"}]},"retExtInfo":{},"time":1672712468011}'
    ],
    history=b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"2100000000007764264",'
    b'"symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955758","isBlockTrade":false},'
    b'{"execId":"2100000000007764263","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy",'
    b'"time":"1672052955758","isBlockTrade":false}]},"retExtInfo":{},"time":1672053054358}',
    candles=b'{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"spot","list":[["1670608860000","17071",'
    b'"17073","17027","17055.5","268611","15.74462667"],["1670608800000","17071.5","17071.5","17061","17071","4177",'
    b'"0.24469757"]]},"retExtInfo":{},"time":1672025956592}',
    candle_rows=[
        (1670608800000000, "17071.5", "17071.5", "17061", "17071", "4177"),
        (1670608860000000, "17071", "17073", "17027", "17055.5", "268611"),
    ],
)
