"""Commands as processes: what they import, and what they say beside a running service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pricewatch.app.clock import SystemClock
from pricewatch.simulator.server import SimulatorServer
from pricewatch.simulator.settings import SimulatorSettings

SOURCE = Path(__file__).resolve().parents[2] / "src"
HEAVY = {"river", "prophet", "pandas", "scipy"}


def loaded(code: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after some code."""
    script = f"{code}\nimport sys\nsys.stderr.write(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SOURCE)}
    )
    return set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    code = "from pricewatch.cli import execute\nassert execute(['--help']) == 0"
    assert not loaded(code) & (HEAVY | {"aiohttp", "asyncpg", "redis"})


@pytest.mark.parametrize("module", ["pricewatch.gateway.app", "pricewatch.delivery.worker", "pricewatch.client"])
def test_light_stages_import_nothing_heavy(module: str) -> None:
    assert not loaded(f"import {module}") & HEAVY


def test_a_bot_loads_no_server() -> None:
    assert not loaded("import pricewatch.client") & {"aiohttp", "asyncpg", "redis", "pydantic", "matplotlib", "numpy"}


@pytest.mark.parametrize("roles", [("gateway",), ("ingest",), ("delivery",), ("gateway", "delivery")])
def test_light_roles_import_nothing_heavy(roles: tuple[str, ...], tmp_path: Path) -> None:
    code = f"""
import asyncio
from pathlib import Path
from pydantic import SecretStr
from pricewatch.app.clock import SystemClock
from pricewatch.app.parts import Assembly
from pricewatch.app.runtime import Service
from pricewatch.app.wiring import build_store
from pricewatch.bus.settings import BusSettings
from pricewatch.config import AppSettings, Settings
settings = Settings(
    app=AppSettings(roles={roles!r}, data=Path({str(tmp_path)!r})), bus=BusSettings(url=SecretStr("redis://127.0.0.1:9"))
)
async def build():
    Service(settings)
    store = build_store(settings, "postgresql://u@127.0.0.1:9/d", SystemClock())
    Assembly(settings, store, clock=SystemClock(), owner="me")
asyncio.run(build())
"""
    assert not loaded(code) & HEAVY


async def command(*words: str, within: float = 15, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """One command to its end, or interrupted after `within` seconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pricewatch",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment() | (environment or {}),
    )
    interrupt = asyncio.get_running_loop().call_later(within, process.send_signal, signal.SIGINT)
    out, err = await process.communicate()
    interrupt.cancel()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _environment() -> dict[str, str]:
    inherited = dict(os.environ)  # noqa: TID251 - handed on to the child
    return {name: value for name, value in inherited.items() if not name.startswith("PRICEWATCH_")} | {
        "PYTHONPATH": str(SOURCE)
    }


@asynccontextmanager
async def venues(**settings: Any) -> AsyncIterator[dict[str, str]]:
    options: dict[str, Any] = {"markets": {"coinbase": ("BTC-USD",)}, "rate": 40.0, "history_minutes": 5, "seed": 3}
    server = SimulatorServer(SimulatorSettings(**options | settings), clock=SystemClock())
    addresses = await server.start()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        try:
            yield addresses._asdict()
        finally:
            task.cancel()
            await asyncio.wait({task})
            await server.stop()


def configured(config: Path, addresses: dict[str, str], folder: Path) -> Path:
    config.write_text(
        f'[app]\ndata = "{folder}/data"\n[gateway]\nport = 0\n[training]\nenabled = false\n'
        "[ingest]\nbackfill_candles = 0\n"
        f'[ingest.venues.coinbase]\nsymbols = ["BTC-USD"]\nsocket_url = "{addresses["ws"]}/coinbase"\n'
        f'rest_url = "{addresses["rest"]}/coinbase"\nhistory_interval = 0.0\nbackoff_base = 0.1\n'
    )
    return config


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_beside_a_running_service(config: Path, open_folder: Path) -> None:
    async with venues() as addresses:
        where = ("--config", str(configured(config, addresses, open_folder)))
        log = open_folder / "service.log"
        with log.open("wb") as stderr:
            service = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pricewatch", "run", *where, stdout=stderr, stderr=stderr, env=_environment()
            )
        try:
            async with asyncio.timeout(60):
                while "service.started" not in log.read_text():
                    assert service.returncode is None, log.read_text()
                    await asyncio.sleep(0.1)
            line = next(line for line in log.read_text().splitlines() if "service.started" in line)
            feed = json.loads(line)["address"].replace("http", "ws") + "/ws/v1"
            code, out, err = await command("user", "add", "ann", "--json", *where)
            assert code == 0, err
            key = json.loads(out)["key"]
            rules = open_folder / "rules.json"
            rules.write_text(
                json.dumps(
                    {
                        "title": "moves",
                        "symbols": "*",
                        "when": {"type": "change", "window": "1s", "percent": "0.001%", "direction": "either"},
                    }
                )
            )
            code, out, err = await command("rules", "add", str(rules), "--account", "ann", *where)
            assert code == 0, err
            uuid.UUID(out.strip())
            code, out, err = await command("check", "--json", *where)
            assert code == 0, out
            assert "a service is running" in out
            code, _, err = await command("run", *where)
            assert code == 3
            assert "already uses the folder" in err
            # a rule made beside the service fires in it, and is seen by who watches
            code, out, err = await command(
                "watch", "--json", "--url", feed, within=6, environment={"PRICEWATCH_KEY": key}
            )
            assert code == 130, err
            frames = [json.loads(one) for one in out.splitlines()]
            assert {"welcome", "ticker", "signal"} <= {frame["type"] for frame in frames}
            assert not err.strip()
            code, out, _ = await command("watch", "--url", feed, within=4, environment={"PRICEWATCH_KEY": key})
            assert code == 130
            assert "coinbase:BTC-USD" in out
            assert "moves" in out
            code, out, err = await command("watch", "--json", "--url", feed, "--key", "pw_wrong_wrongwrong")
            assert code == 6
            assert "the key is unknown" in err
        finally:
            if service.returncode is None:
                service.send_signal(signal.SIGTERM)
            assert await service.wait() == 0, log.read_text()[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_recording_replayed_and_recorded_again_has_the_same_trades(config: Path, tmp_path: Path) -> None:
    async with venues(rate=20.0) as addresses:
        where = ("--config", str(configured(config, addresses, tmp_path)))
        code, out, err = await command("record", str(tmp_path / "first"), "--for", "3s", *where)
    assert code == 0, err
    first = json.loads(out)
    assert first["trades"] > 10
    replay = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pricewatch",
        "replay",
        *first["files"],
        "--speed",
        "4",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        assert replay.stdout is not None
        addresses = json.loads(await replay.stdout.readline())
        where = ("--config", str(configured(config, addresses, tmp_path)))
        code, out, err = await command("record", str(tmp_path / "second"), "--for", "4s", *where)
    finally:
        replay.send_signal(signal.SIGINT)
        assert await replay.wait() == 130
    assert code == 0, err
    assert json.loads(out)["trades"] == first["trades"]
