"""What indicators are begun with: closes of stored bars, so that nobody waits for bars that have been."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, HOUR, MINUTE
from pricewatch.engine.gauges.indicator import STUDIES, Indicator
from pricewatch.engine.market import MarketState
from pricewatch.rules.base import Condition, Feature
from pricewatch.rules.composite import Composite
from pricewatch.rules.document import Rule
from pricewatch.rules.quorum import Quorum

_REACH = {"bollinger": 2, "ema_cross": 12, "macd": 12, "rsi": 20, "sma_cross": 2}
"""So many times its periods an indicator looks back: what came before weighs less than a millionth of a hundredth."""
_MINUTES = 31 * DAY
"""How far back minutes are read, at most; bars of an hour and more are read from hours."""
_HOURS = 800 * DAY

Closes = list[tuple[int, float]]
"""Bars in order: a time within each, and its last price."""


class Want(NamedTuple):
    """An indicator of one market that has no past yet."""

    market: int
    feature: Feature

    def bar(self, at: int) -> int:
        """When the bar around an instant begins."""
        return at - at % self.feature.spec[0]


class Stretch(NamedTuple):
    """Candles of `span` with `start <= at < end`."""

    span: int
    start: int
    end: int


def stretches(want: Want, at: int) -> list[Stretch]:
    """Candles an indicator begins with that is first read at event time `at`, oldest first, up to its minute.

    They begin at a multiple of the indicator's reach, one to two reaches back: whoever begins within the same reach
    begins with the same bar, so that live runs, previews and restarts have the same number to the last bit.
    """
    width, *periods = want.feature.spec
    reach = _REACH[want.feature.name.partition("/")[0]] * sum(periods) * width
    is_coarse = width % HOUR == 0
    begin = max((at // reach - 1) * reach, want.bar(at - (_HOURS if is_coarse else _MINUTES)), 0)
    minute = at - at % MINUTE
    if not is_coarse:
        return [Stretch(MINUTE, begin, minute)]
    hour = at - at % HOUR
    return [Stretch(HOUR, begin, hour), Stretch(MINUTE, hour, minute)]


def add(want: Want, closes: Closes, candles: Iterable[Candle]) -> None:
    """The next candles: of each bar the last one stays."""
    for one in candles:
        if closes and want.bar(closes[-1][0]) == want.bar(one.at):
            closes[-1] = (one.at, one.close)
        else:
            closes.append((one.at, one.close))


def indicators(rule: Rule) -> Iterator[Feature]:
    """Those it reads, at every trade or where bars end."""
    for one in _singles(rule.when):
        feature = one.needs()
        if feature.name.partition("/")[0] in STUDIES:
            yield feature


def _singles(when: Condition) -> Iterator[Condition]:
    if isinstance(when, Quorum):
        when = when.each
    if isinstance(when, Composite):
        yield from when.leaves()
    else:
        yield when


class Seeding:
    """Who has no past yet among an engine's indicators, and the way to give it one."""

    def __init__(self, markets: Mapping[int, MarketState]) -> None:
        self._markets = markets

    def wants(self, rule: Rule) -> list[Want]:
        """Indicators that nobody follows until this rule is taken up, of markets that have traded."""
        features = dict.fromkeys(indicators(rule))
        return [
            Want(number, feature)
            for number, state in (self._markets.items() if features else ())
            if state.at and rule.matches(state.market)
            for feature in features
            if feature not in state.indexes
        ]

    def missing(self) -> list[Want]:
        """Indicators that rules follow already and that know no trade yet."""
        return [
            Want(number, followed.index.feature)
            for number, state in self._markets.items()
            for followed in state.gauges
            if isinstance(followed.gauge, Indicator) and not followed.gauge.has_begun
        ]

    def at(self, market: int) -> int:
        """Event time of a market's last trade in order, 0 before the first."""
        return self._markets[market].at

    def give(self, want: Want, closes: Closes) -> None:
        """Begin with these; what is followed by nobody, or has begun, is left alone.

        The market's last trade, where it has one, is in the open bar. Trades that are read again count from the oldest
        on, whenever the rule was taken up.
        """
        state = self._markets[want.market]
        index = state.indexes.get(want.feature)
        followed = None if index is None else state.gauge(index)
        if followed is None or not isinstance(followed.gauge, Indicator) or followed.gauge.has_begun:
            return
        followed.gauge.begin(closes)
        if state.at:
            followed.gauge.begin([(state.at, state.price.x)])
        if followed.gauge.has_begun:
            followed.after = 0
