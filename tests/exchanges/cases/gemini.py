from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def snapshot(native: str) -> dict[str, Any]:
    changes = [["buy", "9122.04", "0.00121425"], ["buy", "9121", "2"], ["sell", "9122.07", "0.98942292"]]
    changes += [["sell", "1000000.00", "8.60257241"]]
    return {"type": "l2_updates", "symbol": native, "changes": changes, "trades": [], "auction_events": []}


def answer(sends: Sequence[str]) -> list[str]:
    return [
        json.dumps(snapshot(native))
        for send in sends
        for wanted in json.loads(send)["subscriptions"]
        for native in wanted["symbols"]
    ]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    answers = []
    for send in sends:
        alone = json.loads(send)["subscriptions"][0]["symbols"] == [native]
        answers += ['{"reason":"NoValidTradingPairs","result":"error"}'] if alone else answer([send])
    return answers


CASE = Case(
    venue="gemini",
    symbols=("BTC-USD", "BAL-USD"),
    natives=("BTCUSD", "BALUSD"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"type":"trade","symbol":"BALUSD","event_id":34359648633,"timestamp":1618677950963,"price":"62.0131",'
            '"quantity":"8.79","side":"buy"}',
            [TradeRow("BAL-USD", "62.0131", "8.79", "buy", "34359648633", 1618677950963000)],
        ),
        (
            '{"type":"trade","symbol":"BTCUSD","event_id":3575573053,"timestamp":1512312410000,'
            '"price":"9004.21000000","quantity":"0.09110000","side":"sell","tid":2840140800042677}',
            [TradeRow("BTC-USD", "9004.21", "0.0911", "sell", "2840140800042677", 1512312410000000)],
        ),
        (
            '{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","9122.04","1"],["sell","9122.07","1"]],"trades":['
            '{"type":"trade","symbol":"BTCUSD","eventid":169841459,"timestamp":1560976400428,"price":"9122.04",'
            '"quantity":"0.0073173","side":"sell","tid":2840140800042678},{"type":"trade","symbol":"BTCUSD",'
            '"event_id":169841458,"timestamp":1560976400428,"price":"9122.05","quantity":"1","side":"auction"}]}',
            [
                TradeRow("BTC-USD", "9122.05", "1", "unknown", "169841458", 1560976400428000, history=True),
                TradeRow("BTC-USD", "9122.04", "0.0073173", "sell", "2840140800042678", 1560976400428000, history=True),
            ],
        ),
    ],
    quotes=[
        (
            '{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","9122.05","0.1921229751"],["sell","9130","1"]]}',
            [QuoteRow("BTC-USD", "9122.05", "0.1921229751", "9122.07", "0.98942292")],
        ),
        (
            '{"type":"l2_updates","symbol":"BTCUSD","changes":[["buy","9122.05","0"],["sell","9122.07","0"]]}',
            [QuoteRow("BTC-USD", "9122.04", "0.00121425", "9130", "1")],
        ),
        ('{"type":"l2_updates","symbol":"BTCUSD","changes":[["sell","9999.5","1"]]}', []),
    ],
    ignored=[
        '{"type":"heartbeat","timestamp":1618677952928}',
        '{"type":"candles_1m_updates","symbol":"BTCUSD","changes":[[1561054500000,9350.18,9358.35,9350.18,9355.51,2.07]]}',
    ],
    instruments=[b'["btcusd","balusd","ethbtc","ethusd","btcgusd","paxgusd","gusdusd","btcgusdperp"]'],
    history=(
        b'[{"timestamp":1547146811,"timestampms":1547146811357,"tid":5335307669,"price":"3610.85","amount":"0.27413495",'
        b'"exchange":"gemini","type":"buy"},{"timestamp":1547146811,"timestampms":1547146811356,"tid":5335307668,'
        b'"price":"3610.8","amount":"1","exchange":"gemini","type":"sell"}]'
    ),
    candles=b"[[1559755860000,7781.6,7820.23,7776.56,7819.39,34.7624802159],[1559755800000,7781,7790,7780,7781.6,1.5]]",
    candle_rows=[
        (1559755800000000, "7781", "7790", "7780", "7781.6", "1.5"),
        (1559755860000000, "7781.6", "7820.23", "7776.56", "7819.39", "34.7624802159"),
    ],
)
