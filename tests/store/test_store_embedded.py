from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from pricewatch.domain.errors import ConfigError
from pricewatch.store import landing
from pricewatch.store.embedded import EmbeddedPostgres
from pricewatch.store.settings import EmbeddedSettings

pytestmark = pytest.mark.postgres

FAST = EmbeddedSettings(options={"fsync": "off"}, restart_base=0.02, stop_patience=3, orphan_patience=0.5)

SOURCE = str(Path(__file__).resolve().parents[2] / "src")


async def value(server: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_it_starts_keeps_its_data_and_leaves_nothing_running(open_folder: Path) -> None:
    async with EmbeddedPostgres(open_folder / "new" / "data", FAST) as server:
        pid = server.pid
        assert pid is not None
        assert server.trouble() is None
        await value(server, "CREATE TABLE kept (n int)")
        assert await value(server, "SHOW listen_addresses") == ""
        assert await value(server, "SHOW data_checksums") in {"on", "off"}
    assert not psutil.pid_exists(pid)
    assert server.trouble() == "stopped"
    async with EmbeddedPostgres(open_folder / "new" / "data", FAST) as server:
        assert await value(server, "SELECT count(*) FROM kept") == 0


async def test_a_second_service_is_refused(open_folder: Path) -> None:
    async with EmbeddedPostgres(open_folder, FAST) as server:
        with pytest.raises(ConfigError, match=f"another pricewatch \\(process {os.getpid()}\\)"):
            await EmbeddedPostgres(open_folder, FAST).start()
        assert await value(server, "SELECT 1") == 1


async def test_a_killed_server_is_restarted(open_folder: Path) -> None:
    async with EmbeddedPostgres(open_folder, FAST) as server, asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while server.pid in {pid, None} or server.trouble() is not None:
                await asyncio.sleep(0.02)
        assert await value(server, "SELECT 1") == 1
        assert [sample.value for sample in server.samples()] == [1]
        task.cancel()


@pytest.mark.parametrize("kills", [1, 4])
async def test_a_server_killed_while_it_starts_is_started_again_but_not_for_ever(open_folder: Path, kills: int) -> None:
    server = EmbeddedPostgres(open_folder, FAST)

    async def strike() -> None:
        known: int | None = None
        for _ in range(kills):
            while server.pid in {known, None}:
                await asyncio.sleep(0)
            known = server.pid
            assert known is not None
            os.kill(known, signal.SIGKILL)

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        group.create_task(strike())
        if kills > 3:
            with pytest.raises(ConfigError, match="ended with status -9"):
                await server.start()
        else:
            await server.start()
            assert await value(server, "SELECT 1") == 1
            await server.stop()


async def test_a_stale_pid_file_of_a_stranger_harms_nobody(open_folder: Path) -> None:
    async with EmbeddedPostgres(open_folder, FAST):
        pass
    stranger = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
    lock = f"{stranger.pid}\n{open_folder}/pgdata\n1\n5432\n"
    (open_folder / "pgdata" / "postmaster.pid").write_text(lock)
    (open_folder / "run" / ".s.PGSQL.5432.lock").write_text(lock)
    async with EmbeddedPostgres(open_folder, FAST) as server:
        assert await value(server, "SELECT 1") == 1
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_an_interrupted_initdb_is_done_again(open_folder: Path) -> None:
    (open_folder / "pgdata.init").mkdir()
    (open_folder / "pgdata.init" / "PG_VERSION").write_text("half")
    async with EmbeddedPostgres(open_folder, FAST) as server:
        assert await value(server, "SELECT 1") == 1


async def test_a_deep_folder_gets_a_short_socket(open_folder: Path) -> None:
    deep = open_folder / ("deep-" * 12) / ("folder-" * 8)
    async with EmbeddedPostgres(deep, FAST) as server:
        assert await value(server, "SELECT 1") == 1
        assert str(deep) not in server.url()


async def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    wrong = FAST.model_copy(update={"options": {"no_such_setting": "1"}})
    with pytest.raises(ConfigError, match="no_such_setting"):
        await EmbeddedPostgres(open_folder, wrong).start()
    async with EmbeddedPostgres(open_folder, FAST) as server:
        assert await value(server, "SELECT 1") == 1


async def test_it_dies_with_its_service_and_the_next_one_takes_over(open_folder: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from pricewatch.store.embedded import EmbeddedPostgres\n"
        "async def main():\n"
        "    async with EmbeddedPostgres(pathlib.Path(sys.argv[1])) as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(open_folder), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": SOURCE}
    )
    assert service.stdout is not None
    orphan = int(await service.stdout.readline())
    service.kill()
    await service.wait()
    async with EmbeddedPostgres(open_folder, FAST) as server:
        assert await value(server, "SELECT 1") == 1
        assert server.pid != orphan
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")
async def test_as_root_what_the_server_cannot_reach_is_placed_elsewhere(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    elsewhere = open_folder / "system"
    monkeypatch.setattr(landing, "SYSTEM_FOLDER", elsewhere)
    binaries = hidden(landing._find_binaries(), closed)
    monkeypatch.setattr(landing, "_find_binaries", lambda: binaries)
    async with EmbeddedPostgres(closed / "data", FAST) as server:
        assert await value(server, "SELECT current_setting('data_directory')") != str(closed / "data" / "pgdata")
        assert server.pid is not None
        process = psutil.Process(server.pid)
        assert process.uids().real != 0
        assert str(elsewhere) in process.exe()
    assert len(list(elsewhere.glob("postgres-*"))) == 1


def hidden(binaries: Path, closed: Path) -> Path:
    """The installed build as it looks from a virtual environment below a folder that nobody may enter."""
    package = binaries.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, closed / part.name, symlinks=True)
    return closed / binaries.relative_to(package.parent)
