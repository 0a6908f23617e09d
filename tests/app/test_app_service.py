"""The service from start to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.app.conftest import Run, prepare, quick, running, simulated, until

from pricewatch.app.runtime import Service, check_roles, first_cause, stop_on_signals
from pricewatch.domain.errors import ConfigError
from pricewatch.ports.outbox import DeliveryState
from pricewatch.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.postgres


async def rows(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def test_from_start_to_signal_to_clean_stop_and_a_silent_second_start(
    database_url: str, open_folder: Path
) -> None:
    async with simulated() as (venues, _):
        settings = quick(open_folder, database_url, venues)
        async with running(settings, prepare=prepare) as run:
            await until(lambda: run.service.assembly.evaluation.status()["signals"] >= 3)  # type: ignore[union-attr]
            assert (await run.get("/healthz"))[0] == 200
            await run.ready()
            _, status = await run.get("/status")
            assert {"loop", "database", "evaluation", "store", "maintenance", "delivery", "ingest", "training"} <= set(
                status["parts"]
            )
            assert status["ok"]
            _, text = await run.get("/metrics")
            families = {family.name for family in text_string_to_metric_families(text)}
            for part in ("loop", "database", "evaluation", "store", "ingest", "maintenance"):
                assert any(name.startswith(f"pricewatch_{part}_") for name in families), part
        tally = run.service.tally()
        assert tally.received == tally.stored + tally.duplicates + tally.rejected > 0
        assert run.service.assembly is not None
        stood = run.service.assembly.evaluation.status()  # type: ignore[union-attr]
        assert stood["cursor"] == stood["evaluated"]
    before = await rows(database_url, "SELECT count(*) AS n FROM signal")
    trades = await rows(database_url, "SELECT count(*) AS n FROM trade")
    async with running(quick(open_folder, database_url)) as run:
        await asyncio.sleep(0.3)
    assert await rows(database_url, "SELECT count(*) AS n FROM signal") == before
    assert await rows(database_url, "SELECT count(*) AS n FROM trade") == trades


async def test_the_embedded_server_starts_and_stops_with_the_service(open_folder: Path) -> None:
    async with running(quick(open_folder, "")) as run:
        assert run.service.markets
        _, status = await run.get("/status")
        assert "postgres" in status["parts"]
        with pytest.raises(BaseExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(Service(quick(open_folder, "")).run(asyncio.Event()))
        assert isinstance(first_cause(caught.value), ConfigError)
    assert not list((open_folder / "postgres").rglob("postmaster.pid"))


async def test_without_a_database_it_is_alive_and_says_why_it_is_not_ready_then_comes_up(open_folder: Path) -> None:
    (open_folder / "pg").mkdir(mode=0o711)
    server = EmbeddedPostgres(open_folder / "pg")
    await server.start()
    url = server.url()
    await server.stop()
    settings = quick(open_folder / "data", url)
    async with running(settings, wait=False) as run:
        await until(lambda: run.service.assembly is not None and run.service.port)
        assert (await run.get("/healthz"))[0] == 200
        code, answer = await run.get("/readyz")
        assert code == 503
        assert answer["troubles"]["database"]
        assert answer["troubles"]["evaluation"] == "evaluation has not recovered yet"
        again = EmbeddedPostgres(open_folder / "pg")
        await again.start()
        try:
            if again.url() != url:
                pytest.skip("the server has another address now")
            await asyncio.wait_for(run.service.started.wait(), 60)
            await until(lambda: run.service.assembly.evaluation.trouble() is None)  # type: ignore[union-attr]
            # No venue listens there, so it may still complain; but no more of the database or of what waits for it.
            async with asyncio.timeout(60):
                while {"database", "evaluation"} & set((await run.get("/readyz"))[1]["troubles"]):
                    await asyncio.sleep(0.05)
            run.stop.set()
            await asyncio.sleep(0.5)
        finally:
            await again.stop()


async def test_stopped_while_it_waits_for_a_database_it_ends(open_folder: Path) -> None:
    settings = quick(open_folder, "postgresql://nobody@127.0.0.1:9/none")
    async with running(settings, wait=False) as run:
        await until(lambda: run.service.assembly is not None and run.service.port)
    assert not run.service.started.is_set()


async def test_a_crashing_part_takes_the_service_down(database_url: str, open_folder: Path) -> None:
    run = Run(quick(open_folder, database_url))

    async def breaks() -> None:
        raise ZeroDivisionError

    run.service.loop_watch.run = breaks  # type: ignore[method-assign]  # the simplest part to break
    with pytest.raises(BaseExceptionGroup) as caught:
        await run.service.run(run.stop)
    assert isinstance(first_cause(caught.value), ZeroDivisionError)


async def test_a_failing_preparation_ends_the_start(database_url: str, open_folder: Path) -> None:
    async def fails(service: Service) -> None:
        raise ConfigError("no")

    with pytest.raises(BaseExceptionGroup) as caught:
        await Service(quick(open_folder, database_url), prepare=fails).run(asyncio.Event())
    assert str(first_cause(caught.value)) == "no"


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        (("ingest", "cook"), "cook"),
        ((), "none"),
        (("gateway",), "bus.url"),
        (("training",), "add engine"),
    ],
)
def test_roles_that_cannot_work(open_folder: Path, roles: tuple[str, ...], says: str) -> None:
    settings = quick(open_folder, "")
    settings = settings.model_copy(update={"app": settings.app.model_copy(update={"roles": roles})})
    with pytest.raises(ConfigError, match=says):
        check_roles(settings)


def test_a_service_that_does_not_run_has_no_store(open_folder: Path) -> None:
    service = Service(quick(open_folder, ""))
    assert service.markets == ()
    assert service.tally().received == 0
    with pytest.raises(RuntimeError, match="not running"):
        _ = service.store


async def test_the_first_signal_stops_in_order() -> None:
    stop = asyncio.Event()
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 60)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def test_a_stop_does_not_wait_for_mail_nobody_sends(database_url: str, open_folder: Path) -> None:
    async def mailing(service: Service) -> None:
        await prepare(service)
        account = await service.store.owner("ann")
        document = b'{"title": "m", "symbols": "*", "when": {"type": "change", "window": "1s", "percent": "0.001%",'
        document += b' "direction": "either"}, "policy": {"channels": ["email"]}}'
        await service.store.rules.create(account.id, document)

    async with simulated() as (venues, _):
        loop = asyncio.get_running_loop()
        async with running(quick(open_folder, database_url, venues), prepare=mailing) as run:
            outbox = run.service.store.outbox
            async with asyncio.timeout(60):
                while not (await outbox.counts())[DeliveryState.QUEUED]:
                    await asyncio.sleep(0.05)
            begun = loop.time()
        assert loop.time() - begun < 2.5
