"""What the signals ought to be: plain, slow, written from the definitions, sharing no code with the product.

It reads the trades as stored, in the order of `seen`, and looks at every rule on every trade.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

NAMESPACE = uuid.UUID("6f3ed1c4-9a3b-5a51-8d3f-0d5a3f6f0c11")
GRACE = 1_000_000
SUSPECT, LATE, HISTORY = 1, 2, 4
EVENTS = ("crosses", "extreme")
"""Their end is no news."""
WINDOWS = ("trailing", "extreme", "volume", "volatility")
UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}


@dataclasses.dataclass(frozen=True)
class Print:
    seen: int
    market: str
    at: int
    price: float
    key: int
    flags: int = 0
    size: float = 1.0


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
        self.fired = 0
        self.since = self.due_at = self.due_seen = 0
        self.out: list[Expected] = []

    @property
    def reads_price(self) -> bool:
        """Whether a print out of order matters to it: that is still a price that traded."""
        return self.when["type"] in ("above", "below", "channel", "crosses")

    # -- the definitions --------------------------------------------------------------------------------------------

    def number(self, facts: dict[str, Any]) -> float | None:
        kind = self.when["type"]
        if kind in ("above", "below", "channel", "crosses"):
            return float(facts["price"])
        if kind == "anomaly":
            return facts["score"]  # type: ignore[no-any-return]
        if kind in WINDOWS:
            return self.window_number(facts)
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

    def window_number(self, facts: dict[str, Any]) -> float | None:
        if self.when["type"] == "trailing":
            return self.way_back(facts)
        return self.new_extreme(facts) if self.when["type"] == "extreme" else self.spike(facts)

    def way_back(self, facts: dict[str, Any]) -> float:
        """From the extreme of the window, as a price or in per cent of the extreme."""
        prices = facts["prices"](span(self.when.get("window", "24h")))
        extreme = min(prices) if self.when.get("from") == "low" else max(prices)
        way = abs(extreme - Decimal(repr(facts["price"])))
        return float(100 * way / extreme if "percent" in self.when else way)

    def new_extreme(self, facts: dict[str, Any]) -> float | None:
        """In per cent of the extreme of the window's other prices; unknown before a whole window has passed."""
        window = span(self.when.get("window", "24h"))
        *others, price = facts["prices"](window)
        if not others or not facts["follows"](window):
            return None
        top = max(others) if self.when["of"] == "high" else min(others)
        return float(100 * (price - top if self.when["of"] == "high" else top - price) / top)

    def spike(self, facts: dict[str, Any]) -> float | None:
        """The window's volume (or root of summed squares of returns) a second over that of the baseline before it."""
        default = {"volume": "1m", "volatility": "5m"}[self.when["type"]]
        window, baseline = span(self.when.get("window", default)), span(self.when.get("baseline", "1h"))
        recent, usual = facts["amounts"](self.when["type"], window, baseline)
        if not facts["follows"](window + baseline) or not usual:
            return None
        ratio = float(recent / usual * baseline / window)
        return round(ratio if self.when["type"] == "volume" else math.sqrt(ratio), 10)

    def level(self) -> float:
        kind = self.when["type"]
        if kind in ("volume", "volatility"):
            return float(self.when["times"])
        if kind == "trailing":
            return float(str(self.when.get("percent", self.when.get("distance"))).rstrip("%"))
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

    def channel(self, x: float) -> tuple[bool, bool]:
        """Whether the price is in (or out of) the channel, and whether that has ended."""
        lower, upper = Decimal(str(self.when["lower"])), Decimal(str(self.when["upper"]))
        back = Decimal(str(self.policy.get("hysteresis", "0.1%")).rstrip("%")) / 100
        if self.when["direction"] == "enter":
            return float(lower) < x < float(upper), not float(lower * (1 - back)) < x < float(upper * (1 + back))
        quarter = (upper - lower) / 4
        low, high = lower + min(quarter, lower * back), upper - min(quarter, upper * back)
        return not float(lower) <= x <= float(upper), float(low) <= x <= float(high)

    def holds(self, x: float) -> bool:
        if self.when["type"] == "channel":
            return self.channel(x)[0]
        if self.when["type"] == "extreme":
            return x > self.clear_level()
        x = self.size(x)
        return x < self.level() if self.falling() else x > self.level()

    def clear_level(self) -> float:
        kind = self.when["type"]
        if "clear" in self.policy:
            return abs(float(str(self.policy["clear"]).rstrip("%")))
        back = {
            "change": Decimal("0.1"),
            "trailing": Decimal("0.1"),
            "volume": Decimal("0.2"),
            "volatility": Decimal("0.2"),
            "anomaly": Decimal("0.2"),
        }.get(kind, Decimal("0.001"))
        if "hysteresis" in self.policy:
            back = Decimal(str(self.policy["hysteresis"]).rstrip("%")) / 100
        if kind == "outside_band":
            return -float(back)
        if kind == "extreme":
            return -float(100 * back)
        name = {
            "change": "percent",
            "anomaly": "score",
            "trailing": "percent",
            "volume": "times",
            "volatility": "times",
        }.get(kind, "level")
        if name not in self.when:
            name = "distance"
        level = abs(Decimal(str(self.when[name]).rstrip("%")))
        return float(level * (1 + back) if self.falling() else level * (1 - back))

    def cleared(self, x: float) -> bool:
        if self.when["type"] == "channel":
            return self.channel(x)[1]
        x = self.size(x)
        return x >= self.clear_level() if self.falling() else x <= self.clear_level()

    def begins(self, prior: float | None, x: float) -> bool:
        if self.when["type"] == "extreme":
            return x > 0
        if self.when["type"] != "crosses":
            return self.holds(x)
        if prior is None:
            return False
        level = self.level()
        return bool(prior >= level > x) if self.falling() else bool(prior <= level < x)

    # -- the life of a rule -----------------------------------------------------------------------------------------

    def emit(self, seen: int, direction: str, cause: str, at: int) -> None:
        name = f"{self.rule.id}/{self.rule.version}/{self.market}/{cause}/{direction}"
        self.fired += direction == "fired"
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
        elif self.state == "idle" and self.begins(prior, x) and self.fired < self.most():
            self.begin(one, now, cause)
        elif self.state == "pending" and not self.holds(x):
            self.state = "idle"
        elif self.state == "firing" and self.cleared(x):
            self.state = "idle"
            if not self.silent and self.when["type"] not in EVENTS and self.policy.get("clear_signal", True):
                self.emit(one.seen, "cleared", cause, now)

    def most(self) -> float:
        """How often it may fire."""
        fires = self.policy.get("fires", "always")
        return {"once": 1, "always": math.inf}.get(fires, fires)  # type: ignore[no-any-return]

    def arm(self, one: Print, x: float | None, now: int, cause: str) -> None:
        """The first sample: true already makes no signal unless asked to."""
        self.armed = True
        if x is None or not self.begins(None, x):
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
                known = Market((bands or {}).get(market, []), _followed(rule, rules, market))
                found += _watch(Watch(rule, market), mine, known, scores or {}, end_seen)
    return sorted(found, key=lambda one: (one.seen, str(one.rule)))


def _number(document: dict[str, Any]) -> dict[str, Any]:
    """What a rule reads, without what it compares it with."""
    when = dict(document["when"])
    unit = "percent" if "percent" in when else "price"
    for name in ("percent", "distance", "times"):
        when.pop(name, None)
    window = {"volume": "1m", "volatility": "5m"}.get(when["type"], "24h")
    return {"window": window, "baseline": "1h", "from": "high", **when, "unit": unit}


def _followed(rule: OracleRule, rules: list[OracleRule], market: str) -> int:
    """Windows know the trades since the first rule that read the same number of the same market."""
    venue, symbol = market.split(":")
    return min(
        one.from_seen
        for one in rules
        if one.document["symbols"] == "*" or symbol in one.document["symbols"]
        if one.document.get("venues", "any") == "any" or venue in one.document["venues"]
        if _number(one.document) == _number(rule.document)
    )


class Market:
    """What is known of one market while its prints pass."""

    def __init__(self, bands: list[Band], followed: int) -> None:
        self.bands = bands
        self.followed = followed
        """Windows hold the prints after this place in the order."""
        self.seen_prices: list[tuple[int, Decimal]] = []
        self.first: int | None = None
        self.amounts_of: dict[str, list[tuple[int, Fraction]]] = {"volume": [], "volatility": []}
        self.before: float | None = None
        self.now: int | None = None
        self.prior: float | None = None
        self.past: list[tuple[int, float]] = []

    def reference(self, window: int) -> float | None:
        for at, price in reversed(self.past):
            if self.now is not None and at <= self.now - window:
                return price
        return None

    def prices(self, window: int) -> list[Decimal]:
        now = self.now or 0
        return [price for at, price in self.seen_prices if now - window < at <= now]

    def follow(self, one: Print, *, in_order: bool) -> None:
        """A print windows know."""
        self.seen_prices.append((one.at, Decimal(repr(one.price))))
        self.amounts_of["volume"].append((one.at, Fraction(repr(one.size))))
        if not in_order:
            return
        self.first = one.at if self.first is None else self.first
        if self.before is not None:
            self.amounts_of["volatility"].append((one.at, Fraction(math.log(one.price / self.before) ** 2)))
        self.before = one.price

    def amounts(self, kind: str, window: int, baseline: int) -> tuple[Fraction, Fraction]:
        """The sums over the window, and over the baseline from a whole second on."""
        begin = (self.now or 0) - window
        oldest = (begin - baseline) // 1_000_000 * 1_000_000
        known = self.amounts_of[kind]
        recent = sum((amount for at, amount in known if at > begin), Fraction(0))
        return recent, sum((amount for at, amount in known if oldest <= at <= begin), Fraction(0))

    def follows(self, window: int) -> bool:
        """Whether the first print in order that counts is at least a window old."""
        return self.first is not None and self.now is not None and self.first <= self.now - window

    def band(self, one: Print) -> tuple[float, float] | None:
        band = next((band for band in reversed(self.bands) if band.from_seen < one.seen), None)
        return band.at(self.now or one.at) if band else None


def _suspect(watch: Watch, market: Market, one: Print) -> None:
    """An unconfirmed print: a price for those who asked for such, and for nobody else; it leaves nothing behind."""
    watch.timer(None, None if one.flags & LATE else one.seen, one.seen)
    if market.now is None or not (watch.policy.get("suspect") and watch.armed and watch.reads_price):
        return
    if one.seen > watch.rule.from_seen:
        watch.look(one, market.now, market.prior, {"price": one.price})


def _watch(
    watch: Watch, prints: list[Print], market: Market, scores: dict[tuple[str, int], float], end_seen: int | None
) -> list[Expected]:
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
        if one.seen > market.followed:
            market.follow(one, in_order=in_order)
        facts = {
            "price": one.price,
            "reference": market.reference,
            "prices": market.prices,
            "amounts": market.amounts,
            "follows": market.follows,
            "score": scores.get((one.market, one.seen)),
            "band": market.band(one),
        }
        if one.seen > watch.rule.from_seen and (in_order or (watch.armed and watch.reads_price)):
            was = watch.state
            watch.look(one, market.now or one.at, market.prior, facts)
            if not in_order and "pending" in {was, watch.state} and one.price != market.prior:
                # What waits goes by the price that stands, the last one in order.
                watch.look(one, market.now or one.at, one.price, facts | {"price": market.prior})
        if in_order:
            market.prior = one.price
    if end_seen is not None:
        watch.timer(None, end_seen)
    return watch.out
