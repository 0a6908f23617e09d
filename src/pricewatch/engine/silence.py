"""How long nothing has been traded on a market: a number that time moves, and every trade ends."""

from __future__ import annotations

from pricewatch.engine.index import NEVER, Instance, LevelIndex, Sleeper
from pricewatch.engine.state import Standing
from pricewatch.rules.base import INF, Triggers, beyond

SILENCE = "silence"
"""The name of the feature: 0 while trades come, the silence in seconds once it is as long as the window."""


class Silence:
    """The timer of one such number: put off when it comes due and trades have come meanwhile, never by a trade."""

    __slots__ = ("due_at", "due_seen", "index", "market", "span")

    key = b"\x00\x00"
    """Before rules that are due together with it."""

    def __init__(self, index: LevelIndex, market: int) -> None:
        self.index = index
        self.market = market
        self.span = index.feature.window
        self.due_at = 0
        """Event time at which the silence would be long enough; 0 before the first trade and once it is."""
        self.due_seen = 0

    def end(self, touched: list[Sleeper]) -> None:
        """A trade: append the rules that concerns."""
        if self.index.x != 0.0:
            self.index.sample(0.0, touched)

    def put_off(self, at: int, seen: int, grace: int) -> None:
        """The market's last trade was at `at` and `seen`."""
        self.due_at, self.due_seen = at + self.span, seen + self.span + grace

    def __lt__(self, other: object) -> bool:
        """Silences due together go by their length."""
        return isinstance(other, Silence) and self.span < other.span


class Absence(Sleeper):
    """A rule to which silence means something by its policy."""

    __slots__ = ("rule",)

    def __init__(self, rule: Instance, index: LevelIndex) -> None:
        super().__init__(rule.key, rule.market, index)
        self.rule = rule

    @property
    def standing(self) -> Standing:
        """The rule as a whole."""
        return self.rule.standing

    @property
    def is_armed(self) -> bool:
        """As its rule."""
        return self.rule.is_armed

    @property
    def every(self) -> int:
        """It heeds every trade."""
        return 0

    @property
    def is_quiet(self) -> bool:
        """Whether the silence is on."""
        return self.index.now > 0.0

    def triggers(self, x: float) -> Triggers:
        """Its beginning, then its end."""
        if self.rule.is_silenced:
            return NEVER
        return (INF, 0.0) if x > 0.0 else (beyond(0.0), -INF)
