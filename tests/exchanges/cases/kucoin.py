from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return [json.dumps({"id": json.loads(send)["id"], "type": "ack"}) for send in sends]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        request = json.loads(send)
        problem = {"type": "error", "code": 404, "data": f"topic {request['topic']} is not found"}
        unknown = native in request["topic"].partition(":")[2].split(",")
        answers.append(json.dumps({"id": request["id"], **(problem if unknown else {"type": "ack"})}))
    return answers


CASE = Case(
    venue="kucoin",
    symbols=("BTC-USDT", "DAPPT-BTC"),
    natives=("BTC-USDT", "DAPPT-BTC"),
    answer=answer,
    refuse=refuse,
    prepared=(
        b'{"code":"200000","data":{"token":"2neAiuYvAU61ZDXANAGAsiL4-iAExhsBXZxftpOeh_55i3Ysy2q2LEsEWU64mdzUOPusi==",'
        b'"instanceServers":[{"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket",'
        b'"pingInterval":18000,"pingTimeout":10000}]}}'
    ),
    greeting=['{"id":"NSkIrWGB1s","type":"welcome"}'],
    trades=[
        (
            '{"data":{"symbol":"DAPPT-BTC","sequence":"1612701563869","side":"buy","size":"81.8814",'
            '"price":"0.0000001117","takerOrderId":"6085c097587c2000060cde57","time":"1619378327739050725",'
            '"type":"match","makerOrderId":"6085c06144b3790006512a4d","tradeId":"6085c09769bc506996295e36"},'
            '"subject":"trade.l3match","topic":"/market/match:DAPPT-BTC","type":"message"}',
            [TradeRow("DAPPT-BTC", "0.0000001117", "81.8814", "buy", "6085c09769bc506996295e36", 1619378327739050)],
        ),
        (
            '{"topic":"/market/match:BTC-USDT","type":"message","subject":"trade.l3match","data":{'
            '"makerOrderId":"671b5007389355000701b1d3","price":"67523","sequence":"11067996711960577","side":"sell",'
            '"size":"0.003","symbol":"BTC-USDT","takerOrderId":"671b50161777ff00074c168d",'
            '"time":"1729843222921000000","tradeId":"11067996711960577","type":"match"}}',
            [TradeRow("BTC-USDT", "67523", "0.003", "sell", "11067996711960577", 1729843222921000)],
        ),
    ],
    quotes=[
        (
            '{"type":"message","topic":"/market/ticker:BTC-USDT","subject":"trade.ticker","data":{'
            '"sequence":"1545896668986","price":"0.08","size":"0.011","bestAsk":"0.08","bestAskSize":"0.18",'
            '"bestBid":"0.049","bestBidSize":"0.036","time":1704873323416}}',
            [QuoteRow("BTC-USDT", "0.049", "0.036", "0.08", "0.18")],
        )
    ],
    ignored=[
        '{"id":"ping","type":"pong"}',
        '{"type":"message","topic":"/market/level2:BTC-USDT","subject":"trade.l2update","data":{"symbol":"BTC-USDT"}}',
    ],
    instruments=[
        b'{"code":"200000","data":[{"symbol":"BTC-USDT","name":"BTC-USDT","baseCurrency":"BTC","quoteCurrency":"USDT",'
        b'"enableTrading":true},{"symbol":"DAPPT-BTC","name":"DAPPT-BTC","baseCurrency":"DAPPT","quoteCurrency":"BTC",'
        b'"enableTrading":true},{"symbol":"BCHSV-BTC","name":"BSV-BTC","baseCurrency":"BCHSV","quoteCurrency":"BTC",'
        b'"enableTrading":false}]}'
    ],
    history=(
        b'{"code":"200000","data":[{"sequence":"10976028003549188","price":"67122","size":"0.01792257","side":"buy",'
        b'"time":1729177117878000000},{"sequence":"10976028003549185","price":"67122","size":"0.000025","side":"sell",'
        b'"time":1729177117877000000}]}'
    ),
    candles=(
        b'{"code":"200000","data":[["1545904980","0.058","0.049","0.058","0.049","0.018","0.000945"],'
        b'["1545904920","0.058","0.072","0.073","0.057","0.103","0.006986"]]}'
    ),
    candle_rows=[
        (1545904920000000, "0.058", "0.073", "0.057", "0.072", "0.103"),
        (1545904980000000, "0.058", "0.058", "0.049", "0.049", "0.018"),
    ],
)
