"""A whole service as its operator has it: own processes, own folder, real servers around it."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.acceptance import world

from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.folder import FolderInUse
from pricewatch.store.settings import EmbeddedSettings

SOURCE = Path(__file__).resolve().parents[2] / "src"
QUICK_VENUE = {
    "backoff_base": 0.1,
    "backoff_cap": 0.5,
    "attempts": 10_000,
    "open_interval": 0.0,
    "history_interval": 0.0,
    "reconcile_after": 1.0,
    "refill_backoff": 0.1,
}


_PATIENCE = 3


async def until(holds: Callable[[], Awaitable[bool]], *, within: float, what: str, every: float = 0.05) -> None:
    """Wait for something that must become true; `within` is for a quiet machine, a loaded one gets more."""
    try:
        async with asyncio.timeout(within * _PATIENCE):
            while not await holds():
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"not within {within * _PATIENCE} s: {what}") from None


def tell(*figures: object) -> None:
    """For who reads the report of a run (`pytest -rP`)."""
    sys.stdout.write(" ".join(map(str, figures)) + "\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def toml(tables: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Nested dictionaries as TOML; JSON's scalars and lists are TOML's."""
    plain = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    lines = [f"[{'.'.join(path)}]"] if path and plain else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    inner = [toml(value, (*path, key)) for key, value in tables.items() if isinstance(value, dict)]
    return "\n".join([*lines, *inner])


class Process:
    """One `python -m pricewatch ...` with its output kept."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls, words: list[str], folder: Path, name: str, module: str = "pricewatch", *, output: Path | None = None
    ) -> Process:
        log = folder / f"{name}.log"
        environment = {
            key: value
            for key, value in os.environ.items()  # noqa: TID251 - handed on to the child
            if not key.startswith("PRICEWATCH_")
        }
        with log.open("ab") as stderr, (output or Path(os.devnull)).open("ab") as stdout:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout if output else asyncio.subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env=environment | {"PYTHONPATH": str(SOURCE), "COLUMNS": "200"},
            )
        return cls(process, log)

    async def line(self, within: float = 90) -> dict[str, Any]:
        """The next line of stdout as JSON."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            raw = await self.process.stdout.readline()
        assert raw, f"the process ended: {self.words()[-3000:]}"
        answer: dict[str, Any] = json.loads(raw)
        return answer

    def words(self) -> str:
        """All it has written to stderr, with those before it of the same name."""
        return self.log.read_text()

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def kill(self) -> None:
        if self.alive:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self, within: float = 60) -> int:
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(within):
            return await self.process.wait()


class Mailbox:
    """A mail server whose moods a test sets: silent, refusing, holding its last word, or taking the mail."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.silent = False
        self.refusing = False
        self.holding = False
        self.held = 0
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusing:
            return "451 not now"
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        if self.holding:
            self.held += 1
            while self.holding:
                await asyncio.sleep(0.05)
        return "250 kept"

    def _answer(self) -> asyncio.BaseProtocol:
        self.connections += 1
        if self.silent:
            return asyncio.Protocol()
        return SMTP(self, hostname="test", loop=asyncio.get_running_loop())

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.holding = False
        if self._server is not None:
            self._server.close()
            self._server = None

    def ids(self) -> Counter[str]:
        """How often each message came."""
        return Counter(str(mail["Message-ID"]) for mail in self.mails)

    def by_signal(self) -> dict[str, set[str]]:
        """The Message-IDs under which each signal came."""
        found: dict[str, set[str]] = {}
        for mail in self.mails:
            found.setdefault(str(mail["X-Pricewatch-Signal"]), set()).add(str(mail["Message-ID"]))
        return found


class Rig:
    """A folder with a configuration, a venue, a mailbox and the service under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mailbox = Mailbox()
        self.venue: Process | None = None
        self.service: Process | None = None
        self.watch: Process | None = None
        self.addresses: dict[str, Any] = {}
        self.port = free_port()
        self.key = ""
        self.config = folder / "pricewatch.toml"
        self.external: EmbeddedPostgres | None = None

    # -- the venue --------------------------------------------------------------------------------------------------

    def reserve_venue(self) -> None:
        """Know the addresses before the venue is there."""
        ports = free_port(), free_port()
        self.addresses = {"ws": f"ws://127.0.0.1:{ports[0]}", "rest": f"http://127.0.0.1:{ports[1]}"}

    async def start_venue(self, files: list[Path] | None = None, **settings: Any) -> None:
        if self.addresses:
            settings |= {
                name: urlsplit(self.addresses[kind]).port for name, kind in (("ws_port", "ws"), ("rest_port", "rest"))
            }
        words = ["--json", json.dumps(settings), *(str(file) for file in files or ())]
        self.venue = await Process.start(words, self.folder, "venue", "pricewatch.simulator")
        self.addresses = await self.venue.line()

    async def venue_status(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self._get(f"{self.addresses['rest']}/control/status")
        return answer

    async def venue_done(self) -> bool:
        return bool((await self.venue_status())["done"])

    # -- the service ------------------------------------------------------------------------------------------------

    def configure(self, markets: Mapping[str, list[str]], **sections: Any) -> None:
        """The file an operator writes; the venue's and the mail server's addresses must be known."""
        venues = {
            name: QUICK_VENUE
            | {
                "symbols": symbols,
                "socket_url": f"{self.addresses['ws']}/{name}",
                "rest_url": f"{self.addresses['rest']}/{name}",
            }
            for name, symbols in markets.items()
        }
        content: dict[str, Any] = {
            "app": {"data": str(self.folder / "data")},
            "log": {"format": "json"},
            "gateway": {"port": self.port},
            "ingest": {"backfill_candles": 0, "venues": venues},
            "training": {"enabled": False},
            "evaluation": {"recovery_hold": 2.0},
            "delivery": {
                "lease": 4.0,
                "attempt_timeout": 3.0,
                "retry_first": 0.5,
                "retry_cap": 1.0,
                "retry_away": 1.0,
                "email": {
                    "host": "127.0.0.1",
                    "port": self.mailbox.port,
                    "tls": "none",
                    "sender": "alerts@test.example",
                    "timeout": 2.0,
                },
            },
        }
        for name, section in sections.items():
            content.setdefault(name, {}).update(section)
        self.config.write_text(toml(content))

    async def command(self, *words: str, expect: int = 0) -> str:
        """Run one command to its end and return its stdout, or its stderr where it is expected to fail."""
        process = await Process.start([*words, "--config", str(self.config)], self.folder, f"command-{free_port()}")
        assert process.process.stdout is not None
        output = (await process.process.stdout.read()).decode()
        code = await process.process.wait()
        assert code == expect, f"{words} exited {code}: {output}\n{process.words()[-3000:]}"
        return output if expect == 0 else process.words()

    async def prepare(self, rules: list[dict[str, Any]], address: str = "trader@test.example") -> None:
        """An account with a key and its rules, by the command line, before the service runs."""
        made = json.loads(await self.command("user", "add", "trader", "--email", address, "--json"))
        self.key = made["key"]
        if rules:
            file = self.folder / "rules.json"
            file.write_text(json.dumps(rules))
            await self.command("rules", "add", str(file), "--account", "trader")

    async def start_watch(self) -> None:
        """`pricewatch watch --json`: what a follower of the feed is told, line by line in a file."""
        words = ["watch", "--json", "--url", f"ws://127.0.0.1:{self.port}/ws/v1", "--key", self.key]
        self.watch = await Process.start(words, self.folder, "watch", output=self.folder / "watch.out")

    def watched(self) -> list[dict[str, Any]]:
        """The messages so far."""
        lines = (self.folder / "watch.out").read_text().splitlines()
        return [json.loads(line) for line in lines]

    async def start_service(self) -> None:
        self.service = await Process.start(["run", "--config", str(self.config)], self.folder, "service")

    async def ready(self, within: float = 90) -> None:
        """Wait until the service says it is ready."""

        async def says_so() -> bool:
            assert self.service is not None
            assert self.service.alive, self.service.words()[-5000:]
            return (await self.readiness())[0] == 200

        try:
            await until(says_so, within=within, what="ready")
        except AssertionError as error:
            words = "" if self.service is None else self.service.words()[-4000:]
            raise AssertionError(f"{error}: {await self.readiness()}\n{words}") from None

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        """What /readyz answers; (0, {}) where nobody answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._get(f"{self.url}/status"))["parts"]
        return answer

    async def post(self, path: str, document: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/api/v1/{path}", json=document) as answer,
        ):
            return answer.status, await answer.json()

    async def _get(self, url: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200, f"{url}: {answer.status} {await answer.text()}"
            return await answer.json()

    async def drained(self, within: float = 40) -> None:
        """Wait until all that was received is stored, evaluated, committed and mailed."""

        async def at_rest() -> bool:
            try:
                parts = await self.status()
            except aiohttp.ClientError:
                return False
            if "ingest" not in parts or parts["store"]["waiting"] or parts["evaluation"]["uncommitted"]:
                return False
            left = await self.left()
            return left.cursor >= left.prints[-1].seen and all(one["state"] == "sent" for one in left.deliveries)

        await until(at_rest, within=within, what="everything stored, committed and sent", every=0.3)

    # -- the database -----------------------------------------------------------------------------------------------

    def server_pids(self) -> list[int]:
        """The embedded server's processes, the postmaster first."""
        try:
            number = int((self.folder / "data/postgres/pgdata/postmaster.pid").read_text().split("\n", 1)[0])
            parent = psutil.Process(number)
            return [number, *(child.pid for child in parent.children(recursive=True))]
        except (OSError, ValueError, psutil.NoSuchProcess):
            return []

    def signal_server(self, number: signal.Signals) -> None:
        for pid in self.server_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def left(self) -> world.World:
        """What the database holds, whether the service runs or not."""
        if self.external is not None:
            return await world.read(self.external.url())
        server = EmbeddedPostgres(self.folder / "data/postgres")
        try:
            await server.start()
        except FolderInUse:
            await server.join()
            return await world.read(server.url())
        try:
            return await world.read(server.url())
        finally:
            await server.stop()

    async def close(self) -> None:
        for process in (self.watch, self.service, self.venue):
            if process is not None:
                await process.kill()
        self.signal_server(signal.SIGCONT)
        if self.external is not None:
            await self.external.stop()
        await self.mailbox.stop()


@asynccontextmanager
async def rigged(*, external: bool = False) -> AsyncIterator[Rig]:
    """A rig in a folder of its own that an unprivileged database server can reach."""
    folder = Path(tempfile.mkdtemp(prefix="pw-"))
    folder.chmod(0o711)
    rig = Rig(folder)
    await rig.mailbox.start()
    if external:
        rig.external = EmbeddedPostgres(folder / "elsewhere", EmbeddedSettings(stop_patience=3))
    try:
        yield rig
    finally:
        await rig.close()
        shutil.rmtree(folder, ignore_errors=True)
