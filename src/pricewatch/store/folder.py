"""One service per data folder: an exclusive lock that dies with its holder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pricewatch.domain.errors import ConfigError


class FolderInUse(ConfigError):  # noqa: N818 - what it is, not that it went wrong
    """Another process of ours holds the folder."""


class FolderLock:
    """Held from `hold` to `release`, or to the death of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Raises `FolderInUse` when another process holds it, saying which, and `ConfigError` where none can be."""
        if sys.platform == "win32":
            raise ConfigError("this needs Linux or macOS; on Windows run pricewatch under WSL or in a container")
        import fcntl

        try:
            if not self._folder.exists():
                self._folder.mkdir(parents=True)
                self._folder.chmod(0o711)
            descriptor = os.open(self._folder / "service.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise ConfigError(
                f"the folder {self._folder} cannot be used: {exc.strerror}; set app.data to a folder you may write"
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderInUse(
                f"another pricewatch (process {holder}) already uses the folder {self._folder}; "
                "stop it, or give this one another data folder"
            ) from exc
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process have it; doing so twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
