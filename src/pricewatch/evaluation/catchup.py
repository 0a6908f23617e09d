"""Evaluating what is stored already: after a start, and after storage was away for so long that evaluation stood."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.domain.market import Trade
from pricewatch.domain.model import Activation, Forecast
from pricewatch.engine.evaluate import Engine
from pricewatch.evaluation.committer import Committer
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.ticks import TickLog, TickWriter

log = structlog.get_logger(__name__)


class Progress:
    """How far evaluation is in the order."""

    __slots__ = ("evaluated", "seen", "standing")

    def __init__(self) -> None:
        self.seen = 0
        """The last place that was given."""
        self.evaluated = 0
        """Everything up to here has reached the engine."""
        self.standing = False
        """Whether evaluation waits for storage: the cursor stands, and the engine is given nothing."""

    def begin(self, cursor: int) -> None:
        """Go on from what was committed."""
        self.seen = self.evaluated = max(cursor, 0)
        self.standing = False


class CatchUp:
    """Lives as long as the engine it feeds.

    While evaluation stands, live trades are only spooled and kept here, the newest of them; they join the stored ones
    without a hole.
    """

    def __init__(
        self,
        settings: EvaluationSettings,
        engine: Engine,
        committer: Committer,
        progress: Progress,
        *,
        markets: Container[int],
        ticks: TickLog,
        writer: TickWriter,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._committer = committer
        self._progress = progress
        self._markets = markets
        self._ticks = ticks
        self._writer = writer
        self._clock = clock
        self._tail: deque[tuple[int, Trade]] = deque(maxlen=settings.catch_up_tail)
        self._later: deque[tuple[Activation, Forecast]] = deque()

    async def read_on(self) -> None:
        """Evaluate what is stored beyond where we are. Raises `Unavailable`."""
        async for batch in self._ticks.read(self._progress.evaluated):
            for seen, trade in batch:
                self.activate_before(seen)
                if trade.market in self._markets:
                    self._engine.trade(trade, seen, late=True)
                self._progress.evaluated = seen
            self._progress.seen = max(self._progress.seen, self._progress.evaluated)
            if self._committer.waiting >= self._settings.max_uncommitted // 2:
                await self._committer.commit(self._progress.evaluated, self._clock.now)

    def activate_later(self, forecasts: Iterable[tuple[Activation, Forecast]]) -> None:
        """Further forecasts, in their order, that come into force at their place."""
        self._later.extend(forecasts)

    def activate_before(self, seen: int | None) -> None:
        """Put the forecasts whose turn comes before `seen` into force, each at its place; all of them for None."""
        while self._later and (seen is None or self._later[0][0].from_seen < seen):
            activation, forecast = self._later.popleft()
            self._engine.activate(forecast, activation.from_seen)
            self._progress.seen = max(self._progress.seen, activation.from_seen)

    def stand(self) -> None:
        """Too much waits for storage."""
        self._tail.clear()
        self._progress.standing = True
        log.warning("evaluation.paused", waiting=self._committer.waiting)

    def hold(self, seen: int, trade: Trade) -> None:
        """A live trade that was spooled while evaluation stands."""
        self._tail.append((seen, trade))

    async def resume(self, evaluate: Callable[[Trade, int], None]) -> None:
        """Evaluate what was only stored, then what was held; stands on if storage goes away meanwhile."""
        while self._progress.standing:
            try:
                await self._writer.drain()
                await self.read_on()
            except Unavailable as error:
                log.warning("evaluation.catch_up_failed", error=str(error))
                return
            if self._joins():
                self._progress.standing = False
                for seen, trade in self._tail:
                    if seen > self._progress.evaluated:
                        self.activate_before(seen)
                        evaluate(trade, seen)
                self._tail.clear()
                self.activate_before(None)
                log.info("evaluation.resumed", evaluated=self._progress.evaluated)

    def _joins(self) -> bool:
        """Whether what is held begins no later than what was read ended."""
        return len(self._tail) < self._settings.catch_up_tail or self._tail[0][0] <= self._progress.evaluated
