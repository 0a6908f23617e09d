from __future__ import annotations

import json
from collections.abc import Sequence

from tests.exchanges.cases import Case, QuoteRow, TradeRow


def answer(sends: Sequence[str]) -> list[str]:
    answers = []
    known: dict[str, list[str]] = {}
    for number, send in enumerate(sends):
        request = json.loads(send)
        known.setdefault(request["channel"], []).extend(request.get("product_ids", ["heartbeats"]))
        answers.append(
            json.dumps(
                {
                    "channel": "subscriptions",
                    "client_id": "",
                    "timestamp": "2024-10-04T07:13:08.600625889Z",
                    "sequence_num": number,
                    "events": [{"subscriptions": known}],
                }
            )
        )
    return answers


CASE = Case(
    venue="coinbase_advanced",
    symbols=("ETH-USDT", "BTC-USD"),
    natives=("ETH-USDT", "BTC-USD"),
    answer=answer,
    refuse=None,
    trades=[
        (
            '{"channel":"market_trades","client_id":"","timestamp":"2024-10-04T07:13:31.158696693Z","sequence_num":3,'
            '"events":[{"type":"update","trades":[{"product_id":"ETH-USDT","trade_id":"22381691","price":"2375.56",'
            '"size":"0.5","time":"2024-10-04T07:13:31.088388Z","side":"BUY"},{"product_id":"ETH-USDT",'
            '"trade_id":"22381690","price":"2375.56","size":"0.25","time":"2024-10-04T07:13:31.084859Z",'
            '"side":"SELL"}]}]}',
            [
                TradeRow("ETH-USDT", "2375.56", "0.25", "buy", "22381690", 1728026011084859),
                TradeRow("ETH-USDT", "2375.56", "0.5", "sell", "22381691", 1728026011088388),
            ],
        ),
        (
            '{"channel":"market_trades","client_id":"","timestamp":"2026-04-07T14:30:02.789012Z","sequence_num":4,'
            '"events":[{"type":"snapshot","trades":[{"trade_id":"995098700","product_id":"BTC-USD","price":"68900.50",'
            '"size":"0.00150000","side":"BUY","time":"2026-04-07T14:30:02.789012Z"}]}]}',
            [TradeRow("BTC-USD", "68900.5", "0.0015", "sell", "995098700", 1775572202789012, history=True)],
        ),
    ],
    quotes=[
        (
            '{"channel":"ticker","client_id":"","timestamp":"2023-02-09T20:30:37.167359596Z","sequence_num":5,"events":'
            '[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"ETH-USDT","price":"21932.98",'
            '"volume_24_h":"16038.28770938","low_24_h":"21835.29","high_24_h":"23011.18","low_52_w":"15460",'
            '"high_52_w":"48240","price_percent_chg_24_h":"-4.15775596190603","best_bid":"21931.98",'
            '"best_bid_quantity":"8000.21","best_ask":"21933.98","best_ask_quantity":"8038.07770938"}]}]}',
            [QuoteRow("ETH-USDT", "21931.98", "8000.21", "21933.98", "8038.07770938")],
        )
    ],
    ignored=[
        '{"channel":"heartbeats","client_id":"","timestamp":"2024-10-04T07:04:40.825062088Z","sequence_num":6,"events":'
        '[{"current_time":"2024-10-04 07:04:40.820713045 +0000 UTC m=+66987.6","heartbeat_counter":66987}]}',
        '{"channel":"candles","client_id":"","timestamp":"2023-06-09T20:19:35.39625135Z","sequence_num":7,"events":[]}',
    ],
    instruments=[
        b'{"products":[{"product_id":"BTC-USD","status":"online","trading_disabled":false,"is_disabled":false,'
        b'"product_type":"SPOT","quote_currency_id":"USD","base_currency_id":"BTC","alias":"","alias_to":["BTC-USDC"]},'
        b'{"product_id":"ETH-USDT","status":"online","product_type":"SPOT","quote_currency_id":"USDT",'
        b'"base_currency_id":"ETH"}],"num_products":2}'
    ],
    history=b'{"trades":[{"trade_id":"995098663","product_id":"ETH-USDT","price":"2368.67","size":"0.00064",'
    b'"time":"2026-04-07T00:28:58.544778Z","side":"SELL","bid":"","ask":"","exchange":"coinbase"},'
    b'{"trade_id":"995098662","product_id":"ETH-USDT","price":"2368.67","size":"0.00123858",'
    b'"time":"2026-04-07T00:28:58.250358Z","side":"SELL","bid":"","ask":"","exchange":"coinbase"}],'
    b'"best_bid":"2368.66","best_ask":"2368.67"}',
    candles=b'{"candles":[{"start":"1639508040","low":"140.11","high":"140.41","open":"140.21","close":"140.31",'
    b'"volume":"56437345"}]}',
    candle_rows=[(1639508040000000, "140.21", "140.41", "140.11", "140.31", "56437345")],
    why="what it says of a product it does not know is not documented, and its errors name no product",
)
