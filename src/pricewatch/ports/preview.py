"""What a rule would have done: the question, the answer, and what is read for it."""

from __future__ import annotations

import enum
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from pricewatch.domain.market import Candle, Market, Quote
from pricewatch.domain.model import Activation, BarScore, Forecast
from pricewatch.domain.signal import SIGNALS, Signal
from pricewatch.domain.time import MINUTE
from pricewatch.ports.ticks import Sequenced

NOBODY = uuid.UUID(int=0)

Progress = Callable[[float], None]
"""Told the share that is done, from 0 to 1, never falling."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which rule over which span: `start <= at < end` of the venue's time, in microseconds."""

    document: bytes
    start: int
    end: int
    rule_id: uuid.UUID | None = None
    """Of a stored rule, so that the ids are those of its live signals; None gives ids that nobody else has."""
    version: int = 1
    account_id: uuid.UUID = NOBODY
    markets: tuple[str, ...] = ()
    """Only these of the rule's markets, by key (`coinbase:BTC-USD`); empty for all of them."""
    points: int = 400
    """Points of a chart at most, for each market."""

    @property
    def identity(self) -> uuid.UUID:
        """The rule's id, or one made of its text."""
        return self.rule_id or uuid.uuid5(SIGNALS, self.document.decode("utf-8", "replace"))


class Resolution(enum.StrEnum):
    """What the answer was worked out from, finest first."""

    TICK = "tick"
    """Stored trades in their order: times and ids are those of a live run."""
    QUOTE = "quote"
    """Stored quotes, of which some may have been left out: no ids."""
    BAR = "bar"
    """Stored scores of one-minute bars: no ids, times to the minute."""
    CANDLE = "candle"
    """Candles, where trades have expired or never were: no ids, times to the minute."""


class Stretch(msgspec.Struct, frozen=True):
    """What one market was read from, `start <= at < end`."""

    market: str
    resolution: Resolution
    start: int
    end: int


class Point(NamedTuple):
    """The lowest and the highest price from `at` to the next point."""

    at: int
    low: float
    high: float


class Chart(msgspec.Struct, frozen=True):
    """One market's prices over the span, drawn coarsely."""

    market: str
    points: list[Point]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule would have done."""

    rule_id: uuid.UUID
    rule_version: int
    start: int
    end: int
    mails: bool
    """Whether the rule sends mail at all."""
    thresholds: dict[str, Any]
    """The numbers its owner chose, for the chart; prices as decimal text."""
    signals: list[Signal]
    """In the order in which they would have been made."""
    stretches: list[Stretch]
    charts: list[Chart]
    trades: int
    """How many stored trades, quotes, bars or candles were evaluated one by one."""
    seconds: float = 0.0
    """How long it took."""

    @property
    def resolution(self) -> Resolution | None:
        """The coarsest thing the answer rests on; None where nothing is stored."""
        order = list(Resolution)
        return max((one.resolution for one in self.stretches), key=order.index, default=None)

    def is_exact(self, signal: Signal) -> bool:
        """Whether a live run over the same trades made this very signal, id and all."""
        return any(
            one.resolution is Resolution.TICK and one.market == signal.scope and one.start <= signal.at
            for one in self.stretches
        )


class Preview(Protocol):
    """Who answers such questions."""

    async def run(self, question: Question, progress: Progress | None = None) -> Answer:
        """Raises `Invalid` for a wrong document, span or market, and `Unavailable` when storage is away."""
        ...


class JobState(enum.StrEnum):
    """How far a preview asked for over REST has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens."""
        return self not in (JobState.WAITING, JobState.RUNNING)


class Problem(msgspec.Struct, frozen=True):
    """Why a preview failed: a wrong `field`, or nothing the user could do (`field` is None)."""

    code: str
    """`invalid`, `unavailable`, `timeout` or `failed`."""
    detail: str
    field: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A preview as it stands."""

    id: uuid.UUID
    account_id: uuid.UUID
    created: int
    state: JobState
    progress: float
    """From 0 to 1."""
    is_quick: bool
    """Whether it is a matter of a second or two."""
    result: bytes | None = None
    """The public document, as JSON, once it is done."""
    problem: Problem | None = None


class PreviewDesk(Protocol):
    """Previews as jobs: a bounded number, worked on beside the service."""

    def ask(self, question: Question) -> Job:
        """Queue it. Raises `Invalid` for a wrong document, and `Refused` when too many wait already."""
        ...

    def get(self, account: uuid.UUID, number: uuid.UUID) -> Job:
        """Raises `NotFound` for an unknown, forgotten or foreign one."""
        ...

    def cancel(self, account: uuid.UUID, number: uuid.UUID) -> Job:
        """Stop it; what is final stays as it is. Raises `NotFound`."""
        ...

    async def settled(self, number: uuid.UUID, within: float) -> Job:
        """As it stands once it is final, or after `within` seconds."""
        ...


class Minute(msgspec.Struct, frozen=True, gc=False):
    """The extremes of one minute's stored trades, suspects left out."""

    at: int
    low: float
    high: float


class Past(Protocol):
    """Stored inputs of the evaluator. Times are the venue's, in microseconds, `start <= at < end`."""

    async def markets(self) -> Sequence[Market]:
        """All there are."""
        ...

    async def first(self, market: int) -> int | None:
        """When the oldest stored trade was made; None without any."""
        ...

    async def minutes(self, market: int, start: int, end: int) -> list[Minute]:
        """Every minute with a stored trade that is no suspect, ascending; `start` and `end` are whole minutes.

        Extremes may be wider than the trades', never narrower.
        """
        ...

    def trades(self, market: int, start: int, end: int, *, batch: int = 20_000) -> AsyncIterator[list[Sequenced]]:
        """All trades, ascending by the venue's time, not by their place in the order, in batches."""
        ...

    def quotes(self, market: int, start: int, end: int, *, batch: int = 20_000) -> AsyncIterator[list[PlacedQuote]]:
        """All stored quotes, ascending by the venue's time."""
        ...

    async def candles(self, market: int, start: int, end: int, *, span: int = MINUTE) -> list[Candle]:
        """Candles of a minute, or an hour: of own trades, where there are none the venue's; ascending."""
        ...

    async def scores(self, market: int, start: int, end: int) -> list[BarScore]:
        """The scores of one-minute bars, ascending."""
        ...

    async def forecasts(self, market: int, start: int, end: int) -> list[tuple[Activation, Forecast]]:
        """The forecast in force at `start` of our order and those put into force until `end`, in that order."""
        ...


class PlacedQuote(NamedTuple):
    """A stored quote with its place in the order."""

    seen: int
    quote: Quote
