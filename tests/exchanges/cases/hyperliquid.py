from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return [json.dumps({"channel": "subscriptionResponse", "data": json.loads(send)}) for send in sends]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        topic = json.loads(send)["subscription"]
        reason = f"Invalid subscription {json.dumps(topic)}"
        answers += [json.dumps({"channel": "error", "data": reason})] if topic["coin"] == native else answer([send])
    return answers


HASH = '"hash":"0x0000000000000000000000000000000000000000000000000000000000000000","users":["0x8c","0x13"]'

CASE = Case(
    venue="hyperliquid",
    symbols=("BTC-USDC", "PURR-USDC"),
    natives=("BTC", "PURR/USDC"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"channel":"trades","data":[{"coin":"BTC","side":"B","px":"105056.0","sz":"0.00219","time":1737918794873,'
            f'"tid":121451470284048,{HASH}}},{{"coin":"BTC","side":"A","px":"105055.0","sz":"0.5","time":1737918796007,'
            f'"tid":588047386913648,{HASH}}}]}}',
            [
                TradeRow("BTC-USDC", "105056", "0.00219", "buy", "121451470284048", 1737918794873000, history=True),
                TradeRow("BTC-USDC", "105055", "0.5", "sell", "588047386913648", 1737918796007000, history=True),
            ],
        ),
        (
            '{"channel":"trades","data":[{"coin":"BTC","side":"A","px":"105054.0","sz":"0.00036","time":1737918857034,'
            f'"tid":85392298469503,{HASH}}},{{"coin":"BTC","side":"A","px":"105055.0","sz":"1","time":1737918857033,'
            f'"tid":181211126211835,{HASH}}}]}}',
            [
                TradeRow("BTC-USDC", "105055", "1", "sell", "181211126211835", 1737918857033000),
                TradeRow("BTC-USDC", "105054", "0.00036", "sell", "85392298469503", 1737918857034000),
            ],
        ),
    ],
    quotes=[
        (
            '{"channel":"bbo","data":{"coin":"PURR/USDC","time":1766566375292,"bbo":[{"px":"23.757","sz":"42.09","n":1},'
            '{"px":"23.758","sz":"100.26","n":2}]}}',
            [QuoteRow("PURR-USDC", "23.757", "42.09", "23.758", "100.26")],
        ),
        (
            '{"channel":"bbo","data":{"coin":"BTC","time":1766566375292,"bbo":[null,{"px":"23.758","sz":"1","n":2}]}}',
            [],
        ),
    ],
    ignored=[
        '{"channel":"pong"}',
        '{"channel":"allMids","data":{"mids":{"0G":"1.2017","2Z":"0.129165"}}}',
        '{"channel":"subscriptionResponse","data":{"method":"unsubscribe","subscription":{"type":"bbo","coin":"BTC"}}}',
        '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"allMids"}}}',
    ],
    instruments=[
        b'{"universe":[{"name":"BTC","szDecimals":5,"maxLeverage":40},{"name":"kPEPE","szDecimals":0},'
        b'{"name":"MATIC","szDecimals":1,"isDelisted":true}]}',
        b'{"tokens":[{"name":"USDC","index":0},{"name":"PURR","index":1},{"name":"BTC","index":2},{"name":"UBTC","index":3}],'
        b'"universe":[{"name":"PURR/USDC","tokens":[1,0],"index":0},{"name":"@1","tokens":[2,0],"index":1},'
        b'{"name":"@142","tokens":[3,0],"index":142},{"name":"@7","tokens":[9,0],"index":7}]}',
    ],
    candles=(
        b'[{"t":1737331200000,"T":1737331259999,"s":"BTC","i":"1m","o":"20.184","c":"20.547","h":"22.755","l":"19.3",'
        b'"v":"10651612.71","n":278401}]'
    ),
    candle_rows=[(1737331200000000, "20.184", "22.755", "19.3", "20.547", "10651612.71")],
    why="no history of everybody's trades is documented",
)
