"""Which markets nobody hears: their timers wait for what may have been missed."""

from __future__ import annotations

from collections.abc import Iterable

from pricewatch.domain.market import Flag, Trade
from pricewatch.engine.evaluate import Engine

_LATE = int(Flag.LATE)


class Sight:
    """Holds a market's timers in the engine from the loss of its connection to its first live trade."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.held: set[int] = set()
        """The markets whose timers wait."""
        self._blind: set[int] = set()

    def begin(self, markets: Iterable[int]) -> None:
        """After a start nobody has heard anything yet."""
        for market in markets:
            self._engine.hold(market)
            self.held.add(market)

    def blind(self, market: int) -> None:
        """Ingest says that no connection brings its trades."""
        self._engine.hold(market)
        self.held.add(market)
        self._blind.add(market)

    def is_blind(self, market: int) -> bool:
        """Whether ingest said so."""
        return market in self._blind

    def sighted(self, market: int) -> None:
        """Nothing is missing any more: timers that came due meanwhile fire now."""
        self._blind.discard(market)
        if market in self.held:
            self.held.discard(market)
            self._engine.release(market)

    def trade(self, trade: Trade) -> None:
        """A trade that is no refill shows that the market is heard."""
        if not trade.flags & _LATE:
            self.sighted(trade.market)

    def release_unreported(self) -> None:
        """Markets held since the start of which ingest never spoke (fed over the bus) wait no longer."""
        for market in self.held - self._blind:
            self.sighted(market)
