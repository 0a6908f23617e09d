from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow

PUSH = (
    '{"ch":"market.ethusdt.bbo","ts":1630994555540,"tick":{"seqId":137005210233,"ask":52665.02,"askSize":1.502181,'
    '"bid":52665.01,"bidSize":0.178567,"quoteTime":1630994555539,"symbol":"ethusdt"}}'
)
LAST = (
    '{"ch":"market.trioeth.trade.detail","ts":1618678027942,"tick":{"id":100182534526,"ts":1618678027940,"data":[{'
    '"id":100182534526255757567432481,"ts":1618678027940,"tradeId":100045088885,"amount":20995.88,"price":9.2E-7,'
    '"direction":"buy"}]}}'
)
NEWEST_FIRST = (
    '{"ch":"market.trioeth.trade.detail","ts":1618678071891,"tick":{"id":677689788,"ts":1618678071887,"data":[{'
    '"id":677689788255757382474787,"ts":1618678071887,"tradeId":100045088887,"amount":3,"price":9.1E-7,'
    '"direction":"sell"},{"id":677689788255757466856372,"ts":1618678071887,"tradeId":100045088886,"amount":0.5,'
    '"price":9.121E-7,"direction":"sell"}]}}'
)


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def answer(sends: Sequence[str]) -> list[bytes]:
    return refuse(sends, "nothing")


def refuse(sends: Sequence[str], native: str) -> list[bytes]:
    answers = []
    for send in sends:
        request = json.loads(send)
        reply = {"id": request["id"], "status": "ok", "subbed": request["sub"], "ts": 1618678070657}
        if f".{native}." in request["sub"]:
            reply = {"status": "error", "ts": 1618678070657, "id": request["id"], "err-code": "bad-request"}
            reply["err-msg"] = f"invalid symbol {native}"
        answers.append(packed(json.dumps(reply, separators=(",", ":"))))
    return answers


CASE = Case(
    venue="htx",
    symbols=("TRIO-ETH", "ETH-USDT"),
    natives=("trioeth", "ethusdt"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            packed(LAST),
            [TradeRow("TRIO-ETH", "0.00000092", "20995.88", "buy", "100045088885", 1618678027940000, history=True)],
        ),
        (
            packed(NEWEST_FIRST),
            [
                TradeRow("TRIO-ETH", "0.0000009121", "0.5", "sell", "100045088886", 1618678071887000),
                TradeRow("TRIO-ETH", "0.00000091", "3", "sell", "100045088887", 1618678071887000),
            ],
        ),
    ],
    quotes=[(packed(PUSH), [QuoteRow("ETH-USDT", "52665.01", "0.178567", "52665.02", "1.502181")])],
    pings=[(packed('{"ping":1618678073643}'), '{"pong":1618678073643}')],
    ignored=[
        packed('{"ch":"market.ethusdt.depth.step0","ts":1630983549503,"tick":{"bids":[],"asks":[]}}'),
        packed('{"id":"market.ethusdt.bbo","status":"ok","unsubbed":"market.ethusdt.bbo","ts":1489474081631}'),
        packed('{"pong":1618678073643}'),
    ],
    instruments=[
        b'{"status":"ok","data":[{"base-currency":"trio","quote-currency":"eth","symbol":"trioeth","state":"online"},'
        b'{"base-currency":"eth","quote-currency":"usdt","symbol":"ethusdt","state":"online"},'
        b'{"base-currency":"yee","quote-currency":"btc","symbol":"yeebtc","state":"suspend"}]}'
    ],
    history=(
        b'{"status":"ok","ch":"market.trioeth.trade.detail","ts":1544390317905,"data":[{"id":31618787514,'
        b'"ts":1544390317905,"data":[{"id":3161878751418918529341,"ts":1544390317905,"trade-id":102,"amount":9.0,'
        b'"price":94.69,"direction":"sell"},{"id":3161878751418918532514,"ts":1544390317905,"trade-id":101,'
        b'"amount":73.771,"price":94.66,"direction":"sell"}]},{"id":31618776989,"ts":1544390311353,"data":[{'
        b'"id":3161877698918918522622,"ts":1544390311353,"trade-id":100,"amount":1,"price":94.7,"direction":"buy"}]}]}'
    ),
    candles=(
        b'{"ch":"market.trioeth.kline.1min","status":"ok","ts":1629769247172,"data":[{"id":1629769260,"open":49056.37,'
        b'"close":49025.51,"low":49022.86,"high":49056.38,"amount":3.94,"vol":193489.67,"count":196},{"id":1629769200,'
        b'"open":48994.61,"close":49056.37,"low":48966.72,"high":49072.46,"amount":30.7,"vol":1505870.7,"count":1504}]}'
    ),
    candle_rows=[
        (1629769200000000, "48994.61", "49072.46", "48966.72", "49056.37", "30.7"),
        (1629769260000000, "49056.37", "49056.38", "49022.86", "49025.51", "3.94"),
    ],
    templates=[json.loads(text) for text in (PUSH, LAST, NEWEST_FIRST, '{"ping":1618678073643}')],
)
