"""What the process that works on previews does: one question after the other, until nobody asks any more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress

import msgspec

from pricewatch.backtest.messages import Answered, Failed, Progressed, Reply, decode_ask, frame, receive
from pricewatch.domain.errors import Invalid, Unavailable
from pricewatch.ports.preview import Preview, Problem, Question
from pricewatch.wire.preview import document

Write = Callable[[bytes], None]

_RARELY = 100_000
"""Objects made before young ones are looked through: those of a page of trades are gone by then."""


def prepare_memory() -> None:
    """Once all is imported: trades come by the hundred thousand and hold no circles, so these are rarely looked for."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_RARELY, 20, 20)


async def serve(reader: asyncio.StreamReader, write: Write, preview: Preview, *, signals: int) -> None:
    """Until the other side closes; then what is being worked on is given up. `signals`: as many are told at most."""
    questions: asyncio.Queue[Question] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        work = group.create_task(_work(questions, write, preview, signals), name="preview.work")
        with suppress(EOFError):
            while True:
                questions.put_nowait(decode_ask(await receive(reader)).question)
        work.cancel()


async def _work(questions: asyncio.Queue[Question], write: Write, preview: Preview, signals: int) -> None:
    while True:
        question = await questions.get()
        write(frame(await _answered(question, write, preview, signals)))


async def _answered(question: Question, write: Write, preview: Preview, signals: int) -> Reply:
    try:
        answer = await preview.run(question, lambda done: write(frame(Progressed(done))))
    except Invalid as error:
        return Failed(Problem("invalid", error.problem, error.field or None))
    except Unavailable as error:
        return Failed(Problem("unavailable", str(error)))
    return Answered(msgspec.Raw(msgspec.json.encode(document(answer, signals))))
