"""What a venue says about staying away holds at once, for every connection, and after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.ingest.conftest import NOW, StillClock, running, until
from tests.ingest.toy import odd
from tests.ingest.toyhouse import markets, toy_house

from pricewatch.domain.errors import Refused
from pricewatch.domain.time import SECOND
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.stayaway import Distance, StayAway
from pricewatch.ingest.transport.refusal import Banned, refusal, retry_after


async def test_it_is_kept_across_restarts(tmp_path: Path) -> None:
    clock, path = StillClock(), tmp_path / "ingest" / "stay_away.json"
    book = StayAway(path, clock)
    await book.note("toy socket", 300.0, "HTTP 429")
    await book.note("toy socket", 100.0, "HTTP 429, shorter")
    await book.note("toy rest", 1.0, "HTTP 429")
    clock.instant += 10 * SECOND
    again = StayAway(path, clock)
    assert 289 < again.remaining("toy socket") < 291
    assert again.remaining("toy rest") == 0.0
    assert again.remaining("other socket") == 0.0
    await again.note("other rest", 5.0, "HTTP 418")
    assert b"toy rest" not in path.read_bytes()  # what is over is forgotten
    assert [one.name for one in path.parent.iterdir()] == ["stay_away.json"]


async def test_a_clock_set_back_keeps_nobody_away_for_ever(tmp_path: Path) -> None:
    clock = StillClock()
    await StayAway(tmp_path / "a.json", clock).note("toy socket", 60.0, "HTTP 429")
    clock.instant = NOW - 365 * 86_400 * SECOND
    assert StayAway(tmp_path / "a.json", clock).remaining("toy socket") == 86_400


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"toy socket": 5}', b"\xff\x00"])
async def test_a_spoilt_file_is_no_reason_to_stop(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "stay_away.json"
    path.write_bytes(content)
    book = StayAway(path, StillClock())
    assert book.remaining("toy socket") == 0.0
    await book.note("toy socket", 60.0, "HTTP 429")
    assert StayAway(path, StillClock()).remaining("toy socket") > 59


async def test_a_folder_that_takes_nothing_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    book = StayAway(tmp_path / "file" / "stay_away.json", StillClock())
    await book.note("toy socket", 60.0, "HTTP 429")
    assert book.remaining("toy socket") > 59


async def test_a_ban_is_for_sockets_and_rest_alike() -> None:
    distance = Distance("toy", opening=Pace(0.0), asking=Pace(0.0), book=StayAway(None, StillClock()))
    await distance.refused_request(Refused("no", retry_after=None))
    assert (distance.opening.away, distance.asking.away) == (0.0, 0.0)
    await distance.refused_request(Refused("HTTP 429", retry_after=100.0))
    assert distance.opening.away == 0.0
    assert distance.asking.away > 99
    await distance.refused_handshake(Banned("HTTP 418", retry_after=500.0))
    assert distance.opening.away > 499
    assert distance.asking.away > 499


def test_what_answers_say() -> None:
    date = "Sat, 21 Nov 2026 10:00:00 GMT"
    assert retry_after(429, {}) == 60.0
    assert retry_after(500, {}) is None
    assert retry_after(503, {"Retry-After": "7"}) == 7.0
    assert retry_after(429, {"Retry-After": "9" * 400}) == 86_400
    assert retry_after(429, {"Retry-After": "Sat, 21 Nov 2026 10:02:00 GMT", "Date": date}) == 120.0
    assert retry_after(429, {"Retry-After": "Sat, 21 Nov 2026 09:00:00 GMT", "Date": date}) == 0.0
    assert retry_after(429, {"Retry-After": "Sat, 21 Nov 2026 10:02:00 GMT"}) == 60.0
    assert retry_after(429, {"Retry-After": "soon", "Date": date}) == 60.0
    assert retry_after(429, {"Retry-After": "²"}) == 60.0
    assert isinstance(refusal(418, {}, "wss://x/?token=y"), Banned)
    assert "token" not in str(refusal(418, {}, "wss://x/?token=y"))


async def test_turns_waited_for_already_are_put_off() -> None:
    loop = asyncio.get_running_loop()
    pace, began, turns = Pace(0.02), loop.time(), list[float]()

    async def turn() -> None:
        await pace.turn()
        turns.append(loop.time() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(turn())
        await asyncio.sleep(0.005)
        pace.stay_away(0.1)
        assert 0.09 < pace.away <= 0.1
    assert turns[0] < 0.09
    assert min(turns[1:]) >= 0.1


async def test_no_connection_opens_within_the_time_not_even_after_a_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with toy_house(monkeypatch, odd(markets_per_connection=1)) as house:
        house.venue.refuse = [(429, {"Retry-After": "7200"})] * 3
        async with running(house.make(markets(3), folder=tmp_path, open_interval=0.01)):
            await until((tmp_path / "stay_away.json").exists)
        first = len(house.venue.opened)
        ingest = house.make(markets(3), folder=tmp_path)
        async with running(ingest):
            await until(lambda: bool(ingest.venues) and len(ingest.venues[0].runners) == 3)
            await asyncio.sleep(0.2)
            assert ingest.status()["venues"]["toy"]["stay_away_seconds"] > 7000
            assert len(house.venue.opened) == first
        assert 1 <= first <= 3


async def test_rest_is_left_alone_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with toy_house(monkeypatch) as house, house.listening(folder=tmp_path, gap_hold=0.1) as ingest:
        await house.say(house.venue.trade(1))
        house.venue.rest_refuse = [(429, {"Retry-After": "3600"})]
        await house.say(house.venue.trade(4))
        await until(lambda: len(house.gaps.declared) == 1)
        assert len(house.venue.asked) == 1
        assert b"toy rest" in (tmp_path / "stay_away.json").read_bytes()
        assert ingest.venues[0].distance.opening.away == 0.0


async def test_ten_minutes_of_refusal_make_thirty_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the waits: they are summed up instead of waited for."""
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)
        if sum(waited) > 600:
            await asyncio.Event().wait()

    async with toy_house(monkeypatch) as house:
        house.venue.refuse = [(403, {})] * 1000
        ingest = house.make(markets(1), pause=pause, backoff_base=1.0, backoff_cap=60.0, luck=lambda: 0.01)
        async with running(ingest):
            await until(lambda: sum(waited) > 600)
        assert len(house.venue.opened) == 30
