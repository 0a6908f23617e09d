from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    return refuse(sends, "nothing")


def refuse(sends: Sequence[str], native: str) -> list[str]:
    """The result lists what is accepted, in an order of its own."""
    answers = []
    for send in sends:
        request = json.loads(send)
        accepted = sorted(name for name in request["params"]["channels"] if f".{native}." not in name)
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": accepted, "usIn": 1, "usOut": 2, "usDiff": 1}
        answers.append(json.dumps(reply))
    return answers


CASE = Case(
    venue="deribit",
    symbols=("BTC-PERPETUAL", "BTC-USDC", "ETH-30JUL21"),
    natives=("BTC-PERPETUAL", "BTC_USDC", "ETH-30JUL21"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":['
            '{"trade_seq":30289443,"trade_id":"48079270","timestamp":1590484156350,"tick_direction":0,"price":8954.5,'
            '"mark_price":8952.86,"instrument_name":"BTC-PERPETUAL","index_price":8956.73,"direction":"sell",'
            '"amount":20.0},{"trade_seq":30289442,"trade_id":"48079269","timestamp":1590484156350,"tick_direction":2,'
            '"price":8954,"mark_price":8952.86,"instrument_name":"BTC-PERPETUAL","index_price":8956.73,'
            '"direction":"buy","amount":10}]}}',
            [
                TradeRow("BTC-PERPETUAL", "8954", "10", "buy", "48079269", 1590484156350000),
                TradeRow("BTC-PERPETUAL", "8954.5", "20", "sell", "48079270", 1590484156350000),
            ],
        ),
        (
            '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC_USDC.100ms","data":['
            '{"trade_seq":18009,"trade_id":"BTC_USDC-16","timestamp":1741270338502,"price":90355.0,'
            '"instrument_name":"BTC_USDC","direction":"sell","amount":0.0001}]}}',
            [TradeRow("BTC-USDC", "90355", "0.0001", "sell", "BTC_USDC-16", 1741270338502000)],
        ),
    ],
    quotes=[
        (
            '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.BTC-PERPETUAL.100ms","data":'
            '{"timestamp":1626993723632,"stats":{"volume":869.0,"price_change":0.0,"low":0.0015,"high":0.0025},'
            '"state":"open","mark_price":32003.61,"last_price":null,"instrument_name":"BTC-PERPETUAL",'
            '"index_price":32006.72,"best_bid_price":32003.5,"best_bid_amount":4714.0,"best_ask_price":32004.0,'
            '"best_ask_amount":873.0}}}',
            [QuoteRow("BTC-PERPETUAL", "32003.5", "4714", "32004", "873")],
        )
    ],
    pings=[
        (
            '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}',
            '{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}',
        )
    ],
    ignored=[
        '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.BTC-PERPETUAL.100ms","data":{"timestamp":'
        '1626993723632,"instrument_name":"BTC-PERPETUAL","best_bid_price":0.0,"best_bid_amount":0.0,'
        '"best_ask_price":1.5,"best_ask_amount":2.0}}}',
        '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.100ms","data":{}}}',
        '{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"},"usIn":1,"usOut":2,"usDiff":1,"testnet":false}',
        '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}',
    ],
    instruments=[
        b'{"jsonrpc":"2.0","result":[{"instrument_name":"BTC-PERPETUAL","kind":"future","is_active":true},'
        b'{"instrument_name":"ETH-30JUL21","kind":"future","is_active":true}]}',
        b'{"jsonrpc":"2.0","result":[{"instrument_name":"BTC_USDC","kind":"spot","is_active":true}]}',
    ],
    history=b'{"jsonrpc":"2.0","result":{"trades":[{"trade_seq":30289432,"trade_id":"48079254","timestamp":1590484156350,'
    b'"price":8954.5,"instrument_name":"BTC-PERPETUAL","direction":"sell","amount":10.0}],"has_more":false}}',
    candles=b'{"jsonrpc":"2.0","result":{"volume":[19.007],"ticks":[1554373800000],"status":"ok","open":[4963.4],'
    b'"low":[4728.9],"high":[4973.0],"cost":[1.0],"close":[4971.0]}}',
    candle_rows=[(1554373800000000, "4963.4", "4973", "4728.9", "4971", "19.007")],
)
