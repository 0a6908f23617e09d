"""Previews as jobs: queued here, worked on in processes of their own, so that the service never waits for them."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from pricewatch.backtest.kinds import is_quick
from pricewatch.backtest.messages import Answered, Ask, Progressed, Setup, decode_reply, frame, receive
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.errors import NotFound, Refused
from pricewatch.ports.clock import Clock
from pricewatch.ports.preview import Job, JobState, Problem, Question
from pricewatch.rules.document import parse
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)


class _Ticket:
    """A job while it is on the desk."""

    def __init__(self, job: Job, question: Question) -> None:
        self.job = job
        self.question = question
        self.final = asyncio.Event()

    def set(self, **changes: Any) -> None:
        """A final job stays as it is."""
        if self.job.state.is_final:
            return
        self.job = msgspec.structs.replace(self.job, **changes)
        if self.job.state.is_final:
            self.final.set()


class Desk:
    """A `Part` and a `PreviewDesk`. Two lanes: quick questions never wait for long ones.

    Each lane has a process of its own while it has work, and for a while after. It gets everything it must know on its
    standard input, and ends when that is closed: nothing of it outlives the service.
    """

    name = "previews"

    def __init__(self, settings: PreviewSettings, command: Sequence[str], setup: Setup, *, clock: Clock) -> None:
        """`command` starts a process that reads `setup` and then questions, as `process.serve` does."""
        self._settings = settings
        self._clock = clock
        self._tickets: OrderedDict[uuid.UUID, _Ticket] = OrderedDict()
        self._lanes = {quick: _Lane(settings, command, setup) for quick in (True, False)}
        self._finished = {state: 0 for state in JobState if state.is_final}

    # -- PreviewDesk --------------------------------------------------------------------------------------------------

    def ask(self, question: Question) -> Job:
        """Queue it. Raises `Invalid` for a wrong document, and `Refused` when too many wait already."""
        quick = is_quick(parse(question.document))
        self._forget()
        open_ = [one.job for one in self._tickets.values() if not one.job.state.is_final]
        mine = sum(job.account_id == question.account_id for job in open_)
        if mine >= self._settings.account_waiting:
            raise Refused(f"{mine} previews of yours are not finished yet; wait for one, or cancel it", retry_after=5.0)
        if len(open_) >= self._settings.waiting:
            raise Refused(f"{len(open_)} previews wait already; try again in a while", retry_after=15.0)
        job = Job(
            id=uuid.uuid4(),
            account_id=question.account_id,
            created=self._clock.now(),
            state=JobState.WAITING,
            progress=0.0,
            is_quick=quick,
        )
        ticket = self._tickets[job.id] = _Ticket(job, question)
        self._lanes[quick].put(ticket)
        return job

    def get(self, account: uuid.UUID, number: uuid.UUID) -> Job:
        """Raises `NotFound` for an unknown, forgotten or foreign one."""
        return self._ticket(account, number).job

    def cancel(self, account: uuid.UUID, number: uuid.UUID) -> Job:
        """Stop it; what is final stays as it is. Raises `NotFound`."""
        ticket = self._ticket(account, number)
        ticket.set(state=JobState.CANCELLED)
        return ticket.job

    async def settled(self, number: uuid.UUID, within: float) -> Job:
        """As it stands once it is final, or after `within` seconds."""
        ticket = self._tickets[number]
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await ticket.final.wait()
        return ticket.job

    def _ticket(self, account: uuid.UUID, number: uuid.UUID) -> _Ticket:
        ticket = self._tickets.get(number)
        if ticket is None or ticket.job.account_id != account:
            raise NotFound("there is no such preview, or it is not yours, or it was finished long ago")
        return ticket

    def _forget(self) -> None:
        """Finished jobs go after a while, the oldest ones when there are too many."""
        oldest = self._clock.now() - round(self._settings.keep * 1e6)
        final = [one.job for one in self._tickets.values() if one.job.state.is_final]
        for place, job in enumerate(final):
            if job.created < oldest or place < len(final) - self._settings.kept:
                del self._tickets[job.id]

    # -- Part ---------------------------------------------------------------------------------------------------------

    def status(self) -> Mapping[str, Any]:
        """For `/status`."""
        states = [one.job.state for one in self._tickets.values()]
        return {
            "waiting": states.count(JobState.WAITING),
            "running": states.count(JobState.RUNNING),
            "processes": sum(lane.is_up for lane in self._lanes.values()),
        }

    def trouble(self) -> str | None:
        """Previews are nothing the service needs."""
        return None

    def samples(self) -> Iterable[Sample]:
        """For `/metrics`."""
        for quick, lane in self._lanes.items():
            labels = (("lane", "quick" if quick else "long"),)
            yield Sample("done", lane.done, labels=labels, help="Previews answered.")
            yield Sample("failed", lane.failed, labels=labels, help="Previews that failed or were cancelled.")

    async def run(self) -> None:
        """Work until cancelled; the processes end with it."""
        async with asyncio.TaskGroup() as group:
            for quick, lane in self._lanes.items():
                group.create_task(lane.run(), name=f"previews.{'quick' if quick else 'long'}")


class _Lane:
    """One queue and one process."""

    def __init__(self, settings: PreviewSettings, command: Sequence[str], setup: Setup) -> None:
        self._settings = settings
        self._command = command
        self._setup = setup
        self._queue: asyncio.Queue[_Ticket] = asyncio.Queue()
        self._starting: asyncio.Future[asyncio.subprocess.Process] | None = None
        self._ending: asyncio.Future[None] | None = None
        self.done = self.failed = 0

    @property
    def is_up(self) -> bool:
        """Whether there is a process."""
        return self._starting is not None

    def put(self, ticket: _Ticket) -> None:
        """Its turn comes."""
        self._queue.put_nowait(ticket)

    async def run(self) -> None:
        """One after the other."""
        try:
            while True:
                ticket = await self._next()
                await self._work(ticket)
                self.done += ticket.job.state is JobState.DONE
                self.failed += ticket.job.state is not JobState.DONE
        finally:
            await self._end()

    async def _next(self) -> _Ticket:
        """The next one; when none comes for long, the process goes."""
        if self._starting is not None:
            try:
                async with asyncio.timeout(self._settings.idle):
                    return await self._queue.get()
            except TimeoutError:
                await self._end()
        return await self._queue.get()

    async def _work(self, ticket: _Ticket) -> None:
        """Until it is final. A process that took too long, or whose work nobody wants any more, is killed."""
        if ticket.job.state.is_final:
            return
        ticket.set(state=JobState.RUNNING)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._converse(ticket), name="previews.converse")
            gone = group.create_task(ticket.final.wait(), name="previews.cancelled")
            await asyncio.wait({work, gone}, timeout=self._settings.timeout, return_when=asyncio.FIRST_COMPLETED)
            is_whole = work.done()
            work.cancel()
            gone.cancel()
        if not is_whole:
            await self._end()
            ticket.set(state=JobState.FAILED, problem=Problem("timeout", f"not done in {self._settings.timeout:g} s"))

    async def _converse(self, ticket: _Ticket) -> None:
        try:
            process = await self._started()
            assert process.stdin is not None  # noqa: S101 - both are pipes
            assert process.stdout is not None  # noqa: S101
            process.stdin.write(frame(Ask(ticket.question)))
            await process.stdin.drain()
            while not ticket.job.state.is_final:
                reply = decode_reply(await receive(process.stdout))
                if isinstance(reply, Progressed):
                    ticket.set(progress=reply.done)
                elif isinstance(reply, Answered):
                    ticket.set(state=JobState.DONE, progress=1.0, result=bytes(reply.document))
                else:
                    ticket.set(state=JobState.FAILED, problem=reply.problem)
        except (OSError, EOFError) as error:
            log.warning("previews.process_lost", error=str(error))
            await self._end()
            ticket.set(
                state=JobState.FAILED, problem=Problem("failed", "the process that worked on it ended; try again")
            )

    async def _started(self) -> asyncio.subprocess.Process:
        if self._starting is None:
            pipe = asyncio.subprocess.PIPE
            # Never cut short: a process half begun would leave its pipes behind. `_end` waits for it.
            self._starting = asyncio.ensure_future(
                asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
            )
            process = await asyncio.shield(self._starting)
            assert process.stdin is not None  # noqa: S101 - a pipe
            process.stdin.write(frame(self._setup))
        return await asyncio.shield(self._starting)

    async def _end(self) -> None:
        """Kill the process, if there is one: it holds nothing that would be lost. Cut short, call it again."""
        if self._starting is None:
            return
        if self._ending is None:
            self._ending = asyncio.ensure_future(_close(self._starting))
        await asyncio.shield(self._ending)
        self._starting = self._ending = None


async def _close(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    """Let nothing of a process remain."""
    try:
        process = await starting
    except OSError:
        return  # it never began
    with suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
        with suppress(OSError):
            await process.stdin.wait_closed()
    await process.communicate()  # to the end of what it wrote
