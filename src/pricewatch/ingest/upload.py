"""Finished captures into an object store: each tried until it is there, also by the next start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.ingest.backoff import doubled

log = structlog.get_logger(__name__)


class Objects(Protocol):
    """Where captures go."""

    async def put(self, name: str, file: Path) -> None:
        """Store a file, whole or not at all; raises `Unavailable`."""
        ...

    async def size(self, name: str) -> int | None:
        """Bytes of an object, None where there is none; raises `Unavailable`."""
        ...


class Uploader:
    """Uploads what it is given, one file after the other; `run` until cancelled."""

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        *,
        retry: float,
        retry_cap: float,
        keep: bool,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Names in the store are paths below `folder`; without `keep` a file goes once the store has it."""
        self._objects = objects
        self._folder = folder
        self._retry, self._cap = retry, retry_cap
        self._keep = keep
        self._pause = pause
        self._waiting: asyncio.Queue[Path] = asyncio.Queue()
        self.uploaded = 0
        self.failures = 0

    @property
    def waiting(self) -> int:
        """Files not in the store yet."""
        return self._waiting.qsize()

    def add(self, file: Path) -> None:
        """A file is complete."""
        self._waiting.put_nowait(file)

    def add_left(self) -> None:
        """Everything below the folder: what an earlier process did not get round to. Call it before recording."""
        for file in sorted(self._folder.rglob("*.jsonl.gz")):
            self.add(file)

    async def run(self) -> None:
        """Upload for ever."""
        while True:
            await self._next()

    async def drain(self, within: float) -> None:
        """Upload what waits, for so many seconds at most; the rest is left to the next start."""
        try:
            async with asyncio.timeout(within):
                while self.waiting:
                    await self._next()
        except TimeoutError:
            log.warning("capture.upload_later", files=self.waiting)

    async def _next(self) -> None:
        file = await self._waiting.get()
        attempt = 0
        try:
            while True:
                try:
                    await self._upload(file)
                except Unavailable as error:
                    if not attempt:
                        log.warning("capture.upload_failed", file=str(file), error=str(error))
                    self.failures += 1
                    await self._pause(doubled(self._retry, self._cap, attempt))
                    attempt += 1
                else:
                    break
        except asyncio.CancelledError:
            self.add(file)
            raise
        if attempt:
            log.info("capture.upload_back", file=str(file), attempts=attempt + 1)

    async def _upload(self, file: Path) -> None:
        name = file.relative_to(self._folder).as_posix()
        size = (await asyncio.to_thread(file.stat)).st_size
        if await self._objects.size(name) != size:
            await self._objects.put(name, file)
            self.uploaded += 1
        if not self._keep:
            await asyncio.to_thread(file.unlink)


class _Obstore:
    """Any store obstore knows."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, name: str, file: Path) -> None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            await obstore.put_async(self._store, name, file)
        except (BaseError, OSError) as exc:
            raise Unavailable(f"{name}: {_brief(exc)}") from exc

    async def size(self, name: str) -> int | None:
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        try:
            return (await obstore.head_async(self._store, name))["size"]
        except (FileNotFoundError, NotFoundError):
            return None
        except (BaseError, OSError) as exc:
            raise Unavailable(f"{name}: {_brief(exc)}") from exc


def objects(url: str) -> Objects:
    """The store at `s3://bucket/prefix` (credentials as AWS tools take them), `gs://…`, `az://…`, or a local folder.

    Raises `ConfigError`.
    """
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url

    try:
        if "://" not in url:
            return _Obstore(LocalStore(Path(url).absolute(), mkdir=True))
        return _Obstore(from_url(url))
    except (BaseError, ValueError, OSError) as exc:
        text = f"{url!r} is no object store: {_brief(exc)}; write for example 's3://bucket/captures' or a folder"
        raise ConfigError(f"ingest.record.store: {text}") from exc


def _brief(error: Exception) -> str:
    """The first line: below it the library tells its own innards."""
    return str(error).partition("\n")[0][:300]
