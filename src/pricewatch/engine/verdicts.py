"""Whether a rule had to fire, or to clear, at the number in a signal's evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Facts = Mapping[str, Any]
VOTES = "votes"
"""The number of venues that agree, whatever they are asked."""


def truth(shape: Facts, leaves: Iterator[Facts]) -> bool | None:
    """What follows for a group from its members' truths; None where they do not tell, as of sequences."""
    parts = [next(leaves, {})["holds"] if one is None else truth(one, leaves) for one in shape["of"]]
    match shape["kind"]:
        case "and":
            return False if False in parts else (None if None in parts else True)
        case "or":
            return True if True in parts else (None if None in parts else False)
        case "not":
            return None if parts[0] is None else not parts[0]
        case _:
            return None


Judge = Callable[[Facts, float, float | None, bool], bool]


def _above(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - a Judge
    return x > float(facts["threshold"]) if fired else x <= float(facts["clear"])


def _below(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    return x < float(facts["threshold"]) if fired else x >= float(facts["clear"])


def _crosses(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    level = float(facts["threshold"])
    sign = 1 if facts["direction"] == "up" else -1
    came = prior is None or sign * (level - prior) >= 0
    return came and sign * (x - level) > 0


def _moved(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    size = {"up": x, "down": -x, "either": abs(x)}[facts["direction"]]
    return bool(size > facts["threshold"] if fired else size <= facts["clear"])


def _channel(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    lower, upper = float(facts["lower"]), float(facts["upper"])
    least, most = float(facts["clear_lower"]), float(facts["clear_upper"])
    if facts["direction"] == "enter":
        return lower < x < upper if fired else x <= least or x >= most
    return x < lower or x > upper if fired else least <= x <= most


def _off(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    return bool(x > 0.0 if fired else x <= facts["clear"])


def _rose(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    return x > 0.5


def _truth(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    return (x > 0.5) is fired


def _beyond(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: FBT001 - as above
    return (_above if facts["direction"] == "above" else _below)(facts, x, prior, fired)


def _crossed(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    sign = 1 if facts["direction"] == "up" else -1
    return sign * x > 0


def _agreed(facts: Facts, x: float, prior: float | None, fired: bool) -> bool:  # noqa: ARG001, FBT001 - as above
    return (x >= facts["at_least"]) is fired


VERDICTS: Mapping[str, Judge] = {
    "above": _above,
    "below": _below,
    "crosses": _crosses,
    "change": _moved,
    "channel": _channel,
    "extreme": _off,
    "outside_band": _off,
    "trailing": _above,
    "volume": _above,
    "volatility": _above,
    "spread": _above,
    "anomaly": _above,
    "band": _off,
    "drift": _rose,
    "stale": _truth,
    "rsi": _beyond,
    "bollinger": _above,
    "divergence": _above,
    "moving_average": _crossed,
    "macd": _crossed,
    VOTES: _agreed,
}
