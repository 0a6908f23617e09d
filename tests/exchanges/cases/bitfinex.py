from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.exchanges.cases import Case, QuoteRow, TradeRow

NUMBERS = {
    ("trades", "tBTCUSD"): 17470,
    ("ticker", "tBTCUSD"): 17471,
    ("trades", "tDUSK:UST"): 17472,
    ("ticker", "tDUSK:UST"): 17473,
}


def confirmed(request: dict[str, Any]) -> dict[str, Any]:
    if request["event"] == "conf":
        return {"event": "conf", "status": "OK", "flags": request["flags"]}
    channel, symbol = request["channel"], request["symbol"]
    number = NUMBERS[channel, symbol]
    return {"event": "subscribed", "channel": channel, "chanId": number, "symbol": symbol, "pair": symbol[1:]}


def answer(sends: Sequence[str]) -> list[str]:
    return [json.dumps(confirmed(json.loads(send))) for send in sends]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        request = json.loads(send)
        if request.get("symbol") == native:
            names = {"channel": request["channel"], "symbol": native, "pair": native[1:]}
            answers.append(json.dumps({**names, "event": "error", "msg": "symbol: invalid", "code": 10300}))
        else:
            answers += answer([send])
    return answers


CASE = Case(
    venue="bitfinex",
    symbols=("BTC-USD", "DUSK-USDT"),
    natives=("tBTCUSD", "tDUSK:UST"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            "[17470,[[401597393,1574694475039,0.005,7244.9],[401597392,1574694475039,-0.25,7244.8],"
            "[401597390,1574694470000,1.5,7243]],1]",
            [
                TradeRow("BTC-USD", "7243", "1.5", "buy", "401597390", 1574694470000000, history=True),
                TradeRow("BTC-USD", "7244.8", "0.25", "sell", "401597392", 1574694475039000, history=True),
                TradeRow("BTC-USD", "7244.9", "0.005", "buy", "401597393", 1574694475039000, history=True),
            ],
        ),
        (
            '[17470,"te",[401597395,1574694478808,0.005,7245.3],2]',
            [TradeRow("BTC-USD", "7245.3", "0.005", "buy", "401597395", 1574694478808000)],
        ),
        ('[17470,"tu",[401597395,1574694478808,0.005,7245.3],3]', []),
        (
            '[17472, "tu", [401597396, 1574694478809, -19203.568741940002, 0.00002503], 4]',
            [TradeRow("DUSK-USDT", "0.00002503", "19203.568741940002", "sell", "401597396", 1574694478809000)],
        ),
    ],
    quotes=[
        (
            "[17471,[7616.5,31.89055171,7617.5,43.358118629999986,-550.8,-0.0674,7617.1,8314.71200815,8257.8,7500],5]",
            [QuoteRow("BTC-USD", "7616.5", "31.89055171", "7617.5", "43.358118629999986")],
        )
    ],
    closing=[
        '{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}',
        '{"event":"info","code":20061}',
    ],
    ignored=[
        '[17470,"hb",6]',
        '[17470,"cs",1330055495,7]',
        '[17471,"word",8]',
        '[999,"te",[1,1574694478809,1,1],9]',
        '{"event":"info","version":2,"serverId":"083bd8d4","platform":{"status":1}}',
        '{"event":"unsubscribed","status":"OK","chanId":999}',
        '{"event":"pong","ts":1511545528111,"cid":1234}',
    ],
    instruments=[
        b'[["BTCUSD","BTCUST","DUSK:UST","DSHUSD","TESTBTC:TESTUSD","AAABBB","BTCF0:USTF0"]]',
        b'[[["UST","USDt"],["UDC","USDC"],["DSH","DASH"],["TESTBTC","BTC"],["TESTUSD","USD"],["XAUT","XAUt"]]]',
    ],
    history=b"[[401597395,1574694478808,0.005,7245.3],[401597396,1574694478809,-0.1,7245.2]]",
    candles=b"[[1678465320000,20097,20114,20125,20094,1.43504645]]",
    candle_rows=[(1678465320000000, "20097", "20125", "20094", "20114", "1.43504645")],
)
