"""`python -m benchmarks.bare LIBRARY URL SPAN`: the client library alone, on the frames the service gets.

Without a URL it measures the library's highest rate on frames a second process sends as fast as they are read.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Literal, cast

from websockets.asyncio.server import ServerConnection, serve

from benchmarks.source import made
from pricewatch.ingest.transport.choice import connector
from pricewatch.ingest.transport.options import Options
from pricewatch.simulator.link import framed

Library = Literal["websockets", "aiohttp"]
_CHUNK = 200


async def receive(library: Library, url: str, span: float) -> dict[str, float]:
    """Frames a second and CPU per cent over `span` seconds."""
    async with connector(library, Options()).connect(url) as connection:
        await connection.receive()
        count, cpu, began = 0, time.process_time(), time.perf_counter()
        while (passed := time.perf_counter() - began) < span:
            await connection.receive()
            count += 1
            if count % _CHUNK == 0:
                await asyncio.sleep(0)
        return {"rate": count / passed, "cpu": 100 * (time.process_time() - cpu) / passed}


async def blast(count: int, pause: float = 0.0) -> None:
    """Send the same frames over and over to whoever connects: as fast as they are read, or with pauses between."""
    whole = b"".join(framed(frame) for frame in made("binance", count, ("M0001-USDT",)).frames)

    async def pour(socket: ServerConnection) -> None:
        while not socket.transport.is_closing():
            if socket.transport.get_write_buffer_size() < len(whole):
                socket.transport.write(whole)
            await asyncio.sleep(pause)

    async with serve(pour, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def blasted(library: Library, span: float, together: int) -> dict[str, float]:
    """The library's highest rate; with so many frames `together`, 2 ms apart, what it takes for them."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare", "blast", str(together)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as sender:
        assert sender.stdout is not None
        try:
            return asyncio.run(receive(library, f"ws://127.0.0.1:{int(sender.stdout.readline())}/", span))
        finally:
            sender.terminate()


if __name__ == "__main__":
    if sys.argv[1] == "blast":
        together_ = int(sys.argv[2])
        asyncio.run(blast(together_, 0.002) if together_ else blast(500))
    else:
        chosen, span_ = cast("Library", sys.argv[1]), float(sys.argv[3])
        if sys.argv[2]:
            result = asyncio.run(receive(chosen, sys.argv[2], span_))
        else:
            result = blasted(chosen, span_, int(sys.argv[4]) if len(sys.argv) > 4 else 0)
        sys.stdout.write(json.dumps(result) + "\n")
