from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    answers = []
    known: dict[str, list[str]] = {}
    for send in sends:
        request = json.loads(send)
        for channel in request["channels"]:
            known.setdefault(channel, []).extend(request["product_ids"])
        channels = [{"name": name, "product_ids": products} for name, products in known.items()]
        answers.append(json.dumps({"type": "subscriptions", "channels": channels}))
    return answers


def refuse(sends: Sequence[str], native: str) -> list[str]:
    good = [send for send in sends if native not in json.loads(send)["product_ids"]]
    bad = {"type": "error", "message": "Failed to subscribe", "reason": f"{native} is not a valid product"}
    return [*answer(good), *([json.dumps(bad)] if len(good) < len(sends) else [])]


CASE = Case(
    venue="coinbase",
    symbols=("BTC-USD", "ETH-USD"),
    natives=("BTC-USD", "ETH-USD"),
    answer=answer,
    refuse=refuse,
    trades=[
        (
            '{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66","taker_order_id":"132fb6ae",'
            '"time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}',
            [TradeRow("BTC-USD", "400.23", "5.23512", "buy", "10", 1415348367028459)],
        ),
        (
            '{"type":"last_match","trade_id":9,"sequence":49,"time":"2014-11-07T08:19:26Z","product_id":"ETH-USD",'
            '"size":"1","price":"400.2","side":"buy"}',
            [TradeRow("ETH-USD", "400.2", "1", "sell", "9", 1415348366000000, history=True)],
        ),
    ],
    quotes=[
        (
            '{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","best_bid":"1285.04",'
            '"best_bid_size":"0.46688654","best_ask":"1285.27","best_ask_size":"1.56637040","side":"buy",'
            '"time":"2022-10-19T23:28:22.061769Z","trade_id":370843401,"last_size":"11.4396987"}',
            [QuoteRow("ETH-USD", "1285.04", "0.46688654", "1285.27", "1.5663704")],
        )
    ],
    ignored=['{"type":"l2update","product_id":"BTC-USD","changes":[]}'],
    instruments=[
        b'[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","trading_disabled":false,"status":"online"},'
        b'{"id":"ETH-USD","base_currency":"ETH","quote_currency":"USD","trading_disabled":false,"status":"online"}]'
    ],
    history=b'[{"trade_id":74,"side":"sell","size":"0.1","price":"10.00","time":"2014-11-07T22:19:28.578544Z"}]',
    candles=b"[[1415398740,0.32,4.2,0.35,4.1,12.3]]",
    candle_rows=[(1415398740000000, "0.35", "4.2", "0.32", "4.1", "12.3")],
)
