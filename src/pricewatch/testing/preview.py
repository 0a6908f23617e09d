"""An in-memory keeper of the preview desk."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Any

import msgspec

from pricewatch.domain.errors import NotFound, Refused
from pricewatch.ports.clock import Clock
from pricewatch.ports.preview import Job, JobState, Question
from pricewatch.rules.base import PRICE
from pricewatch.rules.document import parse


class MemoryPreviewDesk:
    """Keeps `PreviewDesk`. Nobody works on the jobs: `finish` says how one ends, `ends` how every later one does."""

    def __init__(self, clock: Clock, *, waiting: int = 8) -> None:
        self.ends: dict[str, Any] | None = None
        self.questions: list[Question] = []
        self._clock = clock
        self._waiting = waiting
        self._jobs: dict[uuid.UUID, Job] = {}
        self._final: dict[uuid.UUID, asyncio.Event] = {}

    def ask(self, question: Question) -> Job:
        """Queue it."""
        rule = parse(question.document)
        if sum(not job.state.is_final for job in self._jobs.values()) >= self._waiting:
            raise Refused("too many previews wait already", retry_after=15.0)
        job = Job(
            id=uuid.uuid4(),
            account_id=question.account_id,
            created=self._clock.now(),
            state=JobState.WAITING,
            progress=0.0,
            is_quick=rule.when.needs() == PRICE and not rule.policy.suspect,
        )
        self._jobs[job.id], self._final[job.id] = job, asyncio.Event()
        self.questions.append(question)
        if self.ends is not None:
            self.finish(job.id, **self.ends)
        return job

    def finish(self, number: uuid.UUID, **changes: Any) -> None:
        """It goes on, or ends, like this."""
        job = self._jobs[number]
        if not job.state.is_final:
            self._jobs[number] = msgspec.structs.replace(job, **changes)
            if self._jobs[number].state.is_final:
                self._final[number].set()

    def get(self, account: uuid.UUID, number: uuid.UUID) -> Job:
        """Raises `NotFound` for an unknown or foreign one."""
        job = self._jobs.get(number)
        if job is None or job.account_id != account:
            raise NotFound("there is no such preview, or it is not yours")
        return job

    def cancel(self, account: uuid.UUID, number: uuid.UUID) -> Job:
        """Stop it."""
        self.get(account, number)
        self.finish(number, state=JobState.CANCELLED)
        return self._jobs[number]

    async def settled(self, number: uuid.UUID, within: float) -> Job:
        """As it stands once it is final, or after `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._final[number].wait()
        return self._jobs[number]
