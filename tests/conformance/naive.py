"""A client as they are often written: it connects again, and that is all."""

from __future__ import annotations

import asyncio
import json
import os

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

URL, KEY = os.environ["PRICEWATCH_URL"], os.environ["PRICEWATCH_KEY"]  # noqa: TID251 - a program of its own


async def main() -> None:
    while True:
        try:
            async with connect(URL, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
                params = {"channel": "signals", "symbols": ["*"]}
                await socket.send(json.dumps({"method": "subscribe", "params": params, "req_id": 1}))
                async for text in socket:
                    frame = json.loads(text)
                    if frame["type"] == "signal":
                        print(frame["data"]["id"], flush=True)
        except (ConnectionClosed, OSError):
            await asyncio.sleep(0.05)


asyncio.run(main())
