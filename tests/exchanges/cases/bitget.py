from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return refuse(sends, "")


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        assert len(send) <= 4096
        for arg in json.loads(send)["args"]:
            if arg["instId"] == native:
                message = f"instType:SPOT,channel:{arg['channel']},instId:{native} doesn't exist"
                told = {"event": "error", "arg": arg, "code": 30001, "msg": message, "op": "subscribe"}
                answers.append(json.dumps(told))
            else:
                answers.append(json.dumps({"event": "subscribe", "arg": arg}))
    return answers


CASE = Case(
    venue="bitget",
    symbols=("BTC-USDT", "ETH-USDT"),
    natives=("BTCUSDT", "ETHUSDT"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"action":"snapshot","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"},"data":['
            '{"ts":"1695709835823","price":"26293.5","size":"0.1","side":"sell","tradeId":"1000000001"},'
            '{"ts":"1695709835822","price":"26293.4","size":"0.0013","side":"buy","tradeId":"1000000000"}],'
            '"ts":1695711090682}',
            [
                TradeRow("BTC-USDT", "26293.4", "0.0013", "buy", "1000000000", 1695709835822000, history=True),
                TradeRow("BTC-USDT", "26293.5", "0.1", "sell", "1000000001", 1695709835823000, history=True),
            ],
        ),
        (
            '{"action":"update","arg":{"instType":"SPOT","channel":"trade","instId":"ETHUSDT"},"data":['
            '{"ts":"1695709835822","price":"1592.4","size":"2","side":"buy","tradeId":"1260903622036942849"}],'
            '"ts":1695711090682}',
            [TradeRow("ETH-USDT", "1592.4", "2", "buy", "1260903622036942849", 1695709835822000)],
        ),
    ],
    quotes=[
        (
            '{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"ETHUSDT"},"data":['
            '{"instId":"ETHUSDT","lastPr":"2200.10","open24h":"0.00","high24h":"0.00","low24h":"0.00","change24h":"0.00",'
            '"bidPr":"1792","askPr":"2200.1","bidSz":"0.0084","askSz":"19740.8811","baseVolume":"0.0000",'
            '"quoteVolume":"0.0000","openUtc":"0.00","changeUtc24h":"0","ts":"1695702438018"}],"ts":1695702438029}',
            [QuoteRow("ETH-USDT", "1792", "0.0084", "2200.1", "19740.8811")],
        )
    ],
    ignored=[
        "pong",
        '{"event":"unsubscribe","arg":{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}}',
        '{"action":"snapshot","arg":{"instType":"SPOT","channel":"candle1m","instId":"BTCUSDT"},"data":[["1","2"]]}',
    ],
    instruments=[
        b'{"code":"00000","msg":"success","requestTime":1695808949356,"data":[{"symbol":"BTCUSDT","baseCoin":"BTC",'
        b'"quoteCoin":"USDT","minTradeAmount":"0.0001","status":"online"},{"symbol":"ETHUSDT","baseCoin":"ETH",'
        b'"quoteCoin":"USDT","status":"halt"}]}'
    ],
    history=b'{"code":"00000","msg":"success","requestTime":1695808949356,"data":[{"symbol":"BTCUSDT","tradeId":"2",'
    b'"side":"buy","price":"2.38735","size":"2470.6224","ts":"1622097282536"},{"symbol":"BTCUSDT","tradeId":"1",'
    b'"side":"sell","price":"2.38649","size":"3239.7976","ts":"1622097280642"}]}',
    candles=b'{"code":"00000","msg":"success","requestTime":1695800278693,"data":[["1656604800000","37834.5","37849.5",'
    b'"37773.5","37773.5","428.3462","16198849.1079","16198849.1079"]]}',
    candle_rows=[(1656604800000000, "37834.5", "37849.5", "37773.5", "37773.5", "428.3462")],
)
