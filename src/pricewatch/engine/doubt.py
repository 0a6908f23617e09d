"""Prints far off a market's recent prices: held until the next one, or silence, says whether they count."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from pricewatch.domain.market import Flag, Trade
from pricewatch.domain.time import SECOND

_SUSPECT = int(Flag.SUSPECT)
_HISTORY = int(Flag.HISTORY)
_SIGMA = 1.4826
"""A normal distribution's standard deviation in median absolute deviations."""


class Doubts(msgspec.Struct, frozen=True):
    """What makes a print doubtful; spans in microseconds."""

    change: float = 0.03
    """Nearer than this fraction to the last price, nothing is doubtful."""
    deviations: float = 10.0
    """Robust standard deviations from the median of the recent prices beyond which a print is doubtful."""
    absurd: float = 3.0
    """Silence confirms a print only within this factor of the last price."""
    hold: int = 2 * SECOND
    """Event time after which silence decides."""
    window: int = 64
    """How many believed prices are the recent ones."""
    grace: int = SECOND
    """Prints older than the market's newest by more than this are no prices of now: they are not judged."""


class Recent:
    """One market's recent prices and the print that waits, if any: at most one at a time.

    What is decided depends on nothing but the trades in their order, so that it can be rebuilt from the stored ones
    (`remember`). A held print counts when the next one is near it or beyond it, and is a suspect when the next one is
    not. Without a next one within `hold`, it counts unless it is absurd. A doubtful print near the suspect just
    before it (or, unless it is absurd, near one within `hold`) is its second witness and counts at once.
    """

    __slots__ = ("_at", "_doubted", "_doubted_at", "_doubts", "_last", "_next_to", "_prices", "held")

    def __init__(self, doubts: Doubts) -> None:
        self.held: Trade | None = None
        self._doubts = doubts
        self._prices: deque[float] = deque(maxlen=doubts.window)
        self._last = math.nan
        self._at = 0
        self._doubted = math.nan
        self._doubted_at = 0
        self._next_to = False
        """Whether the suspect was the print just before."""

    def remember(self, trades: Iterable[Trade]) -> None:
        """Stored trades in their order: what they were then, they are now."""
        for trade in trades:
            if self._is_no_price(trade):
                continue
            if trade.flags & _SUSPECT:
                self._reject(trade)
            else:
                self._believe(trade)

    def take(self, trade: Trade) -> list[Trade]:
        """The next print: what is decided now, in order, with its flag."""
        if self._is_no_price(trade):
            return [trade]
        decided = [] if self.held is None else [self._decide(self.held, trade)]
        if self._is_doubtful(trade):
            self.held = trade
        else:
            self._believe(trade)
            decided.append(trade)
        return decided

    def expected(self, trade: Trade) -> bool:
        """The short way for nearly every print: it is near the last one and nothing waits; it counts."""
        last = self._last
        if self.held is not None or trade.flags or trade.at < self._at:
            return False
        price = trade.price
        if abs(price - last) <= self._doubts.change * last:  # NaN before the first
            self._prices.append(price)
            self._last = price
            self._at = trade.at
            self._next_to = False
            return True
        return False

    def silence(self) -> list[Trade]:
        """Nothing came in time: the decision on what is held."""
        if self.held is None:
            return []
        return [self._settle(self.held, counts=not self._is_absurd(self.held.price))]

    def _decide(self, held: Trade, following: Trade) -> Trade:
        if following.at - held.at >= self._doubts.hold:
            return self._settle(held, counts=not self._is_absurd(held.price))
        price, last = held.price, self._last
        beyond = last < price <= following.price or last > price >= following.price
        return self._settle(held, counts=beyond or self._is_near(following.price, price))

    def _settle(self, held: Trade, *, counts: bool) -> Trade:
        self.held = None
        if counts:
            self._believe(held)
            return held
        self._reject(held)
        return msgspec.structs.replace(held, flags=held.flags | _SUSPECT)

    def _is_no_price(self, trade: Trade) -> bool:
        return bool(trade.flags & _HISTORY) or trade.at < self._at - self._doubts.grace

    def _is_doubtful(self, trade: Trade) -> bool:
        price, last = trade.price, self._last
        if not abs(price - last) > self._doubts.change * last:
            return False
        if self._is_near(price, self._doubted) and (
            self._next_to or (trade.at - self._doubted_at <= self._doubts.hold and not self._is_absurd(price))
        ):
            return False
        centre = _median(self._prices)
        spread = _median(abs(one - centre) for one in self._prices)
        return abs(price - centre) > max(self._doubts.deviations * _SIGMA * spread, self._doubts.change * centre)

    def _is_near(self, price: float, other: float) -> bool:
        """Nearer to `other` than to the last price, and within the fraction that is never doubtful."""
        distance = abs(price - other)
        return distance <= self._doubts.change * other and distance < abs(price - self._last)

    def _is_absurd(self, price: float) -> bool:
        return not self._last / self._doubts.absurd <= price <= self._last * self._doubts.absurd

    def _believe(self, trade: Trade) -> None:
        self._prices.append(trade.price)
        self._last = trade.price
        self._at = max(self._at, trade.at)
        self._next_to = False

    def _reject(self, trade: Trade) -> None:
        self._doubted = trade.price
        self._doubted_at = trade.at
        self._next_to = True


def _median(numbers: Iterable[float]) -> float:
    """The lower of the two in the middle of an even number of them."""
    ordered = sorted(numbers)
    return ordered[(len(ordered) - 1) // 2]
