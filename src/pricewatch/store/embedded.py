"""The embedded PostgreSQL: started, watched, restarted and stopped by us."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import asyncpg
import structlog

from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.store.folder import FolderLock
from pricewatch.store.landing import SOCKET, Account, Landing, prepare
from pricewatch.store.settings import EmbeddedSettings
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
}
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_USER = "pricewatch"
_KILLS = 3
"""How often a server may be killed while it starts for the first time."""
_SET_PDEATHSIG = 1


class EmbeddedPostgres:
    """One server over one data folder. `start`, then `run` beside the rest, `stop` after the last user of it."""

    name = "postgres"

    def __init__(self, root: Path, settings: EmbeddedSettings | None = None) -> None:
        self._settings = settings or EmbeddedSettings()
        self._root = root.resolve()
        self._lock = FolderLock(self._root)
        self._landing: Landing | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._trouble: str | None = "not started"
        self._restarts = 0

    def url(self, database: str = _USER) -> str:
        """Where to connect, once started."""
        return f"postgresql://{_USER}@/{quote(database)}?" + urlencode({"host": str(self._landed().sockets)})

    @property
    def pid(self) -> int | None:
        """The server's process id, None while it is down."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Return when the server takes connections.

        Raises `ConfigError` when the folder is in use or no server can run here; the message ends with the
        server's last words.
        """
        self._lock.hold()
        try:
            self._landing = await asyncio.to_thread(prepare, self._root)
            await self._clear_stale()
            await self._initialise()
            await self._first_launch()
        except BaseException as exc:
            await self.stop()
            if isinstance(exc, Unavailable):
                raise ConfigError(f"the embedded PostgreSQL does not start in {self._root}: {exc}") from exc
            raise

    async def join(self) -> None:
        """Use the server another process of ours runs in this folder: only `url` is of use afterwards.

        Raises `Unavailable` when it does not answer.
        """
        self._landing = await asyncio.to_thread(prepare, self._root)
        await self._ensure_database()

    async def run(self) -> None:
        """Restart the server whenever it dies, with backoff, until cancelled. Does not stop it: others may drain."""
        wait = self._settings.restart_base
        while True:
            if self._process is not None:
                started = asyncio.get_running_loop().time()
                code = await self._process.wait()
                if asyncio.get_running_loop().time() - started > self._settings.restart_cap:
                    wait = self._settings.restart_base
                self._trouble = f"the embedded server ended with status {code} and is being restarted"
                log.error("postgres.lost", code=code, wait=wait, words=await asyncio.to_thread(self._last_words))
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._settings.restart_cap)
            try:
                await self._clear_stale()
                await self._launch()
            except Unavailable as exc:
                self._trouble = f"the embedded server does not start: {exc}"
                continue
            self._restarts += 1
            log.info("postgres.back", pid=self.pid)

    async def stop(self) -> None:
        """Fast shutdown, then an immediate one, then a kill; doing so twice is fine."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            await self._end(process)
        self._trouble = "stopped"
        self._lock.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def status(self) -> Mapping[str, Any]:
        """JSON-ready facts."""
        return {"pid": self.pid, "restarts": self._restarts, "folder": str(self._root)}

    def trouble(self) -> str | None:
        """Why there is no database now."""
        return self._trouble

    def samples(self) -> Iterable[Sample]:
        """Counters."""
        yield Sample("restarts", self._restarts, help="Restarts of the embedded server")

    def _landed(self) -> Landing:
        if self._landing is None:
            raise Unavailable("the embedded server has not been started")
        return self._landing

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        steps = ((signal.SIGINT, self._settings.stop_patience), (signal.SIGQUIT, self._settings.quit_patience))
        for sign, patience in steps:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(sign)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await process.wait()
                return
            log.warning("postgres.stop_slow", signal=sign.name, patience=patience)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _clear_stale(self) -> None:
        """Lock files count only while a server process really works on our folder: wait for the last one to go.

        A killed server's number may belong to a stranger by now, or to nobody who was ever waited for: PostgreSQL would
        take either for a living server.
        """
        data = self._landed().data
        pid_file = data / "postmaster.pid"
        deadline = asyncio.get_running_loop().time() + self._settings.orphan_patience
        signals = iter((signal.SIGQUIT, signal.SIGKILL))
        while pids := await asyncio.to_thread(_remaining, pid_file, data):
            await asyncio.sleep(0.05)
            if asyncio.get_running_loop().time() < deadline:
                continue
            deadline += self._settings.quit_patience
            sign = next(signals, None)
            if sign is None:
                raise Unavailable(f"process {pids[0]} serves {data} and does not end")
            log.warning("postgres.orphan", pids=pids, signal=sign.name)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
        for lock in (pid_file, self._landed().sockets / f"{SOCKET}.lock"):
            lock.unlink(missing_ok=True)

    async def _initialise(self) -> None:
        landing = self._landed()
        if (landing.data / "PG_VERSION").exists():
            return
        unfinished = landing.root / "pgdata.init"
        await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if landing.account is not None:
            os.chown(unfinished, *landing.account)
        command = [
            *("-D", str(unfinished), "-U", _USER, "--auth=reject", "--auth-local=trust", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        ]
        if self._settings.options.get("fsync") == "off":
            command.append("--no-sync")
        initdb = await asyncio.create_subprocess_exec(
            landing.binaries / "initdb",
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **_spawn_options(landing.account),
        )
        words, _ = await initdb.communicate()
        if initdb.returncode != 0:
            raise Unavailable("initdb said: " + words.decode("utf-8", "replace")[-1000:].strip())
        unfinished.rename(landing.data)

    async def _first_launch(self) -> None:
        """Killed while it starts, it is started again: only what it says of itself is a reason to give up."""
        for _ in range(_KILLS):
            try:
                await self._launch()
            except Unavailable:
                if self._process is None or (self._process.returncode or 0) >= 0:
                    raise
                log.warning("postgres.killed_at_start", code=self._process.returncode)
                await self._clear_stale()
            else:
                return
        await self._launch()

    async def _launch(self) -> None:
        landing = self._landed()
        options = {**OPTIONS, "log_directory": str(landing.root / "log"), **self._settings.options}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (landing.root / "log" / "start.log").open("wb") as words:
            self._process = await asyncio.create_subprocess_exec(
                landing.binaries / "postgres",
                *("-D", str(landing.data), "-k", str(landing.sockets)),
                *settings,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                **_spawn_options(landing.account),
            )
        await self._await_ready(self._process)
        self._trouble = None

    async def _await_ready(self, process: asyncio.subprocess.Process) -> None:
        deadline = asyncio.get_running_loop().time() + self._settings.start_patience
        while process.returncode is None:
            if asyncio.get_running_loop().time() > deadline:
                await self._end(process)
                raise Unavailable(f"no connection within {self._settings.start_patience} s")
            with contextlib.suppress(OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                await self._ensure_database()
                return
            await asyncio.sleep(0.02)
        words = await asyncio.to_thread(self._last_words)
        raise Unavailable(f"ended with status {process.returncode}: {words}")

    async def _ensure_database(self) -> None:
        try:
            connection = await asyncpg.connect(self.url(), timeout=5)
        except asyncpg.InvalidCatalogNameError:
            connection = await asyncpg.connect(self.url("postgres"), timeout=5)
            try:
                await connection.execute(f'CREATE DATABASE "{_USER}"')
            finally:
                await connection.close()
        else:
            await connection.close()

    def _last_words(self) -> str:
        """The end of the newest logs, for an error message."""
        logs = sorted((self._landed().root / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        texts = [path.read_bytes()[-600:].decode("utf-8", "replace").strip() for path in logs[-2:]]
        return " | ".join(text for text in texts if text) or "it left no words"


def _pid_in(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _remaining(pid_file: Path, data: Path) -> list[int]:
    """Processes that work on this very folder: the server, and children that outlive it (they live in the folder)."""
    pid = _pid_in(pid_file)
    found = [pid] if pid is not None and _serves(pid, data) else []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == data and (process / "comm").read_text().startswith("postgres"):
                found.append(int(process.name))
    return found


def _serves(pid: int, data: Path) -> bool:
    """Whether that process is a PostgreSQL server on this very folder."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if sys.platform == "linux":
            return False
        import subprocess

        command = subprocess.run(["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, check=False).stdout  # noqa: S603 - a fixed program and a number
    except OSError:
        return False
    return b"postgres" in command and os.fsencode(data) in command


def _spawn_options(account: Account | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "cwd": "/",
        "env": _ENVIRONMENT,
        "start_new_session": True,
        "preexec_fn": _die_with_parent(),
        "umask": 0o077,
    }
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does first, so that a killed service leaves no server behind."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind
