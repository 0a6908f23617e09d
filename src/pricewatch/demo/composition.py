"""The whole road on one machine: simulated venues, the service, a mailbox and a live view."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live

from pricewatch.accounts.passwords import Passwords
from pricewatch.accounts.tokens import mint
from pricewatch.app.clock import SystemClock
from pricewatch.app.runtime import Service, first_cause, stop_on_signals
from pricewatch.app.stages import close_within
from pricewatch.config import AppSettings, Settings
from pricewatch.delivery.settings import DeliverySettings, EmailSettings, WebhookSettings
from pricewatch.demo.mailbox import Mailbox, MailServer
from pricewatch.demo.rules import documents
from pricewatch.demo.view import Tap, render
from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import ConfigError, Unavailable
from pricewatch.engine.settings import EngineSettings
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.store.settings import StoreSettings
from pricewatch.telemetry.logs import configure
from pricewatch.telemetry.settings import LogSettings
from pricewatch.training.settings import TrainingSettings

MARKETS = {
    "coinbase": ("BTC-USD", "ETH-USD"),
    "kraken": ("BTC-USD", "SOL-USD"),
    "binance": ("BTC-USDT", "ETH-USDT"),
}
ADDRESS = "trader@demo.pricewatch.example"
_START_PATIENCE = 30.0
_WARM_UP = 30
"""Trades the models learn before they judge: the script's first anomaly comes after about fifty."""


class Summary(msgspec.Struct, frozen=True):
    """What `--for` prints at the end; milliseconds are null where there was no signal."""

    trades_received: int
    stored: int
    duplicates: int
    rejected: int
    signals: int
    mails: int
    p50_ms: float | None
    p99_ms: float | None


def run_demo(*, seed: int, span: int | None, port: int, data: Path | None) -> dict[str, Any]:
    """Run until interrupted, or for `span` microseconds; returns the summary."""
    try:
        summary = asyncio.run(_Demo(seed=seed, span=span, port=port).run(data))
    except ExceptionGroup as group:
        raise first_cause(group) from group
    return msgspec.to_builtins(summary)  # type: ignore[no-any-return]  # a struct becomes a dictionary


class _Demo:
    """One run."""

    def __init__(self, *, seed: int, span: int | None, port: int) -> None:
        self._seed = seed
        self._span = span
        self._port = port
        self._clock = SystemClock()
        self._tap = Tap(self._clock)
        self._mailbox = Mailbox()
        self._links: dict[str, str] = {}

    async def run(self, data: Path | None) -> Summary:
        """Build everything, show it, take it down again."""
        async with AsyncExitStack() as stack:
            folder = _made(data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pricewatch-demo-"))))
            if data is None:
                folder.chmod(0o711)
            log = stack.enter_context((folder / "demo.log").open("a", encoding="utf-8"))
            configure(LogSettings(format="json"), log)  # logs stay out of the picture
            mail = await self._mailbox.start()
            stack.push_async_callback(mail.stop)
            venues = await stack.enter_async_context(_simulator(self._seed, folder))
            service = Service(
                _settings(folder, self._port, mail, venues),
                clock=self._clock,
                tapes=(self._tap,),
                sinks=(self._tap,),
                prepare=self._prepare,
            )
            self._links = {"mailbox": mail.url, "data": str(folder)}
            return await self._live(service)

    async def _prepare(self, service: Service) -> None:
        """An account with a key and the example rules, before the engine reads them."""
        store = service.store
        account = await store.accounts.find("demo") or await store.accounts.create("demo", ADDRESS, Role.ADMIN)
        self._links["log in"] = f"demo, password {await self._new_password(service, account)}"
        self._links["API key"] = await self._new_key(service, account)
        await store.rules.create_many(account.id, documents())

    async def _new_key(self, service: Service, account: Account) -> str:
        minted = mint(account.id, now=self._clock.now())
        await service.store.accounts.add_key(minted.key)
        return minted.text

    async def _new_password(self, service: Service, account: Account) -> str:
        settings, password = service.settings.gateway, secrets.token_urlsafe(9)
        hasher = Passwords(memory=settings.password_memory, rounds=settings.password_rounds)
        await service.store.accounts.set_password(account.id, await hasher.hash(password))
        hasher.close()
        return password

    async def _live(self, service: Service) -> Summary:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            async with asyncio.TaskGroup() as group:
                running = group.create_task(service.run(stop), name="service")
                started = group.create_task(service.started.wait(), name="started")
                await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
                if not started.done():  # stopped before it had started
                    started.cancel()
                    return self._summary(service)
                show = group.create_task(self._show(service), name="view")
                try:
                    async with asyncio.timeout(None if self._span is None else self._span / 1e6):
                        await stop.wait()
                except TimeoutError:
                    stop.set()
                await asyncio.wait({running})
                show.cancel()
        return self._summary(service)

    async def _show(self, service: Service) -> None:
        console = Console(stderr=True)
        self._links = {"live page": f"http://127.0.0.1:{service.port}/", **self._links}
        for name, value in self._links.items():
            console.print(f"{name:>10}  {value}", highlight=False, soft_wrap=True)
        if not console.is_terminal:
            await self._tell_signals(console)
        with Live(console=console, refresh_per_second=8, screen=False) as live:
            while True:
                live.update(render(self._tap, service.markets, self._links, lambda: self._figures(service)))
                await asyncio.sleep(0.125)

    async def _tell_signals(self, console: Console) -> None:
        """Without a terminal: a line a signal."""
        told = 0
        while True:
            await asyncio.sleep(0.1)
            fresh = self._tap.emitted - told
            for entry in list(self._tap.signals)[-fresh:] if fresh else ():
                signal = entry.signal
                console.print(f"{signal.direction.value:>8}  {signal.scope}  {signal.title}", highlight=False)
            told = self._tap.emitted

    def _figures(self, service: Service) -> dict[str, object]:
        summary = self._summary(service)
        return {
            "trades": f"{summary.trades_received:,}",
            "signals": summary.signals,
            "mails": summary.mails,
            "p50 ms": summary.p50_ms,
            "p99 ms": summary.p99_ms,
        }

    def _summary(self, service: Service) -> Summary:
        counted = service.tally()
        return Summary(
            trades_received=counted.received,
            stored=counted.stored,
            duplicates=counted.duplicates,
            rejected=counted.rejected,
            signals=self._tap.emitted,
            mails=self._mailbox.received,
            p50_ms=self._tap.latency(0.5),
            p99_ms=self._tap.latency(0.99),
        )


def _made(folder: Path) -> Path:
    """The folder, absolute and there; one that is made is passable for an unprivileged database server."""
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o711)
    except OSError as error:
        raise ConfigError(f"--data {folder}: cannot be made: {error.strerror}; name a folder you may write") from error
    return folder.resolve()


def _settings(folder: Path, port: int, mail: MailServer, venues: dict[str, str]) -> Settings:
    """Plain settings, as an operator could write them: the service does not know that it is a demo."""
    return Settings(
        app=AppSettings(data=folder),
        database=StoreSettings(url=SecretStr("")),
        ingest=IngestSettings(
            venues={
                name: VenueSettings(
                    symbols=symbols,
                    socket_url=f"{venues['ws']}/{name}",
                    rest_url=f"{venues['rest']}/{name}",
                    history_interval=0.0,
                )
                for name, symbols in MARKETS.items()
            }
        ),
        engine=EngineSettings(warm_up=_WARM_UP),
        training=TrainingSettings(refit_interval=300.0, retry_interval=2.0),
        delivery=DeliverySettings(
            email=EmailSettings(host="127.0.0.1", port=mail.smtp_port, tls="none", sender="alerts@pricewatch.example"),
            webhook=WebhookSettings(http=True, networks=("127.0.0.0/8",)),  # receivers of one's own to play with
        ),
        gateway=GatewaySettings(port=port),
    )


@asynccontextmanager
async def _simulator(seed: int, folder: Path) -> AsyncIterator[dict[str, str]]:
    """The venues in a process of their own; yields their addresses."""
    options = {"seed": seed, "markets": MARKETS, "programme_waits": True}
    with (folder / "simulator.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pricewatch.simulator",
            "--json",
            msgspec.json.encode(options).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield await _addresses(process, folder)
    finally:
        if process.returncode is None:
            process.terminate()
        await close_within("simulator", 5.0, process.wait)


async def _addresses(process: asyncio.subprocess.Process, folder: Path) -> dict[str, str]:
    if process.stdout is None:
        raise RuntimeError("the simulator was started with a pipe")
    try:
        async with asyncio.timeout(_START_PATIENCE):
            line = await process.stdout.readline()
        return msgspec.json.decode(line, type=dict[str, str])
    except (TimeoutError, msgspec.DecodeError) as error:
        words = (folder / "simulator.log").read_text(encoding="utf-8", errors="replace")[-500:]
        raise Unavailable(f"the simulated venues did not start: {words or os.strerror(0)}") from error
