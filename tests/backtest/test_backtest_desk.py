"""The desk: what every keeper promises, and how ours lives with its processes."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.backtest.conftest import START, document, memory, question, replay, trade

from pricewatch.backtest.desk import Desk
from pricewatch.backtest.messages import Ask, Setup, decode_reply, frame, receive
from pricewatch.backtest.process import serve
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.errors import Invalid, NotFound, Refused, Unavailable
from pricewatch.ports.preview import Answer, JobState, PreviewDesk, Progress, Question
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.preview import MemoryPreviewDesk

ANN, BOB = uuid.UUID(int=1), uuid.UUID(int=2)
ABOVE = document({"type": "above", "level": "100"})
CHANGE = document({"type": "change", "window": "1m", "percent": "1%"})
SETUP = Setup(url="", database={}, engine={}, preview={})

HEAD = """
import os, sys, time
from pricewatch.backtest.messages import *
from pricewatch.ports.preview import Problem
def read():
    body = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4), "big"))
    return body or sys.exit()
def write(message):
    sys.stdout.buffer.write(frame(message)); sys.stdout.buffer.flush()
decode_setup(read())
while True:
    text = decode_ask(read()).question.document
"""
ANSWERS = HEAD + '    write(Progressed(0.5)); write(Answered(msgspec.Raw(b"{\\"pid\\": %d}" % os.getpid())))\n'
FAILS = HEAD + '    write(Failed(Problem("invalid", "wrong", "$.when")))\n'
DIES = HEAD + "    write(Progressed(0.25)); os._exit(3)\n"
HANGS = HEAD + "    write(Progressed(0.25)); time.sleep(3600)\n"


def asked(text: bytes = ABOVE, account: uuid.UUID = ANN) -> Question:
    return question(text, account_id=account)


class DeskPromises:
    """For a desk on which nothing is worked on, with room for eight."""

    async def test_a_job_waits_and_is_its_owners_alone(self, desk: PreviewDesk) -> None:
        job = desk.ask(asked())
        assert (job.state, job.progress, job.is_quick, job.result) == (JobState.WAITING, 0.0, True, None)
        assert desk.get(ANN, job.id) == job
        assert await desk.settled(job.id, 0.01) == job
        for work in (desk.get, desk.cancel):
            with pytest.raises(NotFound):
                work(BOB, job.id)
            with pytest.raises(NotFound):
                work(ANN, uuid.uuid4())
        assert not desk.ask(asked(CHANGE)).is_quick

    async def test_a_cancelled_job_is_final(self, desk: PreviewDesk) -> None:
        job = desk.ask(asked())
        assert desk.cancel(ANN, job.id).state is JobState.CANCELLED
        assert (await desk.settled(job.id, 60)).state is JobState.CANCELLED
        assert desk.cancel(ANN, job.id).state is JobState.CANCELLED

    async def test_wrong_documents_and_too_many(self, desk: PreviewDesk) -> None:
        with pytest.raises(Invalid):
            desk.ask(asked(b"{}"))
        jobs = [desk.ask(asked(account=uuid.UUID(int=10 + number))) for number in range(8)]
        with pytest.raises(Refused) as caught:
            desk.ask(asked())
        assert caught.value.retry_after
        desk.cancel(jobs[0].account_id, jobs[0].id)
        desk.ask(asked())


class TestMemoryDesk(DeskPromises):
    @pytest.fixture
    def desk(self) -> PreviewDesk:
        return MemoryPreviewDesk(ManualClock())


def new_desk(code: str = ANSWERS, clock: ManualClock | None = None, **settings: Any) -> Desk:
    command = (sys.executable, "-c", code)
    return Desk(PreviewSettings(**settings), command, SETUP, clock=clock or ManualClock())


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[Desk]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(desk.run())
        yield desk
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


class TestDesk(DeskPromises):
    @pytest.fixture
    def desk(self) -> PreviewDesk:
        return new_desk()

    async def test_one_process_answers_one_after_the_other_and_goes_when_nobody_asks(self) -> None:
        async with at_work(new_desk(idle=0.3)) as desk:
            jobs = [desk.ask(asked()) for _ in range(2)]
            results = [(await desk.settled(job.id, 60)).result for job in jobs]
            assert results[0] == results[1]  # the same process
            assert (await desk.settled(jobs[0].id, 1)).progress == 1.0
            await until(lambda: desk.status()["processes"] == 0)
            again = await desk.settled(desk.ask(asked()).id, 60)
            assert again.state is JobState.DONE
            assert again.result != results[0]
            await until(lambda: [one.value for one in desk.samples()] == [3, 0, 0, 0])
            assert desk.trouble() is None
        assert desk.status() == {"waiting": 0, "running": 0, "processes": 0}

    async def test_quick_questions_do_not_wait_for_long_ones(self) -> None:
        hangs_if_long = HEAD + "    if b'change' in text: time.sleep(3600)\n    write(Answered(msgspec.Raw(b'{}')))\n"
        async with at_work(new_desk(hangs_if_long)) as desk:
            long = desk.ask(asked(CHANGE))
            await until(lambda: desk.get(ANN, long.id).state is JobState.RUNNING)
            assert (await desk.settled(desk.ask(asked()).id, 60)).state is JobState.DONE
            assert desk.get(ANN, long.id).state is JobState.RUNNING

    async def test_what_is_worked_on_can_be_cancelled_and_the_next_one_gets_a_new_process(self) -> None:
        async with at_work(new_desk(HANGS)) as desk:
            job, following = desk.ask(asked()), desk.ask(asked())
            await until(lambda: desk.get(ANN, job.id).progress == 0.25)
            desk.cancel(ANN, job.id)
            await until(lambda: desk.get(ANN, following.id).progress == 0.25)
            waiting = desk.ask(asked())
            desk.cancel(ANN, waiting.id)  # never begun
            assert desk.status()["processes"] == 1

    @pytest.mark.parametrize(
        ("code", "problem", "field"), [(DIES, "failed", None), (FAILS, "invalid", "$.when"), (HANGS, "timeout", None)]
    )
    async def test_failures_are_told(self, code: str, problem: str, field: str | None) -> None:
        async with at_work(new_desk(code, timeout=1.5 if code is HANGS else 60.0)) as desk:
            for _ in range(2):
                job = await desk.settled(desk.ask(asked()).id, 60)
                assert job.state is JobState.FAILED
                assert job.problem is not None
                assert (job.problem.code, job.problem.field) == (problem, field)

    async def test_a_process_that_cannot_begin_is_told_each_time(self) -> None:
        desk = Desk(PreviewSettings(), ("/nonexistent/python",), SETUP, clock=ManualClock())
        async with at_work(desk):
            for _ in range(2):
                job = await desk.settled(desk.ask(asked()).id, 60)
                assert job.problem is not None
                assert job.problem.code == "failed"

    async def test_an_account_may_not_take_all_places_and_finished_jobs_go(self) -> None:
        clock = ManualClock()
        async with at_work(new_desk(clock=clock, kept=2, keep=60.0)) as desk:
            jobs = []
            for _ in range(4):
                jobs.append(desk.ask(asked()))
                await desk.settled(jobs[-1].id, 60)
            with pytest.raises(NotFound):
                desk.get(ANN, jobs[0].id)
            assert desk.get(ANN, jobs[-1].id).result
            clock.advance(61)
            desk.ask(asked())
            with pytest.raises(NotFound):
                desk.get(ANN, jobs[-1].id)
        desk = new_desk()
        for _ in range(2):
            desk.ask(asked())
        with pytest.raises(Refused, match="previews of yours"):
            desk.ask(asked())
        desk.ask(asked(account=BOB))


class Preview:
    """Answers as it is told, and says what became of it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given_up = False
        self.inner = replay(memory([trade(1, START, 99.0), trade(2, START + 1, 101.0)]))

    async def run(self, question: Question, progress: Progress | None = None) -> Answer:
        if self.error is not None:
            raise self.error
        if question.version == 2:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                self.given_up = True
                raise
        return await self.inner.run(question, progress)


class TestProcess:
    async def talk(self, preview: Preview, *questions: Question) -> list[object]:
        reader = asyncio.StreamReader()
        written = bytearray()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(serve(reader, written.extend, preview, signals=10))
            for one in questions:
                reader.feed_data(frame(Ask(one)))
            await asyncio.sleep(0.05)
            reader.feed_eof()
            await asyncio.wait({task}, timeout=60)
        replies = asyncio.StreamReader()
        replies.feed_data(bytes(written))
        replies.feed_eof()
        found: list[object] = []
        with suppress(EOFError):
            while True:
                found.append(decode_reply(await receive(replies)))
        return found

    async def test_questions_are_answered_until_the_other_side_closes(self) -> None:
        preview = Preview()
        replies = await self.talk(preview, asked(), question(ABOVE, version=2))
        assert [type(one).__name__ for one in replies] == ["Progressed", "Answered"]
        assert b'"fired":1' in bytes(replies[-1].document)  # type: ignore[attr-defined]
        assert preview.given_up

    @pytest.mark.parametrize(
        ("error", "problem"),
        [(Invalid("from", "bad"), ("invalid", "bad", "from")), (Unavailable("away"), ("unavailable", "away", None))],
    )
    async def test_errors_are_answers(self, error: Exception, problem: tuple[str, str, str | None]) -> None:
        (reply,) = await self.talk(Preview(error), asked())
        told = reply.problem  # type: ignore[attr-defined]
        assert (told.code, told.detail, told.field) == problem

    async def test_a_length_nobody_sends_ends_the_talk(self) -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"\xff\xff\xff\xffxx")
        with pytest.raises(EOFError):
            await receive(reader)
