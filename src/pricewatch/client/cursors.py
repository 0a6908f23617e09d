"""Where a stream's position is kept between two runs of a program."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Protocol

import msgspec

from pricewatch.domain.errors import ConfigError


class Position(msgspec.Struct, frozen=True):
    """Everything up to here has been handled."""

    account: str
    """Whose feed it is: a place in another's means nothing."""
    epoch: int
    seq: int


class Cursors(Protocol):
    """Positions by name."""

    async def load(self, name: str) -> Position | None:
        """None where nothing was saved."""
        ...

    async def save(self, name: str, position: Position) -> None:
        """When it returns, a crash does not lose it."""
        ...


class MemoryCursors:
    """Keeps positions as long as the program runs."""

    def __init__(self) -> None:
        self._positions: dict[str, Position] = {}

    async def load(self, name: str) -> Position | None:
        """As saved."""
        return self._positions.get(name)

    async def save(self, name: str, position: Position) -> None:
        """Over the older one."""
        self._positions[name] = position


class FileCursors:
    """Keeps positions in one small JSON file, replaced whole and synced; for one program at a time."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._positions: dict[str, Position] | None = None

    async def load(self, name: str) -> Position | None:
        """Raises `ConfigError` for a file that is not one of ours."""
        return (await asyncio.to_thread(self._read)).get(name)

    async def save(self, name: str, position: Position) -> None:
        """Raises `OSError` where the file cannot be written: then nothing counts as handled."""
        positions = {**await asyncio.to_thread(self._read), name: position}
        await asyncio.to_thread(self._write, positions)
        self._positions = positions

    def _read(self) -> dict[str, Position]:
        if self._positions is None:
            try:
                self._positions = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Position])
            except FileNotFoundError:
                self._positions = {}
            except (msgspec.DecodeError, UnicodeError) as error:
                raise ConfigError(f"{self._path} holds no positions: {error}; move it away to begin anew") from error
        return self._positions

    def _write(self, positions: dict[str, Position]) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(positions))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
