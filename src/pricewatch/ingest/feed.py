"""One market between the adapter and the sink: gate, sequence, and holding back behind a hole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter

import msgspec

from pricewatch.domain.market import Flag, Market, Quote, Trade
from pricewatch.engine.gate import Limits, check
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.recent import Recent
from pricewatch.ingest.sequence import Hole, Sequence, Verdict
from pricewatch.ingest.shed import Shed
from pricewatch.ports.ticks import TickSink

_HISTORY = int(Flag.HISTORY)
_LATE = int(Flag.LATE)
_DUPLICATE = Verdict.DUPLICATE
"""Looked up once: to ask an enum for a member takes as long as a call."""


class MarketFeed:
    """Lives as long as the process: what has been seen survives reconnects. Synchronous throughout."""

    __slots__ = (
        "_announced", "_capacity", "_counters", "_first_received", "_found", "_held", "_hole_found", "_limits",
        "_order", "_shed", "_sink", "dark_from", "is_blind", "last_at", "last_quote", "last_received", "last_trade",
        "market", "refilled", "sequence", "trades_live",
    )  # fmt: skip

    def __init__(
        self,
        market: Market,
        sequence: Sequence | Recent,
        *,
        sink: TickSink,
        limits: Limits,
        counters: Counters,
        hole_found: Callable[[MarketFeed, Hole, int], bool],
        capacity: int,
    ) -> None:
        self.market = market
        self.sequence = sequence
        self.last_received = 0
        """Arrival of the last frame that concerned this market; 0 for never."""
        self.last_at = 0
        """Venue time of the newest trade accepted; where a refill by time begins."""
        self.last_trade = self.last_quote = 0
        """Arrival of the newest trade that was news, and of the newest quote; 0 for never."""
        self.refilled = 0
        """Trades that came from the venue's history."""
        self.trades_live = 0
        self.dark_from: int | None = None
        """Venue time from which on trades may have been missed, while no connection brings them; None: never heard."""
        self.is_blind = True
        """No connection brings this market's trades."""
        self._shed: Shed | None = None
        self._sink = sink
        self._limits = limits
        self._counters = counters
        self._hole_found = hole_found
        self._capacity = capacity
        self._held: list[Trade] | None = None
        self._found: list[Trade] = []
        self._announced = 0
        self._first_received = 0
        self._order = attrgetter("key" if isinstance(sequence, Sequence) else "at")

    @property
    def held(self) -> int:
        """Trades received but waiting behind a hole."""
        return len(self._found) + (len(self._held) if self._held is not None else 0)

    @property
    def holding(self) -> bool:
        """Whether live trades wait."""
        return self._held is not None

    def trade(self, trade: Trade) -> None:
        """One live trade, now."""
        counters, sequence, received = self._counters, self.sequence, trade.received
        self.last_received = received
        self.trades_live += 1
        reason = check(trade, received, self._limits)
        if self._shed is not None and reason is None:
            counters.shed += 1
            self.last_trade = received
            self._shed.note(trade)
            return
        counters.received += 1
        if reason is not None:
            counters.reject(reason, trade, received)
            return
        if sequence.high is None:
            self._first_received = received
        verdict = sequence.admit(trade.key)
        if verdict is _DUPLICATE:
            counters.duplicates += 1
            return
        self.last_trade = received
        if trade.flags and trade.flags & _HISTORY and received != self._first_received:
            # A venue's snapshot is history only in the very first frame; later it is news like any other.
            trade = msgspec.structs.replace(trade, flags=trade.flags & ~_HISTORY)
        before, self.last_at = self.last_at, max(self.last_at, trade.at)
        if isinstance(verdict, Hole):
            self._open(verdict, before)
        if self._held is None:
            counters.offered += 1
            self._sink.offer(trade)
            return
        self._wait(trade, self._held)

    def _wait(self, trade: Trade, held: list[Trade]) -> None:
        held.append(trade)
        if len(held) > self._capacity:
            self.release()

    def quote(self, quote: Quote) -> None:
        """One quote, now; quotes never wait."""
        self.last_received = self.last_quote = quote.received
        if self._shed is not None:
            self._counters.quotes_shed += 1
            return
        reason = check(quote, quote.received, self._limits)
        if reason is not None:
            self._counters.reject(reason, quote, quote.received)
            return
        self._counters.quotes += 1
        self._sink.offer(quote)

    def blind(self, since: int | None = None) -> None:
        """The connection is gone; `since`: the venue's time up to which it had brought everything, where it stood."""
        self.is_blind = True
        if since is not None and self.dark_from is None:
            self.dark_from = since
        self._sink.blind(self.market.id)

    def heard(self) -> int | None:
        """Connected again: since when trades may have been missed, to be looked for; None where nothing can be."""
        self.is_blind = False
        since, self.dark_from = self.dark_from, None
        return since

    def sighted(self) -> None:
        """Connected, and compared with the venue's history."""
        self._sink.sighted(self.market.id)

    def hold(self) -> None:
        """Let live trades wait from now on, until `release`."""
        if self._held is None:
            self._held = []

    def shed(self) -> None:
        """Too much waits behind us: from now on keep the extremes only."""
        if self._shed is None:
            self._shed = Shed()

    def unshed(self) -> tuple[int, int] | None:
        """There is room again: the extremes go their way. What was left out shows as a hole between them.

        Returns the venue times of the first and last trade shed, None where there was none.
        """
        shed, self._shed = self._shed, None
        if shed is None or shed.span is None:
            return None
        for trade in shed.kept():
            self._counters.shed -= 1
            self.trade(trade)
        return shed.span

    def announced(self, key: int) -> None:
        """The venue says its newest trade is `key`; still unseen at the next such word, it is a hole."""
        behind, self._announced = self._announced, key
        high = self.sequence.high
        if high is not None and high < behind <= key and (hole := self.sequence.extend(behind)) is not None:
            self._open(hole, self.last_at)

    def late(self, trades: Iterable[Trade], *, now: int) -> int:
        """Trades from the venue's history, oldest first; returns how many were news.

        While live trades wait, these wait in front of them.
        """
        news = 0
        for trade in trades:
            self._counters.received += 1
            reason = check(trade, now, self._limits)
            if reason is not None:
                self._counters.reject(reason, trade, now)
                self.sequence.settle(trade.key)
                continue
            before = self.last_at
            verdict = self.sequence.admit(trade.key)
            if verdict is Verdict.DUPLICATE:
                self._counters.duplicates += 1
                continue
            if isinstance(verdict, Hole):
                self._open(verdict, before)
            self.last_at = max(before, trade.at)
            news += 1
            self._counters.refilled += 1
            self.refilled += 1
            self._pass_late(msgspec.structs.replace(trade, flags=trade.flags | _LATE))
        return news

    def release(self) -> None:
        """Hand over what was found and what waited, oldest first, and wait no more."""
        waiting = [*self._found, *(self._held or ())]
        self._found, self._held = [], None
        waiting.sort(key=self._order)
        for trade in waiting:
            self._counters.offered += 1
            self._sink.offer(trade)

    def _pass_late(self, trade: Trade) -> None:
        if self._held is not None:
            self._found.append(trade)
            return
        self._counters.offered += 1
        self._sink.offer(trade)

    def _open(self, hole: Hole, since: int) -> None:
        self._counters.gaps_opened += 1
        if self._hole_found(self, hole, since) and self._held is None:
            self._held = []
