"""Stored ticks come by the venue's time; the engine takes them by their place in our order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Any, Protocol, TypeVar

from pricewatch.domain.market import Flag
from pricewatch.domain.time import SECOND
from pricewatch.ports.ticks import Sequenced

SLACK = 10 * SECOND
"""A live trade is overtaken at most by live trades whose time is less than this ahead of its own."""

UNORDERED = int(Flag.HISTORY | Flag.SUSPECT | Flag.LATE)
"""Trades that came by another way than the venue's stream, or were held: they tell nothing of others' places."""


class Placed(Protocol):
    """A stored input: its place in the order comes first."""

    @property
    def seen(self) -> int:
        """Its place."""
        ...


Item = TypeVar("Item", bound=Placed)


def place(item: Placed) -> int:
    """The key inputs are sorted by."""
    return item.seen


def complete(held: Iterable[Sequenced], before: int) -> int:
    """Up to which place every trade is among `held`, when all trades of times below `before` are; -1 for nowhere."""
    edge = before - SLACK
    return max((one.seen for one in held if one.trade.at <= edge and not one.trade.flags & UNORDERED), default=-1)


async def in_order(batches: AsyncIterator[list[Sequenced]]) -> AsyncIterator[list[Sequenced]]:
    """Batches ascending by time, as batches ascending by place: nothing is left out, however late it came."""
    held: list[Sequenced] = []
    async for batch in batches:
        held += batch
        border = complete(held, batch[-1].trade.at)
        ready = [one for one in held if one.seen <= border]
        if ready:
            held = [one for one in held if one.seen > border]
            ready.sort(key=place)
            yield ready
    held.sort(key=place)
    yield held


async def merged(streams: Sequence[AsyncIterator[Sequence[Any]]]) -> AsyncIterator[list[Any]]:
    """Several streams, each in order of `seen`, as one."""
    heads: list[tuple[int, int, int, Sequence[Any]]] = []
    for number, stream in enumerate(streams):
        if (batch := await _next(stream)) is not None:
            heads.append((batch[0].seen, number, 0, batch))
    heapify(heads)
    out: list[Any] = []
    while heads:
        _, number, at, batch = heads[0]
        out.append(batch[at])
        if at + 1 < len(batch):
            heapreplace(heads, (batch[at + 1].seen, number, at + 1, batch))
            continue
        yield out
        out = []
        more = await _next(streams[number])
        if more is None:
            heappop(heads)
        else:
            heapreplace(heads, (more[0].seen, number, 0, more))


async def _next(stream: AsyncIterator[Sequence[Any]]) -> Sequence[Any] | None:
    """The next batch that holds something."""
    async for batch in stream:
        if batch:
            return batch
    return None
