"""Every gauge there is, by the name of the feature it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pricewatch.engine.gauges.base import Gauge
from pricewatch.engine.gauges.beyond import Beyond
from pricewatch.engine.gauges.indicator import Indicator
from pricewatch.engine.gauges.retreat import Retreat
from pricewatch.engine.gauges.surge import Volatility, Volume
from pricewatch.rules.base import Feature

GAUGES: Mapping[str, Callable[[Feature], Gauge]] = {
    "drop": Retreat,
    "drop_by": Retreat,
    "over_high": Beyond,
    "rise": Retreat,
    "rise_by": Retreat,
    "under_low": Beyond,
    "volatility": Volatility,
    "volume": Volume,
    **{f"bollinger/{side}": Indicator for side in ("upper", "lower", "either")},
    **dict.fromkeys(("ema_cross", "macd", "rsi", "sma_cross"), Indicator),
}
