"""Artefacts in a folder or an object store: written once, and believed only with our signature."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pricewatch.blobs.settings import BlobSettings
from pricewatch.domain.errors import BadData, ConfigError, Unavailable
from pricewatch.domain.model import Seal

_KEY_BYTES = 32
_MOST_BYTES = 16 * 1024 * 1024


class ObjectArtefacts:
    """Keeps `Artefacts`. Nothing is opened before the first call, which may raise `ConfigError`."""

    def __init__(self, settings: BlobSettings, folder: Path) -> None:
        """`folder` holds the artefacts and the key where the settings name no other place."""
        self._settings = settings
        self._folder = folder
        self._opened: Any = None
        self._key = settings.key.get_secret_value().encode()

    async def put(self, name: str, payload: bytes) -> Seal:
        """Store once under a new name; what is there already is kept. Raises `Unavailable`."""
        store = await self._ready()
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            with contextlib.suppress(AlreadyExistsError):
                async with asyncio.timeout(self._settings.timeout):
                    await obstore.put_async(store, name, payload, mode="create")
        except (BaseError, OSError, TimeoutError) as error:
            raise Unavailable(f"artefact {name} cannot be stored: {_brief(error)}") from error
        return Seal(name, hashlib.sha256(payload).hexdigest(), self._sign(name, payload), len(payload))

    async def get(self, seal: Seal) -> bytes:
        """Raises `BadData` for what is missing, corrupted, foreign or unsigned, `Unavailable` when it cannot tell."""
        payload = await self._read(seal.name)
        if len(payload) != seal.size or hashlib.sha256(payload).hexdigest() != seal.sha256:
            raise BadData("artefact", f"{seal.name} is corrupted: its SHA-256 is not the registered one")
        if not seal.mac:
            raise BadData("artefact", f"{seal.name} is not signed")
        if not hmac.compare_digest(self._sign(seal.name, payload), seal.mac):
            raise BadData(
                "artefact", f"{seal.name} is foreign: not signed with our key (blobs.key, or the key beside it)"
            )
        return payload

    async def remove(self, names: Sequence[str]) -> None:
        """What is not there is fine. Raises `Unavailable`."""
        store = await self._ready()
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        for name in names:
            try:
                async with asyncio.timeout(self._settings.timeout):
                    await obstore.delete_async(store, name)
            except (FileNotFoundError, NotFoundError):
                continue
            except (BaseError, OSError, TimeoutError) as error:
                raise Unavailable(f"artefact {name} cannot be removed: {_brief(error)}") from error

    async def _read(self, name: str) -> bytes:
        store = await self._ready()
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        try:
            async with asyncio.timeout(self._settings.timeout):
                found = await obstore.get_async(store, name)
                if found.meta["size"] > _MOST_BYTES:
                    raise BadData("artefact", f"{name} has {found.meta['size']} bytes, at most {_MOST_BYTES}")
                return bytes(await found.bytes_async())
        except (FileNotFoundError, NotFoundError) as error:
            raise BadData("artefact", f"{name} is missing") from error
        except (BaseError, OSError, TimeoutError) as error:
            raise Unavailable(f"artefact {name} cannot be read: {_brief(error)}") from error

    async def _ready(self) -> Any:
        """The store; its library, which takes a while to import, is in memory from then on."""
        if self._opened is None:
            if not self._key:
                self._key = await asyncio.to_thread(_own_key, self._folder)
            self._opened = await asyncio.to_thread(_open, self._settings.store, self._folder)
        return self._opened

    def _sign(self, name: str, payload: bytes) -> str:
        """The name is signed too: one market's artefact is no other's."""
        return hmac.new(self._key, name.encode() + b"\0" + payload, hashlib.sha256).hexdigest()


def _own_key(folder: Path) -> bytes:
    """The key beside the artefacts, made at first use and readable by us alone."""
    path = folder.with_name(f"{folder.name}.key")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"app.data: the key {path} cannot be read or made: {error.strerror or error}") from error
    if len(key) < _KEY_BYTES:
        raise ConfigError(f"the key {path} is too short; remove it (artefacts signed with it are then refused)")
    return key


def _make_key(path: Path) -> None:
    """Whole or not at all, and the first one stays: another process may be doing the same."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as file:  # mode 0600
        file.write(secrets.token_hex(_KEY_BYTES).encode())
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)


def _open(url: str, folder: Path) -> Any:
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url

    try:
        if "://" in url:
            return from_url(url)
        return LocalStore((Path(url) if url else folder).absolute(), mkdir=True)
    except (BaseError, ValueError, OSError) as error:
        raise ConfigError(
            f"blobs.store: {url!r} is no object store: {_brief(error)}; write for example 's3://bucket/models'"
        ) from error


def _brief(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300] or type(error).__name__
