"""Between the feeds and their sink: a print far off the recent prices waits until it is confirmed or flagged."""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable, Iterable, Mapping, Sequence

from pricewatch.domain.market import Flag, Tick, Trade
from pricewatch.engine.doubt import Doubts, Recent
from pricewatch.ports.ticks import TickSink
from pricewatch.telemetry.metrics import Sample

_SUSPECT = int(Flag.SUSPECT)

Later = Callable[[float, Callable[[int], None], int], TimerHandle]
"""Calls a function with a market's number after some seconds (`loop.call_later`)."""


class Suspects:
    """A `TickSink` in front of another. What it decides is in the row: nobody decides again later.

    A held print has no place in the order yet: killed meanwhile, it is a hole like any other and is filled.
    """

    def __init__(
        self,
        sink: TickSink,
        doubts: Doubts,
        markets: Iterable[int],
        *,
        later: Later,
        recent: Mapping[int, Sequence[Trade]] | None = None,
    ) -> None:
        """`recent`: each market's newest stored trades, in their order."""
        self.confirmed = 0
        self.flagged = 0
        self._sink = sink
        self._doubts = doubts
        self._wait = doubts.hold / 1e6
        self._later = later
        self._markets = {market: Recent(doubts) for market in markets}
        self._timers: dict[int, TimerHandle] = {}
        self._blind: set[int] = set()
        for market, trades in (recent or {}).items():
            if market in self._markets:
                self._markets[market].remember(trades)

    def add(self, market: int) -> None:
        """One more market; a known one is left alone."""
        if market not in self._markets:
            self._markets[market] = Recent(self._doubts)

    @property
    def held(self) -> int:
        """Prints that wait."""
        return len(self._timers)

    def offer(self, tick: Tick) -> None:
        """Hand the tick on, unless it is doubtful; what waited goes first."""
        if not isinstance(tick, Trade):
            self._sink.offer(tick)
            return
        recent = self._markets[tick.market]
        if recent.expected(tick):
            self._sink.offer(tick)
            return
        decided = recent.take(tick)
        if recent.held is tick:
            self._cancel(tick.market)
            self._timers[tick.market] = self._later(self._wait, self._silence, tick.market)
        elif recent.held is None:
            self._cancel(tick.market)
        self._hand_on(decided, but=tick)

    def blind(self, market: int) -> None:
        """No connection brings the market's trades; what waits goes on waiting for its time."""
        self._blind.add(market)
        self._sink.blind(market)

    def sighted(self, market: int) -> None:
        """Nothing is missing any more."""
        self._blind.discard(market)
        self._sink.sighted(market)

    def flush(self) -> None:
        """The end: what waits is decided as if its time were up."""
        for market in list(self._timers):
            self._silence(market)

    def status(self) -> dict[str, int]:
        """For `/status`."""
        return {"held": self.held, "confirmed": self.confirmed, "flagged": self.flagged}

    def samples(self) -> Iterable[Sample]:
        """For `/metrics`."""
        yield Sample("suspects_held", self.held, "gauge", help="Doubtful prints waiting for a second one")
        yield Sample("suspects_confirmed", self.confirmed, help="Doubtful prints that were confirmed")
        yield Sample("suspects_flagged", self.flagged, help="Doubtful prints stored as suspect")

    def _silence(self, market: int) -> None:
        self._cancel(market)
        self._hand_on(self._markets[market].silence())
        if market in self._blind:  # an old print is no sign of a connection
            self._sink.blind(market)

    def _hand_on(self, decided: Sequence[Trade], but: Trade | None = None) -> None:
        for trade in decided:
            if trade.flags & _SUSPECT:
                self.flagged += 1
            elif trade is not but:
                self.confirmed += 1
            self._sink.offer(trade)

    def _cancel(self, market: int) -> None:
        timer = self._timers.pop(market, None)
        if timer is not None:
            timer.cancel()
