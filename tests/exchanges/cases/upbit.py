from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow

LIVE = (
    '{"ty":"trade","cd":"KRW-LAMB","tms":1618678262712,"td":"2021-04-17","ttm":"16:51:02","ttms":1618678262000,'
    '"tp":127.0,"tv":46.48838371,"ab":"BID","pcp":123.00000000,"c":"RISE","cp":4.00000000,"sid":1618678262000003,'
    '"st":"REALTIME"}'
)
LAST = (
    '{"ty":"trade","cd":"BTC-ETH","tms":1696585056910,"td":"2023-10-06","ttm":"09:37:36","ttms":1696585056846,'
    '"tp":0.06123,"tv":8.428e-05,"ab":"ASK","pcp":0.061,"c":"RISE","cp":0.0002,"sid":1696585056846000,'
    '"bap":0.0613,"bas":0.04414411,"bbp":0.0612,"bbs":0.01202163,"st":"SNAPSHOT"}'
)
TOP = (
    '{"ty":"orderbook","cd":"KRW-LAMB","tms":1618678262640,"tas":25752275.55420627,"tbs":14407925.20098682,"obu":[{'
    '"ap":127.0,"bp":126.0,"as":280460.37885666,"bs":688682.44561413}],"st":"REALTIME"}'
)


def answer(sends: Sequence[str]) -> list[bytes]:
    """Nothing is acknowledged: what was asked for begins with the last trade and the book of each market."""
    answers = []
    for send in sends:
        for part in json.loads(send):
            for code in part.get("codes", ()):
                frame = json.loads(LAST if part["type"] == "trade" else TOP)
                answers.append(json.dumps({**frame, "cd": code.partition(".")[0], "st": "SNAPSHOT"}).encode())
    return answers


CASE = Case(
    venue="upbit",
    symbols=("LAMB-KRW", "ETH-BTC"),
    natives=("KRW-LAMB", "BTC-ETH"),
    answer=answer,
    refuse=None,
    trades=[
        (LIVE.encode(), [TradeRow("LAMB-KRW", "127", "46.48838371", "buy", "1618678262000003", 1618678262000000)]),
        (
            LAST.encode(),
            [TradeRow("ETH-BTC", "0.06123", "0.00008428", "sell", "1696585056846000", 1696585056846000, history=True)],
        ),
    ],
    quotes=[(TOP.encode(), [QuoteRow("LAMB-KRW", "126", "688682.44561413", "127", "280460.37885666")])],
    ignored=[b'{"status":"UP"}', b'{"ty":"ticker","cd":"KRW-LAMB","tp":127.0}'],
    instruments=[
        '[{"market":"KRW-LAMB","korean_name":"람다","english_name":"Lambda"},'
        '{"market":"BTC-ETH","korean_name":"이더리움","english_name":"Ethereum"}]'.encode()
    ],
    history=(
        b'[{"market":"KRW-LAMB","trade_date_utc":"2021-04-17","trade_time_utc":"16:51:03","timestamp":1618678263000,'
        b'"trade_price":126.0,"trade_volume":43.1,"prev_closing_price":123.0,"change_price":3.0,"ask_bid":"ASK",'
        b'"sequential_id":1618678263000000},{"market":"KRW-LAMB","trade_date_utc":"2021-04-17",'
        b'"trade_time_utc":"16:51:02","timestamp":1618678262000,"trade_price":127.0,"trade_volume":46.4,'
        b'"prev_closing_price":123.0,"change_price":4.0,"ask_bid":"BID","sequential_id":1618678262000003}]'
    ),
    candles=(
        b'[{"market":"KRW-LAMB","candle_date_time_utc":"2025-06-30T23:59:00","candle_date_time_kst":"2025-07-01T08:59:00",'
        b'"opening_price":145794000,"high_price":145795000,"low_price":145759000,"trade_price":145760000,'
        b'"timestamp":1751327999833,"candle_acc_trade_price":185042,"candle_acc_trade_volume":0.0013,"unit":1}]'
    ),
    candle_rows=[(1751327940000000, "145794000", "145795000", "145759000", "145760000", "0.0013")],
    why="its documentation names no refusal of a single market: an unknown one stays silent",
    templates=[json.loads(text) for text in (LIVE, LAST, TOP)],
)
