"""Numbers that are looked at only where bars end."""

from __future__ import annotations

from pricewatch.engine.index import LevelIndex, Sleeper


class Closing:
    """The ends of one market's bars of one span, and the numbers some rule reads there."""

    __slots__ = ("due_at", "due_seen", "known", "market", "span", "views")

    key = b"\x00"
    """Before silences and rules that are due together with it."""

    def __init__(self, span: int, market: int) -> None:
        self.span = span
        self.market = market
        self.views: dict[LevelIndex, LevelIndex] = {}
        """What rules read, and the number at every trade that stands behind it."""
        self.known: dict[LevelIndex, int] = {}
        """Up to which place in the order a view is known from what was saved."""
        self.due_at = 0
        """Event time at which the open bar ends; 0 while there is none."""
        self.due_seen = 0

    def open(self, at: int, seen: int, grace: int) -> None:
        """A bar's first trade."""
        self.due_at = at - at % self.span + self.span
        self.due_seen = seen + (self.due_at - at) + grace

    def close(self, touched: list[Sleeper], place: int) -> None:
        """The bar has ended, at a place in the order: every number is what it was at the last trade."""
        self.due_at = self.due_seen = 0
        for view, number in self.views.items():
            if place > self.known.get(view, 0):
                view.sample(number.x, touched)

    def __lt__(self, other: object) -> bool:
        """Bars that end together go by their span."""
        return isinstance(other, Closing) and self.span < other.span
