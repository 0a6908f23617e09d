"""Finished captures reach the store: once, whatever fails, also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.ingest.upload import Objects, Uploader, objects


class Shelf:
    """A store that fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.files: dict[str, bytes] = {}
        self.failures = failures
        self.puts = 0

    async def put(self, name: str, file: Path) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        self.puts += 1
        self.files[name] = file.read_bytes()

    async def size(self, name: str) -> int | None:
        return len(self.files[name]) if name in self.files else None


def written(folder: Path, name: str, content: bytes = b"frames") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def uploader(store: Objects, folder: Path, waits: list[float], *, keep: bool = True) -> Uploader:
    async def pause(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    return Uploader(store, folder, retry=1.0, retry_cap=4.0, keep=keep, pause=pause)


async def test_a_file_is_tried_until_the_store_has_it(tmp_path: Path) -> None:
    store, waits = Shelf(failures=4), list[float]()
    work = uploader(store, tmp_path, waits)
    work.add(written(tmp_path, "coinbase/a.jsonl.gz"))
    with capture_logs() as logs:
        await work.drain(60)
    assert store.files == {"coinbase/a.jsonl.gz": b"frames"}
    assert waits == [1, 2, 4, 4]
    assert (work.uploaded, work.failures, work.waiting) == (1, 4, 0)
    assert [entry["event"] for entry in logs] == ["capture.upload_failed", "capture.upload_back"]


async def test_what_an_earlier_process_left_is_uploaded_and_what_is_there_is_not(tmp_path: Path) -> None:
    store = Shelf()
    written(tmp_path, "kraken/a.jsonl.gz", b"whole")
    written(tmp_path, "kraken/b.jsonl.gz")
    store.files = {"kraken/a.jsonl.gz": b"torn", "kraken/b.jsonl.gz": b"frames"}
    work = uploader(store, tmp_path, [], keep=False)
    work.add_left()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        async with asyncio.timeout(30):
            while list(tmp_path.rglob("*.gz")):
                await asyncio.sleep(0.01)
        task.cancel()
    assert store.files["kraken/a.jsonl.gz"] == b"whole"
    assert (store.puts, work.waiting) == (1, 0)


async def test_a_store_that_stays_away_does_not_hold_up_the_end(tmp_path: Path) -> None:
    work = Uploader(Shelf(failures=1_000_000), tmp_path, retry=3600, retry_cap=3600, keep=True)
    work.add(written(tmp_path, "a.jsonl.gz"))
    with capture_logs() as logs:
        await work.drain(0.05)
    assert work.waiting == 1
    assert [entry["event"] for entry in logs] == ["capture.upload_failed", "capture.upload_later"]


async def test_a_folder_is_a_store(tmp_path: Path) -> None:
    store = objects(str(tmp_path / "far" / "away"))
    file = written(tmp_path, "kraken/a.jsonl.gz")
    assert await store.size("kraken/a.jsonl.gz") is None
    await store.put("kraken/a.jsonl.gz", file)
    assert await store.size("kraken/a.jsonl.gz") == 6
    assert (tmp_path / "far/away/kraken/a.jsonl.gz").read_bytes() == b"frames"
    with pytest.raises(Unavailable, match=r"b\.gz"):
        await store.put("b.gz", tmp_path / "missing")


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://"])
def test_what_is_no_store_is_told_with_the_fix(url: str) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.record\.store: .*write for example 's3://bucket"):
        objects(url)


@asynccontextmanager
async def bucket() -> AsyncIterator[tuple[str, dict[str, bytes], list[int]]]:
    """As much of S3 as an upload needs; answers with the statuses of the list first."""
    held: dict[str, bytes] = {}
    statuses: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if statuses:
            return web.Response(status=statuses.pop(0))
        name = request.path
        if request.method == "PUT":
            held[name] = body
            return web.Response(headers={"ETag": '"1"'})
        if name not in held:
            return web.Response(status=404)
        when = {"Last-Modified": "Wed, 18 Nov 2026 12:00:00 GMT", "ETag": '"1"'}
        return web.Response(body=held[name], headers=when)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", held, statuses
    finally:
        await runner.cleanup()


async def test_an_s3_bucket_is_a_store(tmp_path: Path, monkeypatch: Any) -> None:
    async with bucket() as (address, held, statuses):
        for name, value in {
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
        }.items():
            monkeypatch.setenv(name, value)
        store = objects("s3://captures/pricewatch")
        file = written(tmp_path, "kraken/a.jsonl.gz")
        assert await store.size("kraken/a.jsonl.gz") is None
        await store.put("kraken/a.jsonl.gz", file)
        assert held == {"/captures/pricewatch/kraken/a.jsonl.gz": b"frames"}
        assert await store.size("kraken/a.jsonl.gz") == 6
        statuses.append(403)
        with pytest.raises(Unavailable, match=r"a\.jsonl\.gz"):
            await store.put("kraken/a.jsonl.gz", file)
        statuses.append(403)
        with pytest.raises(Unavailable):
            await store.size("kraken/a.jsonl.gz")
