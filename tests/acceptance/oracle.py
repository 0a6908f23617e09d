"""What the signals ought to be: plain, slow, written from the definitions, sharing no code with the product.

It reads the trades as stored, in the order of `seen`, and looks at every rule on every trade.
"""

from __future__ import annotations

import dataclasses
import uuid
from decimal import Decimal
from typing import Any

NAMESPACE = uuid.UUID("6f3ed1c4-9a3b-5a51-8d3f-0d5a3f6f0c11")
GRACE = 1_000_000
SUSPECT, LATE, HISTORY = 1, 2, 4
UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}


@dataclasses.dataclass(frozen=True)
class Print:
    seen: int
    market: str
    at: int
    price: float
    key: int
    flags: int = 0


@dataclasses.dataclass(frozen=True)
class OracleRule:
    id: uuid.UUID
    version: int
    from_seen: int
    document: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Band:
    """A forecast in force from a place in the order on."""

    from_seen: int
    step: int
    expires: int
    rows: list[tuple[int, float, float]]

    def at(self, moment: int) -> tuple[float, float] | None:
        if moment >= self.expires:
            return None
        for start, lower, upper in self.rows:
            if start <= moment < start + self.step:
                return lower, upper
        return None


@dataclasses.dataclass(frozen=True)
class Expected:
    seen: int
    rule: uuid.UUID
    market: str
    direction: str
    cause: str
    at: int
    id: uuid.UUID


def span(text: str) -> int:
    for unit in ("ms", "s", "m", "h"):
        if text.endswith(unit) and text[: -len(unit)].replace(".", "").isdigit():
            return round(float(text[: -len(unit)]) * UNITS[unit])
    raise ValueError(text)


class Watch:
    """One rule on one market."""

    def __init__(self, rule: OracleRule, market: str) -> None:
        self.rule = rule
        self.market = market
        self.when = rule.document["when"]
        self.policy = rule.document.get("policy", {})
        self.armed = False
        self.state = "idle"
        self.silent = False
        self.emitted: int | None = None
        self.since = self.due_at = self.due_seen = 0
        self.out: list[Expected] = []

    @property
    def reads_price(self) -> bool:
        """Whether a print out of order matters to it: that is still a price that traded."""
        return self.when["type"] in ("above", "below", "crosses")

    # -- the definitions --------------------------------------------------------------------------------------------

    def number(self, facts: dict[str, Any]) -> float | None:
        kind = self.when["type"]
        if kind in ("above", "below", "crosses"):
            return float(facts["price"])
        if kind == "anomaly":
            return facts["score"]  # type: ignore[no-any-return]
        if kind == "change":
            reference = facts["reference"](span(self.when["window"]))
            return None if reference is None else 100 * (facts["price"] / reference - 1)
        band = facts["band"]
        if band is None:
            return None
        lower, upper = band
        price = facts["price"]
        if abs(price - (lower + upper) / 2) < (upper - lower) / 4:
            return -1.0  # the middle half: as far inside as can be
        over, under = (price - upper) / upper, (lower - price) / lower
        outside: float = {"upper": over, "lower": under, "either": max(over, under)}[self.when.get("side", "either")]
        return outside

    def level(self) -> float:
        kind = self.when["type"]
        if kind == "outside_band":
            return 0.0
        if kind == "change":
            return abs(float(str(self.when["percent"]).rstrip("%")))
        return float(self.when["score" if kind == "anomaly" else "level"])

    def falling(self) -> bool:
        if self.when["type"] == "change":
            return False
        return "down" in (self.when.get("direction"), {"below": "down"}.get(self.when["type"]))

    def size(self, x: float) -> float:
        """Changes are judged by their size in the direction watched."""
        if self.when["type"] != "change":
            return x
        negative = str(self.when["percent"]).startswith("-")
        way = self.when.get("direction") or ("down" if negative else "up")
        return {"up": x, "down": -x, "either": abs(x)}[way]

    def holds(self, x: float) -> bool:
        x = self.size(x)
        return x < self.level() if self.falling() else x > self.level()

    def clear_level(self) -> float:
        kind = self.when["type"]
        if "clear" in self.policy:
            return abs(float(str(self.policy["clear"]).rstrip("%")))
        back = {"change": Decimal("0.1"), "anomaly": Decimal("0.2")}.get(kind, Decimal("0.001"))
        if "hysteresis" in self.policy:
            back = Decimal(str(self.policy["hysteresis"]).rstrip("%")) / 100
        if kind == "outside_band":
            return -float(back)
        name = {"change": "percent", "anomaly": "score"}.get(kind, "level")
        level = abs(Decimal(str(self.when[name]).rstrip("%")))
        return float(level * (1 + back) if self.falling() else level * (1 - back))

    def cleared(self, x: float) -> bool:
        x = self.size(x)
        return x >= self.clear_level() if self.falling() else x <= self.clear_level()

    def begins(self, prior: float | None, x: float) -> bool:
        if self.when["type"] != "crosses":
            return self.holds(x)
        if prior is None:
            return False
        level = self.level()
        return bool(prior >= level > x) if self.falling() else bool(prior <= level < x)

    # -- the life of a rule -----------------------------------------------------------------------------------------

    def emit(self, seen: int, direction: str, cause: str, at: int) -> None:
        name = f"{self.rule.id}/{self.rule.version}/{self.market}/{cause}/{direction}"
        self.out.append(Expected(seen, self.rule.id, self.market, direction, cause, at, uuid.uuid5(NAMESPACE, name)))

    def timer(self, at: int | None, seen: int | None, here: int = 0) -> None:
        """Due before a trade at `at` (whose place is `here`), or once our order has come to `seen`."""
        if self.state != "pending":
            return
        by_seen = seen is not None and self.due_seen <= seen
        if by_seen or (at is not None and self.due_at <= at):
            self.state, self.silent, self.emitted = "firing", False, self.due_at
            place = self.due_seen if by_seen else here
            self.emit(place, "fired", f"timer:{self.due_at}", self.due_at)

    def look(self, one: Print, now: int, prior: float | None, facts: dict[str, Any]) -> None:
        x = self.number(facts)
        cause = f"trade:{one.key}"
        if not self.armed:
            self.arm(one, x, now, cause)
        elif x is None:
            self.state = "idle" if self.state == "pending" else self.state
        elif self.state == "idle" and self.begins(prior, x):
            self.begin(one, now, cause)
        elif self.state == "pending" and not self.holds(x):
            self.state = "idle"
        elif self.state == "firing" and self.cleared(x):
            self.state = "idle"
            if not self.silent and self.when["type"] != "crosses" and self.policy.get("clear_signal", True):
                self.emit(one.seen, "cleared", cause, now)

    def arm(self, one: Print, x: float | None, now: int, cause: str) -> None:
        """The first sample: true already makes no signal unless asked to."""
        self.armed = True
        if x is None or self.when["type"] == "crosses" or not self.holds(x):
            return
        if self.policy.get("fire_on_arming"):
            self.begin(one, now, cause)
        else:
            self.state, self.silent, self.since = "firing", True, now

    def begin(self, one: Print, now: int, cause: str) -> None:
        self.since = now
        due = now + span(self.policy.get("for", "0s"))
        if self.emitted is not None:
            due = max(due, self.emitted + span(self.policy.get("cooldown", "0s")))
        if due > now:
            self.state, self.due_at, self.due_seen = "pending", due, one.seen + (due - now) + GRACE
            return
        self.state, self.silent, self.emitted = "firing", False, now
        self.emit(one.seen, "fired", cause, now)


def expected(
    rules: list[OracleRule],
    prints: list[Print],
    *,
    bands: dict[str, list[Band]] | None = None,
    scores: dict[tuple[str, int], float] | None = None,
    end_seen: int | None = None,
) -> list[Expected]:
    """All signals in order. `scores` by (market, seen); `end_seen`: how far our clock ran after the last print."""
    found: list[Expected] = []
    for market in dict.fromkeys(one.market for one in prints):
        mine = sorted((one for one in prints if one.market == market), key=lambda one: one.seen)
        venue, symbol = market.split(":")
        for rule in rules:
            wanted = rule.document["symbols"]
            venues = rule.document.get("venues", "any")
            if (wanted == "*" or symbol in wanted) and (venues == "any" or venue in venues):
                found += _watch(Watch(rule, market), mine, (bands or {}).get(market, []), scores or {}, end_seen)
    return sorted(found, key=lambda one: (one.seen, str(one.rule)))


class Market:
    """What is known of one market while its prints pass."""

    def __init__(self, bands: list[Band]) -> None:
        self.bands = bands
        self.now: int | None = None
        self.prior: float | None = None
        self.past: list[tuple[int, float]] = []

    def reference(self, window: int) -> float | None:
        for at, price in reversed(self.past):
            if self.now is not None and at <= self.now - window:
                return price
        return None

    def band(self, one: Print) -> tuple[float, float] | None:
        band = next((band for band in reversed(self.bands) if band.from_seen < one.seen), None)
        return band.at(self.now or one.at) if band else None


def _suspect(watch: Watch, market: Market, one: Print) -> None:
    """An unconfirmed print: a price for those who asked for such, and for nobody else; it leaves nothing behind."""
    if market.now is None or not (watch.policy.get("suspect") and watch.armed and watch.reads_price):
        return
    watch.timer(None, None if one.flags & LATE else one.seen, one.seen)
    if one.seen > watch.rule.from_seen:
        watch.look(one, market.now, market.prior, {"price": one.price})


def _watch(
    watch: Watch, prints: list[Print], bands: list[Band], scores: dict[tuple[str, int], float], end_seen: int | None
) -> list[Expected]:
    market = Market(bands)
    for one in prints:
        if one.flags & HISTORY or (market.now is not None and one.at < market.now - GRACE):
            continue
        if one.flags & SUSPECT:
            _suspect(watch, market, one)
            continue
        in_order = market.now is None or one.at >= market.now
        watch.timer(one.at if in_order else None, None if one.flags & LATE else one.seen, one.seen)
        if in_order:
            market.now = one.at
            market.past.append((one.at, one.price))
        facts = {
            "price": one.price,
            "reference": market.reference,
            "score": scores.get((one.market, one.seen)),
            "band": market.band(one),
        }
        if one.seen > watch.rule.from_seen and (in_order or (watch.armed and watch.reads_price)):
            watch.look(one, market.now or one.at, market.prior, facts)
        if in_order:
            market.prior = one.price
    if end_seen is not None:
        watch.timer(None, end_seen)
    return watch.out
