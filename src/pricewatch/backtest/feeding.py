"""Stored inputs into an engine, as the live service gave them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pricewatch.domain.market import Flag, Market
from pricewatch.domain.model import Activation, Forecast
from pricewatch.domain.signal import Signal
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.ports.preview import PlacedQuote
from pricewatch.ports.ticks import Sequenced

_LATE = int(Flag.LATE)
_NEVER = (0, 0)


class PlacedForecast(msgspec.Struct, frozen=True):
    """A forecast that was put into force."""

    activation: Activation
    forecast: Forecast

    @property
    def seen(self) -> int:
        """Its place in the order."""
        return self.activation.from_seen


Input = Sequenced | PlacedQuote | PlacedForecast


class Feeder:
    """One rule in an engine of its own, and the signals it makes.

    While refilled trades move a market's time, its timers wait, as they do live: what was missed may break what they
    wait for.
    """

    def __init__(self, settings: EngineSettings, markets: Iterable[Market], rule: ActiveRule) -> None:
        # Models are never run again: what they said is stored, and read from there.
        self.engine = Engine(settings.model_copy(update={"models": False}))
        for market in markets:
            self.engine.add_market(market)
        self.engine.arm(rule)
        self.signals: list[Signal] = []
        self.fed = 0
        """Trades, quotes, bars or candles given to the engine so far."""
        self.grace = round(settings.grace * 1_000_000)
        self._held: set[int] = set()
        self._newest: dict[int, tuple[int, int]] = {}

    def trades(self, batch: Iterable[Sequenced]) -> None:
        """The next trades in the order."""
        feed, held, newest, count = self.engine.trade, self._held, self._newest, 0
        for seen, trade in batch:
            market, at = trade.market, trade.at
            last = newest.get(market, _NEVER)
            is_newest = at > last[0] or (at == last[0] and seen > last[1])
            if trade.flags:
                if trade.flags & _LATE and is_newest:
                    self._hold(market)
            elif held and market in held:
                held.discard(market)
                self.engine.release(market)
            feed(trade, seen)
            count += 1
            if is_newest:
                newest[market] = at, seen
        self.fed += count
        if self.engine.transitions:
            self.take()

    def inputs(self, batch: Iterable[Input]) -> None:
        """The next inputs of any kind in the order."""
        for one in batch:
            match one:
                case Sequenced():
                    self.trades((one,))
                case PlacedQuote():
                    self.engine.quote(one.quote, one.seen)
                    self.fed += 1
                case PlacedForecast():
                    self.engine.activate(one.forecast, one.seen)
        self.take()

    def finish(self, end: int) -> list[Signal]:
        """Timers due before `end` (event time) fire; every signal in the order."""
        for market, (at, seen) in self._newest.items():
            if market not in self._held and end > at:
                self.engine.advance(seen + (end - at))
        self.take()
        return self.signals

    def take(self) -> None:
        """Collect what the engine said."""
        self.signals += [one.signal for one in self.engine.transitions if one.signal is not None]
        self.engine.transitions = []
        self.engine.bar_scores = []

    def _hold(self, market: int) -> None:
        if market not in self._held:
            self._held.add(market)
            self.engine.hold(market)
