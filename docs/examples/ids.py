"""Prints the id of every signal it acts on: the client that `python -m pricewatch.conformance` proves."""

import asyncio
import os

from pricewatch.client import Client


async def main() -> None:
    consumer = os.environ.get("PRICEWATCH_CONSUMER") or None
    async with Client(os.environ["PRICEWATCH_KEY"], os.environ["PRICEWATCH_URL"]) as client:
        async for signal in client.signals(consumer=consumer):
            print(signal.id, flush=True)


asyncio.run(main())
