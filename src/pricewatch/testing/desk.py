"""An engine with short ways to feed it and to read what it said, for tests."""

from __future__ import annotations

import json
import uuid
from typing import Any

from pricewatch.domain.market import Flag, Market, Quote, Trade
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.rule import RuleState
from pricewatch.domain.signal import Signal
from pricewatch.engine.evaluate import Engine
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.rules.document import parse

S = 1_000_000
MINUTE = 60 * S
T0 = 1_700_000_040 * S
"""The start of a minute, years ago."""
OFFSET = 80_000_000 * S
"""Our order is that much ahead of the venue's time, as when an old recording is replayed."""
OWNER = uuid.UUID(int=77)
BTC = Market(1, "coinbase", "BTC-USD", "BTC-USD")
BTC2 = Market(2, "kraken", "BTC-USD", "XBT/USD")
ETH = Market(3, "kraken", "ETH-USD", "ETH/USD")


def active(
    number: int,
    when: dict[str, Any],
    *,
    effective: int = 0,
    version: int = 1,
    symbols: list[str] | str = "*",
    hold: str = "0s",
    **policy: Any,
) -> ActiveRule:
    """A rule on `when`; keyword arguments that are not its own are the policy's (`hold` is its `for`)."""
    document = {"title": f"rule {number}", "symbols": symbols, "when": when, "policy": {"for": hold, **policy}}
    return ActiveRule(uuid.UUID(int=number), OWNER, version, parse(json.dumps(document).encode()), effective)


def above(number: int, level: float | str = "100", **options: Any) -> ActiveRule:
    """`above` at a level, 100 unless told."""
    return active(number, {"type": "above", "level": str(level)}, **options)


def forecast(lower: float, upper: float, *, expires: float = 3_600, market: int = 1) -> Forecast:
    """An hour's flat band from T0 on, expiring `expires` seconds after it."""
    rows = [ForecastRow(T0 + n * MINUTE, (lower + upper) / 2, lower, upper) for n in range(60)]
    return Forecast(uuid.UUID(int=9), market, "prophet", 0, 0, 10, 0.95, MINUTE, T0 + round(expires * S), rows)


class Desk:
    """One engine; seconds since `T0` in, signals out."""

    def __init__(self, *markets: Market, models: bool = False, **settings: Any) -> None:
        self.engine = Engine(EngineSettings(models=models, **settings))
        self.key = 0
        for market in markets or (BTC,):
            self.engine.add_market(market)

    def trade(self, at: float, price: float, *, seen: float | None = None, market: int = 1, **how: Any) -> None:
        """A trade `at` seconds after T0, seen in step with it unless `seen` says otherwise."""
        self.key += 1
        flags = how.pop("flags", Flag.NONE)
        instant = T0 + round(at * S)
        place = OFFSET + T0 + round((at if seen is None else seen) * S)
        trade = Trade(market, instant, price, 1.0, 0, self.key, place - 100, int(flags))
        self.engine.trade(trade, place, **how)

    def quote(self, at: float, bid: float, ask: float, *, market: int = 1) -> None:
        """A best bid and ask `at` seconds after T0, seen in step with it."""
        instant, place = T0 + round(at * S), OFFSET + T0 + round(at * S)
        self.engine.quote(Quote(market, instant, bid, 1.0, ask, 1.0, place - 100), place)

    def advance(self, seen: float) -> None:
        """Nothing else happened up to `seen` seconds."""
        self.engine.advance(OFFSET + T0 + round(seen * S))

    def activate(self, band: Forecast, seen: float) -> None:
        """Use a forecast from `seen` seconds on."""
        self.engine.activate(band, OFFSET + T0 + round(seen * S))

    def signals(self) -> list[Signal]:
        """What was said since the last time."""
        taken, self.engine.transitions = self.engine.transitions, []
        return [transition.signal for transition in taken if transition.signal is not None]

    def said(self) -> list[tuple[int, str, float]]:
        """`(rule, direction, seconds)` of the signals since the last time."""
        return [(s.rule_id.int, s.direction.value, (s.at - T0) / S) for s in self.signals()]

    def states(self) -> dict[tuple[int, int], RuleState]:
        """The newest state of every rule and market that has had a transition since the last time."""
        return {(t.row.rule_id.int, t.row.market): t.row.state for t in self.engine.transitions}
