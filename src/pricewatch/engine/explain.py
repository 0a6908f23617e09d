"""A signal worked out once more from its own evidence: whether it agrees, and what made it.

Everything here reads the signal alone. What else is known of it (the stored row of its band, the highest score of its
minute) comes in as `Witness` and is compared with what the evidence says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.model import ForecastRow
from pricewatch.domain.signal import EVIDENCE, Direction, Signal
from pricewatch.engine.verdicts import VERDICTS, VOTES, Facts, truth

_CLOSE = 1e-6
"""Numbers in evidence are rounded to a billionth of a per cent; anything further apart is another number."""


class Check(msgspec.Struct, frozen=True):
    """One number or verdict, as stored and as worked out again."""

    what: str
    stored: Any
    again: Any
    agrees: bool


class Contribution(msgspec.Struct, frozen=True):
    """What one part adds."""

    name: str
    value: float
    share: float
    """Of the whole, 0 to 1."""
    words: str


class Witness(msgspec.Struct, frozen=True):
    """What is stored beside the signal; None for what is not there any more."""

    row: ForecastRow | None = None
    """Of the version the evidence names, at the time of the evidence's band."""
    minute_score: float | None = None
    """The highest score stored for the signal's minute."""


class Explanation(msgspec.Struct, frozen=True):
    """`agrees` is None where the evidence does not hold enough to tell."""

    agrees: bool | None
    summary: str
    checks: list[Check]
    contributions: list[Contribution]


def explain(signal: Signal, witness: Witness) -> Explanation:
    """Work the number out from what it was made of, the verdict from the number, and compare."""
    facts = signal.evidence
    if signal.direction not in {Direction.FIRED, Direction.CLEARED}:
        is_digest = signal.direction is Direction.DIGEST
        said = "tells what it kept back while paused" if is_digest else f"is {signal.direction.value}"
        return Explanation(None, f"the rule itself {said}: no number of a market made that", [], [])
    if facts.get("v") != EVIDENCE:
        text = f"evidence of version {facts.get('v')!r} cannot be read by this service, which reads version {EVIDENCE}"
        return Explanation(None, text, [], [])
    try:
        made = [] if signal.cause.startswith("timer:") else _number(facts)  # a timer finds price and number as they are
        checks = [*made, *_members(signal, facts), *_verdict(signal, facts), *_witnessed(facts, witness)]
        parts = _contributions(facts)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        text = f"the evidence is damaged ({type(error).__name__}: {error}); nothing can be worked out from it"
        return Explanation(False, text, [], [])
    if not any(check.what == "verdict" for check in checks):
        text = f"a signal of kind {signal.kind!r} does not carry enough to be worked out again"
        return Explanation(None, text, checks, parts)
    wrong = [check.what for check in checks if not check.agrees]
    told = _words(signal, facts)
    if wrong:
        return Explanation(False, f"worked out again it does not agree ({', '.join(wrong)}): {told}", checks, parts)
    return Explanation(True, f"worked out again it agrees: {told}", checks, parts)


# -- the number -------------------------------------------------------------------------------------------------------


def _number(facts: Facts) -> list[Check]:
    """The number the condition read, from what it was made of, where the evidence holds that."""
    work, stored = _NUMBERS.get(re.split("[:/]", facts["feature"], maxsplit=1)[0]), facts.get("value")
    if work is None or stored is None:
        return []
    again = work(facts)
    if again is None:
        return []
    return [Check(str(facts["feature"]), stored, again, _same(float(stored), again))]


def _price(facts: Facts) -> float | None:
    return float(facts["price"])


def _quoted(facts: Facts) -> float | None:
    quote = facts.get("quote")
    if quote is None:
        return None
    bid, ask = float(quote["bid"]), float(quote["ask"])
    found: Mapping[str, float] = {"bid": bid, "ask": ask, "mid": (bid + ask) / 2.0}
    return found[facts["feature"]]


def _change(facts: Facts) -> float | None:
    if "reference" not in facts:
        return None
    return 100.0 * (float(facts["price"]) / float(facts["reference"]["price"]) - 1.0)


def _outside(facts: Facts) -> float | None:
    band = facts.get("band")
    if band is None:
        return None
    price, lower, upper = float(facts["price"]), band["lower"], band["upper"]
    if abs(price - (lower + upper) / 2.0) < (upper - lower) / 4.0:
        return None  # in the middle half it is only told that it is inside
    over, under = (price - upper) / upper, (lower - price) / lower
    found: Mapping[str, float] = {"over": over, "under": under, "outside": max(over, under)}
    return found[facts["feature"]]


def _drawn(facts: Facts) -> float | None:
    """Beyond the edge of a band drawn from closed minutes."""
    band = facts.get("band")
    if band is None:
        return None
    price, lower, upper = float(facts["price"]), float(band["lower"]), float(band["upper"])
    over, under = price / upper - 1.0, lower / price - 1.0
    found: Mapping[str, float] = {"upper": over, "lower": under}
    return found.get(facts["side"], max(over, under))


def _alarm(facts: Facts) -> float | None:
    """Weeks between alarms: clusters that reach the peak are the fewer the further it is above the base."""
    if facts.get("alarms_per_week") is None:
        return 0.0
    return math.exp((facts["peak"] - facts["base"]) / facts["depth"]) / float(facts["clusters_per_week"])


def _spread(facts: Facts) -> float | None:
    bid, ask = float(facts["quote"]["bid"]), float(facts["quote"]["ask"])
    return 100.0 * (ask - bid) / ((bid + ask) / 2.0)


def _way(sign: int, *, percent: bool) -> Callable[[Facts], float | None]:
    """The way from the window's extreme to the price."""

    def work(facts: Facts) -> float | None:
        if "extreme" not in facts:
            return None
        top = float(facts["extreme"]["price"])
        way = sign * (float(facts["price"]) - top)
        return 100.0 * way / top if percent else way

    return work


def _surge(facts: Facts) -> float | None:
    return facts["recent"] / facts["usual"] if facts.get("usual") else None


def _score(facts: Facts) -> float | None:
    """Weighted parts, added up; None where the weights were not written down."""
    parts, weights = facts.get("parts"), facts.get("weights")
    if not parts or not weights:
        return None
    weighed = [weights[name] * part for name, part in parts.items()]
    return max(weighed) if facts.get("combine") == "max" else math.fsum(weighed)


def _apart(facts: Facts) -> float | None:
    """From the lowest to the highest price of the venues that count, in per cent of it."""
    prices = [float(one["price"]) for one in facts["venues"] if one["counts"]]
    return 100.0 * (max(prices) - min(prices)) / min(prices) if prices else None


def _votes(facts: Facts) -> float | None:
    return float(sum(bool(one["counts"] and one["holds"]) for one in facts["venues"]))


_NUMBERS: Mapping[str, Callable[[Facts], float | None]] = {
    "price": _price,
    "bid": _quoted,
    "ask": _quoted,
    "mid": _quoted,
    "change": _change,
    "over": _outside,
    "under": _outside,
    "outside": _outside,
    "spread": _spread,
    "over_high": _way(1, percent=True),
    "under_low": _way(-1, percent=True),
    "drop": _way(-1, percent=True),
    "rise": _way(1, percent=True),
    "drop_by": _way(-1, percent=False),
    "rise_by": _way(1, percent=False),
    "volume": _surge,
    "volatility": _surge,
    "score": _score,
    "alarm": _alarm,
    "band": _drawn,
    "divergence": _apart,
    VOTES: _votes,
}

# -- the verdict ------------------------------------------------------------------------------------------------------


def _verdict(signal: Signal, facts: Facts) -> list[Check]:
    """Whether the rule had to fire, or to clear, at that number."""
    stored = facts.get("value")
    told = signal.direction in {Direction.FIRED, Direction.CLEARED}
    fired = signal.direction is Direction.FIRED
    if "shape" in facts and told:
        holds = truth(facts["shape"], iter(facts["of"]))
        return [] if holds is None else [Check("verdict", fired, holds, holds is fired)]
    judge = VERDICTS.get(VOTES if facts["feature"] == VOTES else signal.kind)
    if judge is None or stored is None or not told:
        return []
    timed = signal.cause.startswith("timer:")
    prior = facts.get("prior")
    again = judge(facts, float(stored), None if prior is None or timed else float(prior), fired)
    if timed and not again:
        # Silence (`nodata`) made it, or a print in doubt began it: the last price in order tells nothing of that.
        return []
    return [Check("verdict", True, again, again)]


def _members(signal: Signal, facts: Facts) -> list[Check]:
    """The numbers that models said of a group's members."""
    if not isinstance(facts.get("of"), list) or signal.cause.startswith("timer:"):
        return []
    checks = []
    for place, one in enumerate(facts["of"]):
        made = _number({**one, "price": facts["price"]}) if "feature" in one else []
        checks += [msgspec.structs.replace(check, what=f"of[{place}]: {check.what}") for check in made]
    return checks


# -- what else is stored ----------------------------------------------------------------------------------------------


def _witnessed(facts: Facts, witness: Witness) -> list[Check]:
    """The evidence beside the stored forecast row and the minute's stored score."""
    checks = []
    band, row = facts.get("band"), witness.row
    if band is not None and row is not None:
        again = {"at": row.at, "lower": row.lower, "centre": row.centre, "upper": row.upper}
        checks.append(Check("stored band", band, again, band == again))
    if facts["feature"] == "score" and witness.minute_score is not None and facts.get("value") is not None:
        value = float(facts["value"])
        agrees = value <= witness.minute_score or _same(value, witness.minute_score)
        checks.append(Check("highest score stored for its minute", value, witness.minute_score, agrees))
    return checks


def _contributions(facts: Facts) -> list[Contribution]:
    """The parts of a score by size, or how far the price stood from the band."""
    parts = facts.get("parts")
    if parts:
        weights = facts.get("weights") or dict.fromkeys(parts, 1.0)
        weighed = {name: weights[name] * part for name, part in parts.items()}
        whole = math.fsum(abs(value) for value in weighed.values()) or 1.0
        return [
            Contribution(
                name, value, abs(value) / whole, f"{name} says {_rarity(parts[name])}, weight {weights[name]:g}"
            )
            for name, value in sorted(weighed.items(), key=lambda item: -abs(item[1]))
        ]
    if isinstance(facts.get("of"), list):  # an extreme has the word `high` or `low` there
        return [_member(one, len(facts["of"])) for one in facts["of"]]
    band = facts.get("band")
    return [] if band is None else [_from_band(float(facts["price"]), band)]


def _member(one: Facts, count: int) -> Contribution:
    """A single condition of a group."""
    holds = {True: "holds", False: "does not hold", None: "is not known"}[one["holds"]]
    number = f" at {_short(one['value'])}" if "value" in one else ""
    return Contribution(one["type"], float(bool(one["holds"])), 1.0 / count, f"{one['type']} {holds}{number}")


def _from_band(price: float, band: Facts) -> Contribution:
    half = (band["upper"] - band["lower"]) / 2.0
    off = (price - band["centre"]) / half if half else 0.0
    side = "above" if off >= 0 else "below"
    words = f"the price stood {abs(off):.2f} half-widths {side} the centre {band['centre']:.10g}"
    return Contribution("distance from the centre", off, 1.0, words)


def _rarity(score: float) -> str:
    """-log10 of a probability in words."""
    return f"one in {10 ** min(score, 15.0):,.0f}" if score > 0 else "nothing unusual"


def _words(signal: Signal, facts: Facts) -> str:
    if facts["feature"] == VOTES:
        return f"{_short(facts['value'])} venues agreed, and {facts['at_least']} must"
    number = f"{facts['feature']} was {_short(facts['value'])}"
    limit = facts.get("threshold") if signal.direction is Direction.FIRED else facts.get("clear")
    beside = (
        "" if limit is None else f", {'threshold' if signal.direction is Direction.FIRED else 'clear level'} {limit}"
    )
    return f"{number}{beside} at a price of {facts['price']}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else decimal_text(float(f"{float(value):.6g}"))


def _same(stored: float, again: float) -> bool:
    return math.isclose(stored, again, rel_tol=_CLOSE, abs_tol=_CLOSE)
