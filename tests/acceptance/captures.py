"""What is in a recorded capture: a plain reading of its JSON lines, sharing no code with the product."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.oracle import Print

Trades = dict[str, dict[int, float]]
"""By market and trade id: the price."""

BTC = "binance/binance-btcusdt-20240808T235413Z.jsonl.gz"
ETH = "binance/binance-ethusdt-20240808T235414Z.jsonl.gz"
COINBASE = "coinbase/coinbase-20210417T164337Z-a.jsonl.gz"


def frames(file: Path) -> Iterator[dict[str, Any]]:
    """What the venue said, without the envelope of a combined stream."""
    with gzip.open(file, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row["dir"] == "in":
                message = json.loads(row["raw"])
                yield message.get("data", message)


def prints(file: Path) -> list[Print]:
    """Binance's trades in the order in which it told them."""
    told = [data for data in frames(file) if data.get("e") == "trade"]
    return [
        Print(place, f"binance:{data['s'].removesuffix('USDT')}-USDT", data["T"] * 1_000, float(data["p"]), data["t"])
        for place, data in enumerate(told, start=1)
    ]


def trades(file: Path) -> Trades:
    found: Trades = {}
    for data in frames(file):
        if data.get("e") == "trade":
            market = f"binance:{data['s'].removesuffix('USDT')}-USDT"
            found.setdefault(market, {})[data["t"]] = float(data["p"])
        elif data.get("type") in ("match", "last_match"):
            found.setdefault(f"coinbase:{data['product_id']}", {})[data["trade_id"]] = float(data["price"])
    return found
