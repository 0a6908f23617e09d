"""What each condition on windows, channels and quotes says when it begins, worked out from its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pricewatch.delivery.figures import is_number, number, rough, span_text

Evidence = Mapping[str, Any]


def _trailing(evidence: Evidence) -> str:
    """`5.21% below the high of 24 h`."""
    value, low = evidence.get("value"), evidence.get("from") == "low"
    way = "above the low" if low else "below the high"
    if evidence.get("unit") == "percent":
        far = f"{value:.2f}% " if is_number(value) else ""
    else:
        far = f"{number(value)} " if is_number(value) else ""
    return f"{far}{way}{_of_window(evidence)}"


def _channel(evidence: Evidence) -> str:
    """`outside 60,000 to 70,000`."""
    word = "inside" if evidence.get("direction") == "enter" else "outside"
    lower, upper = number(evidence.get("lower")), number(evidence.get("upper"))
    return f"{word} {lower} to {upper}" if lower and upper else f"{word} its channel"


def _extreme(evidence: Evidence) -> str:
    """`new high of 24 h`."""
    return f"new {'low' if evidence.get('of') == 'low' else 'high'}{_of_window(evidence)}"


def _spike(word: str) -> Callable[[Evidence], str]:
    """`6.2 times the usual volume in 1 min`."""

    def say(evidence: Evidence) -> str:
        times, window = rough(evidence.get("value"), digits=3), evidence.get("window")
        span = f" in {span_text(window)}" if is_number(window) else ""
        return f"{times} times the usual {word}{span}" if times else f"unusual {word}{span}"

    return say


def _spread(evidence: Evidence) -> str:
    """`spread 0.62%`."""
    value = rough(evidence.get("value"), digits=3)
    return f"spread {value}%" if value else "wide spread"


def _divergence(evidence: Evidence) -> str:
    """`venues 0.62% apart`."""
    value = rough(evidence.get("value"), digits=3)
    return f"venues {value}% apart" if value else "venues far apart"


def _stale(evidence: Evidence) -> str:
    """`no trade for 5 min`."""
    after = evidence.get("after")
    return f"no trade for {span_text(after)}" if is_number(after) else "no trades"


def _rsi(evidence: Evidence) -> str:
    """`RSI above 70`."""
    return f"RSI {evidence.get('direction', 'at')} {rough(evidence.get('threshold'), digits=3) or 'its level'}"


def _bollinger(evidence: Evidence) -> str:
    """`outside its Bollinger band`."""
    side = {"upper": "above", "lower": "below"}.get(str(evidence.get("side")), "outside")
    return f"{side} its Bollinger band"


def _turned(name: str) -> Callable[[Evidence], str]:
    """`moving averages crossed up`."""
    return lambda evidence: f"{name} crossed {evidence.get('direction', '')}".strip()


def _members(evidence: Evidence) -> str:
    """`conditions met (above, spread)`."""
    members = evidence.get("of")
    names = [str(one.get("type")) for one in members if isinstance(one, Mapping)] if isinstance(members, list) else []
    return f"conditions met ({', '.join(names)})" if names else "conditions met"


def _of_window(evidence: Evidence) -> str:
    window = evidence.get("window")
    return f" of {span_text(window)}" if is_number(window) else ""


def unusual(evidence: Evidence) -> str:
    """`unusual (about 1.4 times a week)`."""
    often = rough(evidence.get("alarms_per_week"), digits=2)
    return f"unusual (about {often} times a week)" if often else "unusual"


def _band(evidence: Evidence) -> str:
    """`outside its 95% band of 1 h, 69,000 to 70,500`."""
    level, horizon, band = evidence.get("level"), evidence.get("horizon"), evidence.get("band")
    share = f"{level:.0%} " if is_number(level) else ""
    span = f" of {span_text(horizon)}" if is_number(horizon) else ""
    edges = [rough(band.get(name), digits=6) for name in ("lower", "upper")] if isinstance(band, Mapping) else []
    where = f", {edges[0]} to {edges[1]}" if all(edges) and edges else ""
    return f"outside its {share}band{span}{where}"


def _drift(evidence: Evidence) -> str:
    """`has drifted: it ranges unlike before`."""
    words = {"ranges": "it ranges unlike before", "coverage": "its bands miss more than they should"}
    why = words.get(str(evidence.get("drift")))
    return f"has drifted: {why}" if why else "has drifted"


PHRASES: Mapping[str, Callable[[Evidence], str]] = {
    "and": _members,
    "band": _band,
    "bollinger": _bollinger,
    "channel": _channel,
    "divergence": _divergence,
    "drift": _drift,
    "extreme": _extreme,
    "macd": _turned("MACD lines"),
    "moving_average": _turned("moving averages"),
    "not": _members,
    "or": _members,
    "rsi": _rsi,
    "spread": _spread,
    "stale": _stale,
    "then": _members,
    "trailing": _trailing,
    "volatility": _spike("volatility"),
    "volume": _spike("volume"),
}
