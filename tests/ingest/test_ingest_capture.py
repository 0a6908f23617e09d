from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pricewatch.domain.time import DAY
from pricewatch.ingest.capture import Recorder, Recording


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


def test_tokens_are_not_written_down(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.jsonl.gz")
    recorder.opened("kucoin.1", "wss://x/endpoint?connectId=1&token=secret==&acceptUserMessage=false", 1)
    recorder.sent("kucoin.1", "wss://x/endpoint?token=secret", "{}", 2)
    recorder.close()
    assert [line["url"] for line in lines(recorder.path)] == [
        "wss://x/endpoint?connectId=1&token=TOKEN&acceptUserMessage=false",
        "wss://x/endpoint?token=TOKEN",
    ]


def test_what_was_flushed_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    recorder = Recorder(path)
    recorder.received("ws.1", "one", 1)
    recorder.flush()
    recorder.flush()
    recorder.received("ws.1", "two", 2)
    torn = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(path.read_bytes())
    assert torn == b'{"t":0.000001,"dir":"in","conn":"ws.1","raw":"one"}\n'
    recorder.close()
    assert [line["raw"] for line in lines(path)] == ["one", "two"]


def test_a_file_a_venue_and_day_and_none_is_written_over(tmp_path: Path) -> None:
    noon = 1_795_000_000_000_000 // DAY * DAY + DAY // 2
    finished: list[Path] = []
    recording = Recording(tmp_path, finished=finished.append)
    recording.opened("coinbase.1", "wss://x", noon)
    recording.opened("kraken.1", "wss://y", noon)
    recording.sent("coinbase.1", "wss://x", "{}", noon + 1)
    recording.received("coinbase.1", "before", noon + DAY // 2 - 1)
    recording.received("coinbase.1", "after", noon + DAY // 2)
    recording.received("coinbase.1", "the clock went back", noon)
    recording.flush()
    assert len(finished) == 1
    assert recording.frames == 3
    recording.close()
    names = [path.relative_to(tmp_path).as_posix() for path in recording.files]
    assert names == [
        "coinbase/coinbase-20261118T120000Z.jsonl.gz",
        "kraken/kraken-20261118T120000Z.jsonl.gz",
        "coinbase/coinbase-20261119T000000Z.jsonl.gz",
    ]
    assert [line["dir"] for line in lines(recording.files[0])] == ["open", "out", "in"]
    assert [line["raw"] for line in lines(recording.files[2])] == ["after", "the clock went back"]
    again = Recording(tmp_path, finished=finished.append)
    again.opened("kraken.1", "wss://y", noon)
    again.close()
    assert again.files == [tmp_path / "kraken/kraken-20261118T120000Z-2.jsonl.gz"]
    assert set(finished) == {*recording.files, *again.files}
