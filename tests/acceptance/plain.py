"""What rules of every shape ought to say of one market: plain, slow, from the documentation, sharing no code.

It looks at every rule on every print and works everything out again. Windows know all prints from the first on.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
import uuid
from decimal import Decimal
from typing import Any

from tests.acceptance.oracle import GRACE, NAMESPACE, Expected, Print, span

HOUR = 3_600_000_000
UNKNOWN = math.nan
BACK = {
    "above": "0.1", "below": "0.1", "crosses": "0.1", "channel": "0.1", "extreme": "0.1", "change": "10",
    "trailing": "10", "rsi": "5", "bollinger": "10", "volume": "20",
}  # fmt: skip
"""How far back a condition ends, in per cent of its threshold."""
GROUPS = ("and", "or", "not", "then")
EVENTS = ("crosses", "extreme", "then", "moving_average")


def key(when: dict[str, Any]) -> str:
    """What a condition reads, by name."""
    kept = ("type", "window", "from", "of", "bar", "period", "fast", "slow", "side", "after", "baseline")
    return "price" if when["type"] in LEVELS else repr(sorted((name, str(when[name])) for name in kept if name in when))


LEVELS = ("above", "below", "crosses", "channel")


class Market:
    """The prints so far, in order, and all of them."""

    def __init__(self) -> None:
        self.at = self.seen = 0
        self.ats: list[int] = []
        self.prices: list[float] = []
        self.every: list[tuple[int, float]] = []
        self.closes: dict[int, list[float]] = {}
        self.opened: dict[int, int] = {}
        self.numbers: dict[str, float] = {}
        self.priors: dict[str, float] = {}
        self.insides: dict[int, list[float]] = {}

    def take(self, one: Print, leaves: dict[str, dict[str, Any]]) -> None:
        """The next print in order; every number that some rule reads."""
        for width, closes in self.closes.items():
            if self.at and one.at >= self.opened[width] + width:
                closes.append(self.prices[-1])
            self.opened[width] = one.at - one.at % width
        self.at, self.seen = one.at, one.seen
        self.ats.append(one.at)
        self.prices.append(one.price)
        self.every.append((one.at, one.price))
        self.priors, self.insides = dict(self.numbers), {}
        self.numbers = {name: self.number(when) for name, when in leaves.items()}

    def late(self, one: Print) -> None:
        """A print out of order."""
        self.seen = one.seen
        self.every.append((one.at, one.price))

    def inside(self, window: int) -> list[float]:
        """The prices of the window, out of order ones too; the newest in order last."""
        if window not in self.insides:
            found = []
            for at, price in reversed(self.every):
                if at <= self.at - window - GRACE:
                    break
                if at > self.at - window:
                    found.append(price)
            self.insides[window] = found[::-1]
        return self.insides[window]

    def number(self, when: dict[str, Any]) -> float:
        price = self.prices[-1]
        match when["type"]:
            case "above" | "below" | "crosses" | "channel":
                return price
            case "change":
                place = bisect.bisect_right(self.ats, self.at - span(when["window"])) - 1
                return round(100 * (price - self.prices[place]) / self.prices[place], 10) if place >= 0 else UNKNOWN
            case "trailing":
                seen = self.inside(span(when["window"]))
                top = min(seen) if when.get("from") == "low" else max(seen)
                return float(round(100 * abs(top - price) / top, 10))
            case "extreme":
                others = self.inside(span(when["window"]))[:-1]
                if not others or self.at - self.ats[0] < span(when["window"]):
                    return UNKNOWN
                top, sign = (max(others), 1) if when["of"] == "high" else (min(others), -1)
                return float(100 * sign * (price - top) / top)
            case "stale":
                return 0.0
            case _:
                return round(self.indicator(when, [*self.closes[span(when["bar"])], price]), 10)

    def indicator(self, when: dict[str, Any], closes: list[float]) -> float:
        if when["type"] == "moving_average":
            fast, slow = when["fast"], when["slow"]
            if len(closes) < slow:
                return UNKNOWN
            return float(100 * (sum(closes[-fast:]) / fast / (sum(closes[-slow:]) / slow) - 1))
        period = when["period"]
        if when["type"] == "bollinger":
            some = closes[-period:]
            mean = sum(some) / period
            spread = math.sqrt(sum((one - mean) ** 2 for one in some) / period)
            return abs(closes[-1] - mean) / spread if len(some) == period and spread > 1e-9 else UNKNOWN
        moves = [after - before for before, after in itertools.pairwise(closes)]
        if len(moves) < period:
            return UNKNOWN
        gain = sum(max(move, 0.0) for move in moves[:period]) / period
        loss = sum(max(-move, 0.0) for move in moves[:period]) / period
        for move in moves[period:]:
            gain, loss = gain + (max(move, 0.0) - gain) / period, loss + (max(-move, 0.0) - loss) / period
        return 100 * gain / (gain + loss) if gain + loss > 0 else UNKNOWN


class Leaf:
    """A single condition: what it says of a number."""

    def __init__(self, when: dict[str, Any], policy: dict[str, Any]) -> None:
        self.when = when
        self.kind = when["type"]
        self.name = key(when)
        self.back = Decimal(str(policy.get("hysteresis", BACK.get(self.kind, "0"))).rstrip("%")) / 100
        self.width = float(str(policy.get("hysteresis", "0.01")).rstrip("%"))
        """Around zero, in per cent of the slow mean."""
        self.down = self.kind == "below" or when.get("direction") in ("down", "below")
        if self.kind == "change":
            self.down = False

    def threshold(self) -> Decimal:
        for name in ("level", "percent", "deviations"):
            if name in self.when:
                return Decimal(str(self.when[name]).rstrip("%"))
        return Decimal(0)

    def sized(self, x: float) -> float:
        if self.kind != "change":
            return x
        return {"up": x, "down": -x, "either": abs(x)}[self.when["direction"]]

    def holds(self, x: float) -> bool:
        if self.kind == "channel":
            inside = float(self.when["lower"]) < x < float(self.when["upper"])
            outside = x < float(self.when["lower"]) or x > float(self.when["upper"])
            return inside if self.when["direction"] == "enter" else outside
        if self.kind == "extreme":
            return x > -float(100 * self.back)
        level = float(self.threshold())
        return self.sized(x) < level if self.down else self.sized(x) > level

    def begins(self, prior: float, x: float) -> bool:
        if self.kind == "extreme":
            return x > 0
        if self.kind in ("crosses", "moving_average"):
            level = float(self.threshold())
            return prior >= level > x if self.down else prior <= level < x
        return self.holds(x)

    def ends(self, x: float) -> bool:
        if self.kind == "channel":
            return self.leaves_channel(x)
        if self.kind == "extreme":
            return x <= -float(100 * self.back)
        if self.kind == "moving_average":
            return x >= self.width if self.down else x <= -self.width
        level = self.threshold()
        if self.down:
            return self.sized(x) >= float(level * (1 + self.back))
        return self.sized(x) <= float(level * (1 - self.back))

    def leaves_channel(self, x: float) -> bool:
        lower, upper = Decimal(str(self.when["lower"])), Decimal(str(self.when["upper"]))
        if self.when["direction"] == "enter":
            return not float(lower * (1 - self.back)) < x < float(upper * (1 + self.back))
        quarter = (upper - lower) / 4
        low, high = lower + min(quarter, lower * self.back), upper - min(quarter, upper * self.back)
        return float(low) <= x <= float(high)


class Node:
    """A condition in a tree: true, false, or not known yet (None)."""

    def __init__(self, when: dict[str, Any], policy: dict[str, Any]) -> None:
        self.when = when
        inner: Any = when.get("steps") or when.get("of") if when["type"] in GROUPS else []
        self.inner = [Node(one, policy) for one in (inner if isinstance(inner, list) else [inner])]
        self.leaf = None if self.inner else Leaf(when, policy)
        self.truth: bool | None = None
        self.chains: list[list[int]] = []

    def leaves(self) -> list[Leaf]:
        return [self.leaf] if self.leaf else [leaf for one in self.inner for leaf in one.leaves()]

    def look(self, numbers: dict[str, float], priors: dict[str, float], at: int) -> bool | None:
        """`numbers`: those that are looked at now; members on others stay as they are."""
        if self.leaf is not None:
            x = numbers.get(self.leaf.name, UNKNOWN)
            if not math.isnan(x):
                prior = priors.get(self.leaf.name, UNKNOWN) if self.truth is not None else UNKNOWN
                self.truth = not self.leaf.ends(x) if self.truth else self.leaf.begins(prior, x)
            return self.truth
        were = [one.truth for one in self.inner]
        now = [one.look(numbers, priors, at) for one in self.inner]
        match self.when["type"]:
            case "and":
                self.truth = False if False in now else None if None in now else True
            case "or":
                self.truth = True if True in now else None if None in now else False
            case "not":
                self.truth = None if now[0] is None else not now[0]
            case _:
                self.truth = self.follow(were, now, at) or bool(self.truth and now[-1])
        return self.truth

    def follow(self, were: list[bool | None], now: list[bool | None], at: int) -> bool:
        within = span(self.when["within"])
        begun = [was is False and is_ is True for was, is_ in zip(were, now, strict=True)]
        longer = [[*chain, at] for chain in self.chains if begun[len(chain)] and at - chain[0] <= within]
        newest: dict[int, list[int]] = {}
        for chain in [*self.chains, *longer, *([[at]] if begun[0] else [])]:
            if len(chain) not in newest or newest[len(chain)][0] <= chain[0]:
                newest[len(chain)] = chain
        complete = len(now) in newest
        self.chains = [] if complete else list(newest.values())
        return complete


@dataclasses.dataclass
class Rule:
    id: uuid.UUID
    version: int
    from_seen: int
    document: dict[str, Any]
    until_seen: int = 2**62


@dataclasses.dataclass
class Kept:
    """What a rule that was paused for firing too often has kept back."""

    told: int
    count: int = 0
    last: int = 0
    due: int = 0
    due_seen: int = 0


class Watch:
    """The life of one rule."""

    def __init__(self, rule: Rule, scope: str) -> None:
        self.rule, self.scope = rule, scope
        self.policy: dict[str, Any] = rule.document.get("policy", {})
        self.tree = Node(rule.document["when"], self.policy)
        self.grouped = self.tree.leaf is None
        how, bar = self.policy.get("evaluate", "tick"), rule.document["when"].get("bar", "1m")
        width = span(self.policy.get("bar", bar))
        self.close, self.once = (width if how == "close" else 0), (width if how == "bar" else 0)
        self.state, self.armed, self.silent = "idle", False, False
        self.emitted = self.due = self.due_seen = self.hour = self.fires = self.fired = 0
        self.nodata = self.policy.get("nodata")
        self.kept: Kept | None = None
        self.out: list[Expected] = []

    def tell(self, seen: int, direction: str, cause: str, at: int) -> None:
        text = f"{self.rule.id}/{self.rule.version}/{self.scope}/{cause}/{direction}"
        self.out.append(Expected(seen, self.rule.id, self.scope, direction, cause, at, uuid.uuid5(NAMESPACE, text)))

    def sample(self, numbers: dict[str, float], priors: dict[str, float], seen: int, at: int, cause: str) -> None:
        """Something that is looked at."""
        if self.state == "expired":
            return
        if self.grouped:
            begins = holds = self.tree.look(numbers, priors, at) is True
            clears = not holds
        else:
            leaf = self.tree.leaves()[0]
            x = numbers.get(leaf.name, UNKNOWN)
            prior = priors.get(leaf.name, UNKNOWN) if self.armed else UNKNOWN
            begins, holds, clears = leaf.begins(prior, x), leaf.holds(x), leaf.ends(x)
        if not self.armed:
            self.armed = True
            if begins and self.policy.get("fire_on_arming"):
                self.begin(seen, at, cause)
            elif begins:
                self.state, self.silent = "firing", True
        elif self.state == "idle" and begins:
            self.begin(seen, at, cause)
        elif self.state == "pending" and not holds:
            self.idle()
        elif self.state == "nodata":
            self.state = "firing"
            if not holds:
                self.end(seen, at, cause)
        elif self.state == "firing" and clears:
            self.end(seen, at, cause)

    def stray(self, one: Print, numbers: dict[str, float], at: int) -> None:
        """A print out of order. What begins to wait by it, or waited until it, goes by the price that stands."""
        was, cause, prices = self.state, f"trade:{one.key}", {"price": one.price}
        self.sample(prices, numbers, one.seen, at, cause)
        if not self.grouped and "pending" in (was, self.state) and one.price != numbers["price"]:
            self.sample(numbers, prices, one.seen, at, cause)

    def idle(self) -> None:
        most = {"once": 1, "always": 0}.get(self.policy.get("fires", "always"), self.policy.get("fires"))
        self.state = "expired" if most and self.fired >= most else "idle"

    def end(self, seen: int, at: int, cause: str) -> None:
        told = self.policy.get("clear_signal", True) and not self.silent
        self.silent = False
        self.idle()
        if told and self.rule.document["when"]["type"] not in EVENTS:
            self.tell(seen, "cleared", cause, at)

    def begin(self, seen: int, at: int, cause: str) -> None:
        due = at + span(self.policy.get("for", "0s"))
        if last := max(self.emitted, self.kept.last if self.kept else 0):
            due = max(due, last + span(self.policy.get("cooldown", "0s")))
            due = max(due, (last // self.once + 1) * self.once) if self.once else due
        if due <= at:
            self.fire(seen, at, cause, "firing")
        else:
            self.state, self.due, self.due_seen = "pending", due, seen + due - at + GRACE

    def fire(self, seen: int, at: int, cause: str, state: str) -> None:
        if self.kept is not None:
            self.keep(self.kept, seen, at)
            self.state, self.silent = state, True
            return
        self.fires = self.fires + 1 if self.hour == at // HOUR and self.fired else 1
        if self.fires > self.policy.get("most_per_hour", 1_000):
            self.state, self.silent, self.kept = state, True, Kept(at)
            self.tell(seen, "paused", cause, at)
            return
        self.hour, self.state, self.silent, self.emitted = at // HOUR, state, False, at
        self.fired += 1
        self.tell(seen, "fired", cause, at)

    def keep(self, kept: Kept, seen: int, at: int) -> None:
        kept.count, kept.last = kept.count + 1, at
        if kept.count == 1:
            every = span(self.policy.get("digest", "1h"))
            kept.due = kept.told + every
            while kept.due <= at:
                kept.due += every
            kept.due_seen = seen + kept.due - at + GRACE

    def digest(self, seen: int, cause: str, at: int) -> None:
        """What was kept back, if anything."""
        if self.kept is not None and self.kept.count:
            self.kept = Kept(at)
            self.tell(seen, "digest", cause, at)

    def quiet(self, seen: int, at: int, cause: str) -> None:
        """Nothing was traded for as long as the policy says."""
        if not self.armed or self.nodata is None or self.state == "expired":
            return
        if self.nodata["then"] == "fire" and self.state in ("idle", "pending"):
            self.fire(seen, at, cause, "nodata")
        elif self.nodata["then"] == "ok" and self.state == "firing":
            self.end(seen, at, cause)
        elif self.nodata["then"] == "ok" and self.state == "pending":
            self.idle()


class Day:
    """One market's prints with all rules on it."""

    def __init__(self, rules: list[Rule], scope: str) -> None:
        self.market = Market()
        self.watches = [Watch(rule, scope) for rule in rules]
        self.leaves = {leaf.name: leaf.when for watch in self.watches for leaf in watch.tree.leaves()}
        for when in self.leaves.values():
            if "bar" in when:
                self.market.closes[span(when["bar"])] = []
        self.ends: dict[int, tuple[int, int]] = {}
        """Per span of bars that are looked at: when the open one ends, by event time and by the order."""
        self.closed: dict[tuple[int, str], float] = {}
        """Numbers where bars of a span ended last."""
        self.spans = sorted({watch.close for watch in self.watches if watch.close})
        quiet = [span(when["after"]) for when in self.leaves.values() if when["type"] == "stale"]
        quiet += [span(w.nodata["after"]) for w in self.watches if w.nodata and w.nodata["then"] != "keep"]
        self.silences: dict[int, bool] = dict.fromkeys(sorted(quiet), False)
        """Per span of silence: whether it may still begin."""

    def living(self, seen: int) -> list[Watch]:
        return [w for w in self.watches if w.rule.from_seen < seen <= w.rule.until_seen]

    def due(self, *, by_order: bool) -> list[tuple[int, int, Any]]:
        """What is due next, by the order or by event time: bars before silences before rules."""
        found: list[tuple[int, int, Any]] = [(end[by_order], width, "bar") for width, end in self.ends.items()]
        last = self.market.seen + GRACE if by_order else self.market.at
        found += [(last + width, 10**14 + width, "silence") for width, may in self.silences.items() if may]
        for watch in self.watches:
            if watch.state == "pending":
                found.append((watch.due_seen if by_order else watch.due, 10**15 + 2 * watch.rule.id.int, watch))
            if watch.kept is not None and watch.kept.count:
                due = watch.kept.due_seen if by_order else watch.kept.due
                found.append((due, 10**15 + 2 * watch.rule.id.int + 1, watch.kept))
        return sorted(found, key=lambda one: one[:2])

    def pass_time(self, upto: int, here: int, *, by_order: bool) -> None:
        while found := [one for one in self.due(by_order=by_order) if one[0] <= upto]:
            due, rank, what = found[0]
            place = due if by_order else here
            if what == "bar":
                self.end_bars(rank, place)
            elif what == "silence":
                self.fall_silent(rank - 10**14, place)
            elif isinstance(what, Kept):
                (watch,) = (one for one in self.watches if one.kept is what)
                watch.digest(place, f"timer:{what.due}", what.due)
            elif place > what.rule.until_seen:
                what.state = "expired"
            else:
                what.fire(place, what.due, f"timer:{what.due}", "firing")

    def end_bars(self, width: int, place: int) -> None:
        end = self.ends.pop(width)[0]
        priors = {name: self.closed.get((width, name), UNKNOWN) for name in self.leaves}
        self.closed.update({(width, name): x for name, x in self.market.numbers.items()})
        for watch in self.living(place):
            if not watch.armed and watch.rule.from_seen >= self.market.seen:
                continue  # it has seen no trade of this bar
            if watch.close == width and watch.state != "nodata":  # that ends with a trade
                watch.sample(self.market.numbers, priors, place, end, f"bar:{end}")
            elif watch.close == width and watch.grouped:  # what is known of its members goes on meanwhile
                watch.tree.look(self.market.numbers, priors, end)

    def fall_silent(self, width: int, place: int) -> None:
        self.silences[width] = False
        at = self.market.at + width
        names = [name for name, when in self.leaves.items() if when["type"] == "stale" and span(when["after"]) == width]
        for name in names:
            self.market.numbers[name] = width / 1e6
        for watch in self.living(place):
            if any(leaf.name in names for leaf in watch.tree.leaves()) and not watch.close and watch.armed:
                numbers = {name: self.market.numbers[name] for name in names}
                watch.sample(numbers, dict.fromkeys(names, 0.0), place, at, f"timer:{at}")
            if watch.nodata and span(watch.nodata["after"]) == width:
                watch.quiet(place, at, f"timer:{at}")

    def part(self, upto: int) -> None:
        """Versions that have ended tell what they kept back."""
        for watch in sorted(self.watches, key=lambda one: one.rule.until_seen):
            until = watch.rule.until_seen
            if watch.kept is not None and watch.kept.count and until < upto:
                self.pass_time(until, until, by_order=True)
                if watch.kept.count:
                    watch.digest(until, f"timer:{until}", max(self.market.at, watch.kept.last))
                watch.kept, watch.state = None, "expired"

    def take(self, one: Print) -> None:
        self.part(one.seen)
        self.pass_time(one.seen, one.seen, by_order=True)
        market = self.market
        if market.at and one.at < market.at:
            if market.at - one.at <= GRACE:
                market.late(one)
                for watch in self.living(one.seen):
                    if "price" in {leaf.name for leaf in watch.tree.leaves()} and watch.armed and not watch.close:
                        watch.stray(one, market.numbers, market.at)
            return
        self.pass_time(one.at, one.seen, by_order=False)
        market.take(one, self.leaves)
        for width in self.spans:
            if width not in self.ends:
                end = one.at - one.at % width + width
                self.ends[width] = (end, one.seen + end - one.at + GRACE)
        self.silences = dict.fromkeys(self.silences, True)
        for watch in self.living(one.seen):
            if not watch.close:
                watch.sample(market.numbers, market.priors, one.seen, market.at, f"trade:{one.key}")
            elif watch.state == "nodata":
                held = {leaf.name: self.closed.get((watch.close, leaf.name), UNKNOWN) for leaf in watch.tree.leaves()}
                watch.sample(held, held, one.seen, market.at, f"trade:{one.key}")


def plain(rules: list[Rule], prints: list[Print], scope: str, *, end_seen: int) -> list[Expected]:
    """All signals, in order of their places and their rules."""
    day = Day(rules, scope)
    for one in prints:
        day.take(one)
    day.pass_time(end_seen, end_seen, by_order=True)
    return sorted((one for watch in day.watches for one in watch.out), key=lambda one: (one.seen, one.rule.bytes))
