from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    channels = [json.loads(send)["data"]["channel"] for send in sends]
    return [json.dumps({"event": "bts:subscription_succeeded", "channel": one, "data": {}}) for one in channels]


def refuse(sends: Sequence[str], native: str) -> list[str]:
    refusal = {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Invalid channel provided."}}
    answers = []
    for send in sends:
        bad = json.loads(send)["data"]["channel"].endswith(f"_{native}")
        answers += [json.dumps(refusal)] if bad else answer([send])
    return answers


CASE = Case(
    venue="bitstamp",
    symbols=("ETH-USD", "BTC-EUR"),
    natives=("ethusd", "btceur"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"data":{"id":542327128,"timestamp":"1772723751","amount":0.241,"amount_str":"0.241000","price":2090.22,'
            '"price_str":"2090.22","type":0,"microtimestamp":"1772723751946000","buy_order_id":1982008431775746,'
            '"sell_order_id":1982008430600193},"channel":"live_trades_ethusd","event":"trade"}',
            [TradeRow("ETH-USD", "2090.22", "0.241", "buy", "542327128", 1772723751946000)],
        ),
        (
            '{"event": "trade", "channel": "live_trades_btceur", "data": {"id": 216000484, "timestamp": "1641343709", '
            '"amount": 0.931, "amount_str": "0.93100000", "price": 3802.93, "price_str": "3802.93", "type": 1, '
            '"microtimestamp": "1641343709599000", "buy_order_id": 1, "sell_order_id": 2}}',
            [TradeRow("BTC-EUR", "3802.93", "0.931", "sell", "216000484", 1641343709599000)],
        ),
    ],
    quotes=[
        (
            '{"data":{"timestamp":"1772723362","microtimestamp":"1772723362377013","bids":[["2087.28","0.500000"],'
            '["2087.09","0.056000"]],"asks":[["2087.29","6.330796"],["2087.32","0.241000"]]},'
            '"channel":"order_book_ethusd","event":"data"}',
            [QuoteRow("ETH-USD", "2087.28", "0.5", "2087.29", "6.330796")],
        )
    ],
    closing=['{"event":"bts:request_reconnect","channel":"","data":""}'],
    ignored=[
        '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}',
        '{"event":"bts:unsubscription_succeeded","channel":"live_trades_ethusd","data":{}}',
        '{"data":{"bids":[],"asks":[]},"channel":"diff_order_book_ethusd","event":"data"}',
    ],
    instruments=[
        b'[{"name":"ETH/USD","url_symbol":"ethusd","base_decimals":8,"counter_decimals":2,"trading":"Enabled",'
        b'"minimum_order":"10.0 USD","description":"Ether / U.S. dollar"},{"name":"BTC/EUR","url_symbol":"btceur",'
        b'"trading":"Enabled"},{"name":"BTC/USD-PERP","url_symbol":"btcusd-perp","trading":"Enabled"},'
        b'{"name":"LUNA/USD","url_symbol":"lunausd","trading":"Disabled"}]'
    ],
    history=b'[{"date":"1772723751","tid":"542327128","amount":"0.24100000","type":"0","price":"2090.22"}]',
    candles=(
        b'{"data":{"pair":"ETH/USD","ohlc":[{"timestamp":"1772723700","open":"2090.1","high":"2091","low":"2089.5",'
        b'"close":"2090.22","volume":"12.50000000"}]}}'
    ),
    candle_rows=[(1772723700000000, "2090.1", "2091", "2089.5", "2090.22", "12.5")],
    why="a lower-case name it does not know is confirmed and stays silent; only malformed ones are refused",
)
