"""A real redis-server on a free loopback port, to be started, killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


class RedisServer:
    """Keeps nothing over a kill unless started as `durable`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def program() -> str | None:
        """Where redis-server is installed, if it is."""
        return shutil.which("redis-server")

    @property
    def url(self) -> str:
        """For the bus settings."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, durable: bool = False) -> None:
        """Returns when the server answers."""
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments
            [
                self.program() or "redis-server",
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "yes" if durable else "no", "--appendfsync", "always"),
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.02)

    def kill(self) -> None:
        """At once, without a farewell."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False
