from __future__ import annotations

import asyncio
import math
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs
from tests.training.training_world import NOW, Desk, answer, until, walk

from pricewatch.domain.market import Market
from pricewatch.domain.model import What
from pricewatch.domain.packed import packed
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.pool import FitPool
from pricewatch.training.refit import Candles
from pricewatch.training.settings import TrainingSettings

pytestmark = pytest.mark.filterwarnings("default")


def no_luck(work: Job) -> Failed:
    _ = work
    return Failed("no luck")


def bad(work: Job) -> Fitted:
    return answer(work, centre=math.nan)


async def test_a_market_is_fitted_registered_stored_and_then_told() -> None:
    desk = Desk(350)
    async with desk.running():
        await until(lambda: "1/outlook" in desk.trainer.status()["unfitted"])
    (forecast,) = desk.shelf.told
    minute = NOW - NOW % MINUTE
    assert (forecast.market, forecast.model, forecast.level, forecast.step) == (1, "prophet", 0.95, MINUTE)
    assert forecast.trained_from == minute - 350 * MINUTE
    assert forecast.trained_to == minute - 70 * MINUTE, "the newest rows were only looked at"
    assert forecast.rows_used == 280
    assert forecast.expires == minute + 2 * HOUR
    assert len(forecast.rows) == 240
    assert forecast.rows[0].at == minute
    (baseline,) = await desk.registry.baselines()
    assert forecast.source == baseline.version
    assert (baseline.kind, baseline.won, baseline.rival) == ("price", True, None)
    assert await desk.artefacts.get(baseline.seal)
    (pointer,) = await desk.registry.pointers()
    assert (pointer.kind, pointer.version, pointer.pinned) == ("price", baseline.version, False)
    assert [one.what for one in await desk.registry.events(kind="price")] == [What.PROMOTED]
    assert desk.trainer.status()["fitted"] == 1
    assert desk.trainer.status()["unfitted"]["1/outlook"] == "short: too few"
    assert desk.trainer.trouble() is None


async def test_a_worse_refit_is_registered_and_its_rival_goes_on() -> None:
    desk = Desk(350, answer, lambda work: answer(work, loss=0.95, rival_loss=0.9), answer, refit_interval=0.05)
    async with desk.running():
        await until(lambda: len(desk.shelf.told) >= 2)
    first, second = desk.shelf.told[:2]
    newer, older = (await desk.registry.baselines(kind="price"))[-2:]
    assert second.version != first.version, "rows are made anew"
    assert second.source == first.source == older.version
    assert (second.trained_to, second.rows_used) == (older.trained_to, older.rows_used)
    assert (newer.won, newer.rival) == (False, older.version)
    assert newer.rival_metrics == {"loss": 0.9}
    kept = (await desk.registry.events(kind="price"))[-2]
    assert (kept.what, kept.version, kept.previous) == (What.KEPT, newer.version, older.version)
    assert kept.detail == {"loss": 0.95, "rival_loss": 0.9, "pinned": False}
    assert desk.jobs[1].champion == await desk.artefacts.get(older.seal)
    assert desk.trainer.status()["kept"] >= 1


async def test_the_version_in_use_is_found_again_after_a_restart() -> None:
    desk = Desk(350)
    async with desk.running():
        await until(lambda: desk.shelf.told)
    later = Desk(350, lambda work: answer(work, loss=0.95, rival_loss=0.9))
    later.registry, later.artefacts = desk.registry, desk.artefacts
    later.trainer._registry = later.trainer._refitter._registry = desk.registry
    later.trainer._refitter._artefacts = desk.artefacts
    async with later.running():
        await until(lambda: later.shelf.told)
    assert later.jobs[0].champion
    assert later.shelf.told[0].source == desk.shelf.told[0].source


async def test_what_an_operator_chose_is_put_to_use_soon_and_stays() -> None:
    def rivalled(work: Job) -> Fitted:
        return answer(work, rival_loss=2.0) if work.champion else answer(work)

    desk = Desk(350, rivalled)
    async with desk.running():
        await until(lambda: desk.shelf.told)
        desk.trainer._schedule.rouse((1, "price"), 0.0)
        await until(lambda: len(desk.shelf.told) == 2)
        first, second = (one.source for one in desk.shelf.told)
        assert first is not None
        assert first != second
        await desk.choose(first)
        await until(lambda: len(desk.shelf.told) == 3)
    assert desk.jobs[-1].pinned
    assert desk.shelf.told[-1].source == first
    assert [one.what for one in await desk.registry.events(kind="price")][:2] == [What.KEPT, What.CHOSEN]


async def test_an_artefact_that_was_tampered_with_is_refused_and_written_down() -> None:
    desk = Desk(350)
    async with desk.running():
        await until(lambda: desk.shelf.told)
        (pointer,) = await desk.registry.pointers()
        seal = (await desk.registry.baselines())[0].seal
        desk.artefacts.objects[seal.name] = b'{"loss":0.0}'
        desk.trainer._refitter._payloads.clear()
        desk.trainer._schedule.rouse((1, "price"), 0.0)
        await until(lambda: len(desk.shelf.told) == 2)
    assert desk.jobs[-1].champion == b""
    refused = [one for one in await desk.registry.events() if one.what is What.REFUSED]
    assert [(one.version, one.market) for one in refused] == [(pointer.version, 1)]
    assert "not what was stored" in refused[0].detail["problem"]
    assert desk.trainer.status()["refused_artefacts"] == 1


async def test_an_artefact_of_an_unknown_schema_is_refused_by_the_fit() -> None:
    desk = Desk(350, answer, lambda work: answer(work, refused="artefact: schema 9 is not known here"))
    async with desk.running():
        await until(lambda: desk.shelf.told)
        desk.trainer._schedule.rouse((1, "price"), 0.0)
        await until(lambda: len(desk.shelf.told) == 2)
    assert [one.what for one in await desk.registry.events(kind="price")] == [
        What.PROMOTED,
        What.REFUSED,
        What.PROMOTED,
    ]


async def test_too_few_candles_are_waited_for() -> None:
    desk = Desk(350)
    desk.shelf.stored, rest = desk.shelf.stored[:299], desk.shelf.stored[299:]
    async with desk.running():
        await until(
            lambda: (
                desk.trainer.status()["unfitted"].get("1/price") == "short: 299 rows of 1 min, at least 300 are needed"
            )
        )
        assert not desk.jobs, "no process was asked"
        assert desk.trainer.failed == 0, "that is the candles' fault"
        desk.shelf.stored += rest
        await until(lambda: desk.shelf.told)
    assert "1/price" not in desk.trainer.status()["unfitted"]


@pytest.mark.parametrize(
    ("group", "rows", "span", "seconds"),
    [
        ("price", 290, MINUTE, 600.0),
        ("price", 299, MINUTE, 60.0),
        ("days", 290, HOUR, 36_000.0),
        ("price", 300, MINUTE, math.inf),
    ],
)
def test_a_young_market_is_not_asked_before_it_can_have_grown_up(
    group: str, rows: int, span: int, seconds: float
) -> None:
    desk = Desk(0, retry_interval=60.0)
    assert desk.trainer._ripe(group, Candles(packed(walk(rows, span=span)), span, NOW)) == seconds


async def test_only_the_newest_rows_are_read_and_in_one_piece() -> None:
    desk = Desk(1_700, retry_interval=60.0)
    async with desk.running():
        await until(lambda: "1/outlook" in desk.trainer.status()["unfitted"])
    assert len(desk.jobs[0].candles) == 800
    assert desk.jobs[0].most == 400
    assert desk.shelf.reads == 3, "minutes; hours, then minutes in their place"


async def test_recordings_of_the_past_are_fitted_at_their_own_time() -> None:
    desk = Desk(350)
    desk.shelf.mark = desk.shelf.stored[-1].at + 5_000_000
    desk.clock.advance(10_000 * HOUR)
    async with desk.running():
        await until(lambda: desk.shelf.told)
    assert desk.jobs[0].until == desk.shelf.stored[-1].at, "the open minute is left out"


async def test_failures_change_nothing_but_counters_and_are_tried_again() -> None:
    desk = Desk(350, no_luck, no_luck, bad, answer)
    async with desk.running():
        await until(lambda: desk.trainer.status()["failed"])
        assert desk.trainer.status()["unfitted"]["1/price"] == "failed: no luck"
        await until(lambda: desk.shelf.told)
    assert desk.trainer.status()["failed"] == 3
    assert len(desk.shelf.forecasts) == 1
    failures = [one for one in await desk.registry.events(kind="price") if one.what is What.FAILED]
    assert [one.detail["reason"] for one in failures] == ["no luck"], "written down when it begins"
    names = {sample.name for sample in desk.trainer.samples()}
    assert names >= {"fits", "failures", "killed", "baselines", "expired_bands", "refused_artefacts"}


async def test_a_missed_refit_lets_the_band_expire_visibly() -> None:
    desk = Desk(700, answer, no_luck)
    async with desk.running():
        await until(lambda: desk.shelf.told)
        desk.clock.advance(3 * 3_600)
        with capture_logs() as logs:
            desk.trainer._schedule.rouse((1, "price"), 0.0)
            await until(lambda: desk.trainer.status()["expired"])
            desk.pool.answers = [answer]
            await until(lambda: len(desk.shelf.told) == 2)
    assert [one["event"] for one in logs if "expired" in one["event"]] == ["training.band_expired"]
    assert desk.trainer.status()["expired"] == []


async def test_drift_brings_a_refit_forward_but_not_too_often() -> None:
    desk = Desk(350)
    async with desk.running():
        await until(lambda: desk.shelf.told)
        desk.trainer.refit_soon(1, "drift")
        desk.trainer.refit_soon(2, "of no market of ours")
        await until(lambda: not desk.trainer._asked)
        assert desk.trainer.early == 0, "that would be too soon, and the other is not ours"
        assert len(desk.jobs) == 1
        desk.trainer._last[1] -= 900
        desk.trainer.refit_soon(1, "drift")
        desk.trainer.refit_soon(1, "drift again")
        await until(lambda: len(desk.shelf.told) == 2)
    assert desk.trainer.early == 1


async def test_storage_away_is_told_and_overcome() -> None:
    desk = Desk(350)
    desk.shelf.down = True
    async with desk.running():
        await until(desk.trainer.trouble)
        desk.shelf.down = False
        await until(lambda: desk.shelf.told)
        assert desk.trainer.trouble() is None


async def test_disabled_is_quiet() -> None:
    desk = Desk(350, enabled=False)
    async with desk.running():
        await asyncio.sleep(0.1)
    assert desk.jobs == []


async def test_further_markets_are_taken_up() -> None:
    desk = Desk(350)
    desk.shelf.stored += [msgspec.structs.replace(one, market=2) for one in desk.shelf.stored]
    async with desk.running():
        await until(lambda: desk.shelf.told)
        desk.trainer.follow([Market(2, "kraken", "BTC-USD", "XBT/USD")])
        desk.trainer.follow([Market(2, "kraken", "BTC-USD", "XBT/USD")])
        await until(lambda: len(desk.shelf.told) == 2)
    assert {one.market for one in desk.shelf.told} == {1, 2}


async def test_old_versions_are_forgotten_with_their_artefacts() -> None:
    desk = Desk(350, refit_interval=0.02, keep_versions=2)
    async with desk.running():
        await until(lambda: len(desk.shelf.told) >= 6)
    assert len(await desk.registry.baselines()) <= 4
    assert len(desk.artefacts.objects) <= 4


async def test_bands_are_forgotten_some_time_after_they_have_expired() -> None:
    desk = Desk(350, refit_interval=0.02, forecast_keep=86_400.0)
    async with desk.running():
        await until(lambda: len(desk.shelf.told) >= 3)
        first = desk.shelf.told[0]
        assert await desk.shelf.forecast_row(first.version, first.rows[0].at)
        desk.clock.advance(27 * 3_600.0)
        await until(lambda: first.version not in desk.shelf._forecasts)
    assert await desk.shelf.forecast(1) == desk.shelf.told[-1]


async def test_all_kinds_by_real_fits() -> None:
    desk = Desk(350, pool=FitPool(TrainingSettings()))
    desk.shelf.hours = walk(900, span=HOUR)
    desk.shelf.hourly_spreads = [
        msgspec.structs.replace(one, open=one.volume, high=one.volume, low=one.volume, close=one.volume)
        for one in desk.shelf.hours
    ]
    async with desk.running():
        await until(lambda: desk.trainer.fitted == 5 or desk.trainer.failed)
    assert desk.trainer.status()["states"] == {"ok": 5}
    assert await desk.outlook("spread") is not None
    outlook = await desk.outlook("outlook")
    assert outlook is not None
    assert outlook.origin == NOW - NOW % HOUR
    assert outlook.expires == outlook.origin + DAY
    assert outlook.levels == [0.8, 0.95, 0.99]
    assert len(outlook.rows) == 120
    row = outlook.rows[23]
    assert row.at == outlook.origin + 23 * HOUR
    assert row.lower == sorted(row.lower, reverse=True)
    assert row.upper == sorted(row.upper)
    assert {one["steps"] for one in outlook.metrics["horizons"]} == {6, 12, 24, 48, 72, 96, 120}
    rhythm = await desk.outlook("range")
    assert rhythm is not None
    assert rhythm.unit == "log(high / low) of a row"
    assert len(await desk.registry.baselines()) == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ttl": 3600.0}, "must exceed refit_interval"),
        ({"horizon": 3600.0}, "must reach as far as ttl"),
        ({"rows": 100}, "at least min_rows"),
        ({"baseline_rows": 200}, "at least baseline_min_rows"),
        ({"levels": (0.95, 0.8)}, "must be ascending"),
        ({"levels": (0.2,)}, "must be ascending"),
    ],
)
def test_settings_leave_no_time_without_a_band(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TrainingSettings(**changes)
