from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pricewatch.ingest.capture import Recorder


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def test_what_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.jsonl.gz")
    recorder.opened("ws.1", "wss://x", 1_723_161_253_937_085)
    recorder.sent("ws.1", "wss://x", '{"a":1}', 2_000_000)
    recorder.received("ws.1", b'{"p":"1.50"}', 3_000_001)
    recorder.received("ws.1", "text", 3)
    recorder.received("ws.1", b"\xff\x00", 4)
    recorder.close()
    assert recorder.frames == 3
    assert b'"t":1723161253.937085' in gzip.decompress(recorder.path.read_bytes())
    assert lines(recorder.path) == [
        {"t": 1723161253.937085, "dir": "open", "conn": "ws.1", "url": "wss://x"},
        {"t": 2.0, "dir": "out", "conn": "ws.1", "url": "wss://x", "raw": '{"a":1}'},
        {"t": 3.000001, "dir": "in", "conn": "ws.1", "raw": '{"p":"1.50"}'},
        {"t": 0.000003, "dir": "in", "conn": "ws.1", "raw": "text"},
        {"t": 0.000004, "dir": "in", "conn": "ws.1", "b64": base64.b64encode(b"\xff\x00").decode()},
    ]


async def test_ingest_is_recorded(house: Any, wait: Callable[..., Awaitable[None]], tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.jsonl.gz")
    async with house.listening(tap=recorder):
        await house.venue.trade(1)
        await wait(lambda: house.sink.keys == [1])
    recorder.close()
    assert [line["dir"] for line in lines(recorder.path)] == ["open", "out", "in", "in"]
