"""Reads recorded frames with a peer library's parser and prints what it took. Runs in the peers' own environment.

`python peers_worker.py cryptofeed|ccxt VENUE FILE ROUNDS LEAST PASS NATIVE…`: FILE holds one frame a line, base64; a
round reads them again and again for LEAST seconds of CPU, which is looked at every PASS frames or more. Prints one JSON
line: frames, what came out in the first round, and seconds of CPU a frame (the fastest of the rounds).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CRYPTOFEED = {
    "binance": "Binance", "binance_us": "BinanceUS", "bitstamp": "Bitstamp", "deribit": "Deribit", "gateio": "Gateio",
    "gemini": "Gemini", "htx": "Huobi", "kucoin": "KuCoin", "okx": "OKX", "upbit": "Upbit",
}  # fmt: skip
CCXT = {name: name for name in CRYPTOFEED} | {
    "gateio": "gate",
    "binance_us": "binanceus",
    "coinbase": "coinbaseexchange",
}


class Names(dict[str, str]):
    """Every name means itself, and is found from the second time on as in any dict."""

    def __missing__(self, key: str) -> str:
        self[key] = key
        return key


def cryptofeed(venue: str) -> tuple[Callable[[Any], Awaitable[None]], list[int]]:
    """The handler of one frame, and the count of what came out."""
    import cryptofeed.exchanges as exchanges
    from cryptofeed.defines import TICKER, TRADES
    from cryptofeed.symbols import Symbols

    kind = getattr(exchanges, CRYPTOFEED[venue])
    found = [0]

    async def count(item: object, received: float) -> None:
        found[0] += 1

    if venue == "kucoin":  # its constructor asks the venue for a token
        token = {"data": {"token": "x", "instanceServers": [{"endpoint": "wss://x", "pingInterval": 1}]}}
        kind.http_sync = SimpleNamespace(write=lambda *_, **__: token, read=lambda *_, **__: {})
    channels = (
        [TICKER] if venue == "deribit" else [TRADES] if venue in {"bitstamp", "gemini", "upbit"} else [TRADES, TICKER]
    )
    Symbols.set(kind.id, {"BTC-USDT": "BTC-USDT"}, {"instrument_type": {}})
    kind.is_authenticated_channel = classmethod(lambda *_: False)  # Deribit's public channels are read without keys
    feed = kind(symbols=["BTC-USDT"], channels=channels, callbacks=dict.fromkeys(channels, count))
    if venue == "deribit":  # made when it connects
        feed._open_interest_cache = {}
    feed.exchange_symbol_mapping = Names()
    feed.normalized_symbol_mapping = Names()

    async def handle(frame: str | bytes) -> None:
        await feed.message_handler(frame, None, 1_600_000_000.0)

    return handle, found


def ccxt(venue: str) -> tuple[Callable[[Any], Awaitable[None]], list[int]]:
    """The handler of one frame, and the count of what came out."""
    import ccxt.pro
    from ccxt.async_support.base.ws.functions import gunzip

    try:
        import orjson as parser
    except ImportError:
        parser = json  # type: ignore[assignment]
    exchange = getattr(ccxt.pro, CCXT[venue])({"newUpdates": True})
    found = [0]

    class Client:
        """What ccxt's parsers ask of a connection."""

        def __init__(self) -> None:
            self.url = "wss://example/spot"
            self.subscriptions: dict[str, Any] = {}
            self.futures: dict[str, Any] = {}
            self.lastPong = 0
            self.keepAlive = 1

        def resolve(self, result: Any, key: str) -> Any:
            found[0] += 1
            return result

        def reject(self, error: Exception, key: str | None = None) -> None:
            raise error

    client = Client()
    markets: dict[str, Any] = {}

    def market(native: str) -> dict[str, Any]:
        base, quote = [*native.upper().replace("_", "-").split("-"), "USDT"][:2]
        return exchange.safe_market_structure(
            {
                "id": native, "symbol": f"{base}/{quote}", "base": base, "quote": quote, "baseId": base,
                "quoteId": quote, "spot": True, "type": "spot", "active": True, "contract": False,
                "precision": {"amount": 1e-8, "price": 1e-8}, "limits": {}, "info": {},
            }
        )  # fmt: skip

    for native in sys.argv[7:]:
        ident = native.lower() if venue == "gemini" else native  # as its own list of markets has it
        markets[ident] = market(ident)
    exchange.set_markets(list(markets.values()))

    def strange(*_: Any, **__: Any) -> None:
        raise LookupError("a frame names a market that was not registered: ccxt would make it anew each time")

    exchange.safe_market_structure = strange

    async def handle(frame: str | bytes) -> None:
        text = gunzip(frame) if isinstance(frame, bytes) else frame
        exchange.handle_message(client, parser.loads(text))

    return handle, found


async def main(library: str, venue: str, path: Path, rounds: int, least: float, often: int) -> None:
    """Time the rounds."""
    logging.disable(logging.CRITICAL)
    lines = path.read_bytes().split(b"\n")  # noqa: ASYNC240 - nothing else runs
    raw = [base64.b64decode(line) for line in lines if line]
    frames = [frame if frame[:2] == b"\x1f\x8b" else frame.decode() for frame in raw]
    handle, found = (cryptofeed if library == "cryptofeed" else ccxt)(venue)
    for frame in frames:
        await handle(frame)
    items, single = found[0], len(frames)
    frames *= math.ceil(often / single)
    best = float("inf")
    for _ in range(rounds):
        count, began = 0, time.process_time()
        while (took := time.process_time() - began) < least:
            for frame in frames:
                await handle(frame)
            count += len(frames)
        best = min(best, took / count)
    print(json.dumps({"frames": single, "items": items, "seconds": best}))


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
    )
