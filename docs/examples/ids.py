"""Prints the id of every signal it acts on: the client that `python -m pricewatch.conformance` proves."""

import asyncio
import os

from pricewatch.client import Client


async def main() -> None:
    consumer, work = os.environ.get("PRICEWATCH_CONSUMER") or None, float(os.environ.get("PRICEWATCH_WORK") or 0)
    async with Client(os.environ["PRICEWATCH_KEY"], os.environ["PRICEWATCH_URL"]) as client:
        async for signal in client.signals(consumer=consumer):
            await asyncio.sleep(work)
            print(signal.id, flush=True)


asyncio.run(main())
