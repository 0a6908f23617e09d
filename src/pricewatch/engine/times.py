"""What time brings about on a market: timers that fire, bars that end, silences that begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pricewatch.domain.market import Flag, Trade
from pricewatch.engine.bars import Bar
from pricewatch.engine.closing import Closing
from pricewatch.engine.evidence import Cause
from pricewatch.engine.judge import Judge
from pricewatch.engine.market import MarketState
from pricewatch.engine.silence import Silence
from pricewatch.engine.span import Span
from pricewatch.engine.timers import Agenda

_LATE = int(Flag.LATE)


class Times:
    """`due` is the agenda by the order; a market has its own by event time. `close` takes bars of models that end."""

    def __init__(self, due: Agenda[Any], judge: Judge, grace: int, close: Callable[[Bar, int], None]) -> None:
        self._due = due
        self._judge = judge
        self._grace = grace
        self._close = close

    def set(self, market: MarketState) -> None:
        """After an in-order trade: what has no time yet gets one."""
        for closing in market.closings.values():
            if not closing.due_at:
                closing.open(market.at, market.seen, self._grace)
                market.set_timer(closing, self._due)
        for silence in market.silences:
            if not silence.due_at:
                silence.put_off(market.at, market.seen, self._grace)
                market.set_timer(silence, self._due)

    def end_bars(
        self,
        market: MarketState,
        closing: Closing,
        place: int,
        *,
        judge: bool,
        late: bool = False,
        replay: bool = False,
    ) -> None:
        """Bars of one span end at a place in the order: their numbers are looked at."""
        end = closing.due_at
        if not judge:
            market.park_closed(closing, place)
        elif touched := market.close(closing, place):
            price = market.price.x
            cause = Cause(f"bar:{end}", end, place, place, price, sample=True, late=late, replay=replay)
            self._judge.whole(market, touched, cause)

    def fall_silent(
        self, market: MarketState, silence: Silence, place: int, *, by_order: bool, judge: bool, late: bool = False
    ) -> None:
        """Unless trades have come meanwhile: then it is put off."""
        due = silence.due_at
        still = market.at + silence.span <= due
        if not still or (by_order and market.seen + silence.span + self._grace > silence.due_seen):
            silence.put_off(market.at, market.seen, self._grace)
            market.set_timer(silence, self._due)
            return
        silence.due_at = silence.due_seen = 0
        touched = market.fall_silent(silence.index)
        if judge and touched:
            cause = Cause(f"timer:{due}", due, place, place, market.price.x, sample=True, late=late)
            self._judge.whole(market, touched, cause)

    def settle(self, market: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool) -> None:
        """Everything due at the trade's event time, before the trade itself."""
        price = trade.price if math.isnan(market.price.x) else market.price.x
        late = late or bool(trade.flags & _LATE)
        while (due := market.timers.pop(trade.at)) is not None:
            if isinstance(due, Silence):
                self.fall_silent(market, due, seen, by_order=False, judge=evaluate, late=late)
            elif isinstance(due, Closing):
                self.end_bars(market, due, seen, judge=evaluate, late=late, replay=replay)
            else:
                self._judge.fire(market, due, price, seen, late=late, replay=replay)
        if market.older is not None and trade.at >= market.older.end + self._grace:
            self._close(market.older, seen)
            market.older = None
        market.note_due(self._grace)
        if market.span is not None:
            self._enter(market.span, trade, seen, evaluate=evaluate, late=late, replay=replay)

    def _enter(self, span: MarketState, trade: Trade, seen: int, *, evaluate: bool, late: bool, replay: bool) -> None:
        """The symbol as a whole takes the trade, once what was due before is settled: its venues' rules come first."""
        if trade.at >= span.due_at:
            self.settle(span, trade, seen, evaluate=evaluate, late=late, replay=replay)
        assert isinstance(span, Span)  # noqa: S101 - whatever stands for a symbol on all its venues is one
        span.enter(trade, seen)
