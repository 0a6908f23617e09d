"""A bot that misses no signal: run it twice, and the two share the work."""

import asyncio
import os

from pricewatch.client import Client


async def main() -> None:
    url = os.environ.get("PRICEWATCH_URL", "ws://127.0.0.1:8080/ws/v1")
    async with Client(os.environ["PRICEWATCH_KEY"], url) as client:
        signals = client.signals("BTC-USD", consumer="bot", on_health=lambda now: print("blind:", now.blind))
        async for signal in signals:
            # Act here, under signal.id: if this process dies now, the signal comes again with the same id.
            print(signal.id, signal.title, signal.direction, signal.price, flush=True)


asyncio.run(main())
