from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return [
        json.dumps({"event": "subscribe", "arg": arg, "connId": "a4d3ae55"})
        for send in sends
        for arg in json.loads(send)["args"]
    ]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        for arg in json.loads(send)["args"]:
            if arg["instId"] == native:
                message = (
                    f"Wrong URL or channel:{arg['channel']},instId:{native} doesn't exist. Please use the correct URL"
                )
                answers.append(json.dumps({"event": "error", "msg": message, "code": "60018", "connId": "a4d3ae55"}))
            else:
                answers.append(json.dumps({"event": "subscribe", "arg": arg, "connId": "a4d3ae55"}))
    return answers


CASE = Case(
    venue="okx",
    symbols=("BTC-USDT", "ETH-USDT"),
    natives=("BTC-USDT", "ETH-USDT"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"338476307",'
            '"px":"30236","sz":"0.0002","side":"buy","ts":"1652459224818"}]}',
            [TradeRow("BTC-USDT", "30236", "0.0002", "buy", "338476307", 1652459224818000, history=True)],
        ),
        (
            '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"338476310",'
            '"px":"42219.9","sz":"0.12060306","side":"sell","ts":"1652459226050","count":"3","source":"0","seqId":1234}]}',
            [TradeRow("BTC-USDT", "42219.9", "0.12060306", "sell", "338476310", 1652459226050000)],
        ),
    ],
    quotes=[
        (
            '{"arg":{"channel":"tickers","instId":"ETH-USDT"},"data":[{"instType":"SPOT","instId":"ETH-USDT",'
            '"last":"9999.99","lastSz":"0.1","askPx":"9999.99","askSz":"11","bidPx":"8888.88","bidSz":"5",'
            '"open24h":"9000","high24h":"10000","low24h":"8888.88","volCcy24h":"2222","vol24h":"2222",'
            '"sodUtc0":"2222","sodUtc8":"2222","ts":"1597026383085"}]}',
            [QuoteRow("ETH-USDT", "8888.88", "5", "9999.99", "11")],
        )
    ],
    closing=[
        '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
        'Please reconnect.","connId":"a4d3ae55"}'
    ],
    ignored=[
        "pong",
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[]}]}',
        '{"event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a4d3ae55"}',
        '{"event":"channel-conn-count","channel":"books","connCount":"2","connId":"abcd1234"}',
    ],
    instruments=[
        b'{"code":"0","data":[{"baseCcy":"BTC","instId":"BTC-USDT","instType":"SPOT","quoteCcy":"USDT","state":"live"},'
        b'{"baseCcy":"ETH","instId":"ETH-USDT","instType":"SPOT","quoteCcy":"USDT","state":"suspend"}],"msg":""}'
    ],
    history=b'{"code":"0","msg":"","data":[{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0","px":"29963.2",'
    b'"tradeId":"242720720","ts":"1654161646974"},{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0",'
    b'"px":"29964.1","tradeId":"242720719","ts":"1654161641568"}]}',
    candles=b'{"code":"0","msg":"","data":[["1597026420000","3.731","3.799","3.494","3.72","24912403","67632347.24399722",'
    b'"37632347.24399722","1"],["1597026360000","3.721","3.743","3.677","3.708","8422410","22698348.04828491",'
    b'"12698348.04828491","1"]]}',
    candle_rows=[
        (1597026360000000, "3.721", "3.743", "3.677", "3.708", "8422410"),
        (1597026420000000, "3.731", "3.799", "3.494", "3.72", "24912403"),
    ],
)
