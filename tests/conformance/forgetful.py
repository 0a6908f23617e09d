"""A consumer that acknowledges, but never says that it needs longer."""

from __future__ import annotations

import asyncio
import json
import os

from websockets.asyncio.client import connect

URL, KEY = os.environ["PRICEWATCH_URL"], os.environ["PRICEWATCH_KEY"]  # noqa: TID251 - a program of its own
NAME, WORK = os.environ["PRICEWATCH_CONSUMER"], float(os.environ["PRICEWATCH_WORK"])  # noqa: TID251


async def main() -> None:
    async with connect(URL, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        params = {"channel": "signals", "symbols": ["*"], "consumer": NAME}
        await socket.send(json.dumps({"method": "subscribe", "params": params, "req_id": 1}))
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "signal":
                await asyncio.sleep(WORK)
                print(frame["data"]["id"], flush=True)
                done = {"consumer": NAME, "seqs": [frame["seq"]]}
                await socket.send(json.dumps({"method": "ack", "params": done, "req_id": 2}))


asyncio.run(main())
