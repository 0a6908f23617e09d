"""What the service itself watches, told as signals of the system feed: holes in the data, and silence."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from pricewatch.domain.signal import SIGNALS, Direction, Signal, signal_id

SYSTEM = uuid.uuid5(SIGNALS, "system")
"""The feed that belongs to nobody and is open to every account."""
GAP_RULE = uuid.uuid5(SIGNALS, "system/feed.gap")
CHANNELS = ("trades", "quotes")
STALE_RULES = {channel: uuid.uuid5(SIGNALS, f"system/feed.stale/{channel}") for channel in CHANNELS}

DRIFT_RULE = uuid.uuid5(SIGNALS, "system/model.drift")

GAP = "feed.gap"
STALE = "feed.stale"
RECOVERED = "feed.recovered"
MODEL_DRIFT = "model.drift"
VERSION = 1


class Place(msgspec.Struct, frozen=True):
    """A market as a signal names it."""

    market: int
    venue: str
    symbol: str

    @property
    def scope(self) -> str:
        """`venue:BASE-QUOTE`."""
        return f"{self.venue}:{self.symbol}"


class Hole(msgspec.Struct, frozen=True):
    """A declared hole: inclusive keys (`last` below `first` where only the times are known)."""

    number: int
    first: int
    last: int
    from_at: int
    to_at: int
    reason: str

    def facts(self) -> dict[str, Any]:
        """The hole as evidence; `missing` is null where nobody knows."""
        known = self.last >= self.first
        return {
            "v": VERSION,
            "gap": self.number,
            "reason": self.reason,
            "from": self.from_at,
            "to": self.to_at,
            "first_key": str(self.first) if known else None,
            "last_key": str(self.last) if known else None,
            "missing": self.last - self.first + 1 if known else None,
        }


def gap_opened(place: Place, hole: Hole, *, seen: int) -> Signal:
    """`feed.gap` fired: a hole was declared. Its id depends on the hole's number alone."""
    return _signal(
        place, GAP_RULE, GAP, f"gap:{hole.number}", Direction.FIRED, at=hole.to_at, seen=seen, since=hole.from_at,
        title=f"{place.scope}: trades are missing ({hole.reason})", severity="warning",
        evidence=hole.facts() | {"state": "opened"}, gap=True,
    )  # fmt: skip


def gap_closed(place: Place, hole: Hole, *, how: str, seen: int) -> Signal:
    """`feed.gap` cleared: `how` says whether the trades came (`filled`) or only candles of that time (`candles`)."""
    words = {"filled": "missing trades were refilled", "candles": "missing trades stay missing; candles were had"}
    return _signal(
        place, GAP_RULE, GAP, f"gap:{hole.number}", Direction.CLEARED, at=hole.to_at, seen=seen, since=hole.from_at,
        title=f"{place.scope}: {words[how]}", severity="info", evidence=hole.facts() | {"state": how}, gap=True,
    )  # fmt: skip


def stale(place: Place, channel: str, *, last: int, due: int, limit: int, ever: bool) -> Signal:
    """`feed.stale` fired: nothing came since `last` (our clock, µs) and `limit` was over at `due`."""
    silent = "nothing came yet" if not ever else f"nothing came for {limit / 1e6:g} s"
    return _signal(
        place, STALE_RULES[channel], STALE, f"timer:{due}", Direction.FIRED, at=due, seen=due, since=last,
        title=f"{place.scope} {channel}: {silent}", severity="warning",
        evidence={"v": VERSION, "channel": channel, "ever": ever, "limit_seconds": limit / 1e6},
    )  # fmt: skip


def recovered(place: Place, channel: str, *, last: int, at: int, missing: int, filled: int) -> Signal:
    """`feed.recovered`: the channel speaks again at `at`; what its market misses and had refilled meanwhile."""
    return _signal(
        place, STALE_RULES[channel], RECOVERED, f"timer:{at}", Direction.CLEARED, at=at, seen=at, since=last,
        title=f"{place.scope} {channel}: heard again after {(at - last) / 1e6:.1f} s", severity="info",
        evidence={
            "v": VERSION, "channel": channel, "silent_seconds": (at - last) / 1e6, "missing": missing, "filled": filled,
        },
    )  # fmt: skip


def model_drift(place: Place, what: str, model: str, *, at: int, seen: int) -> Signal:
    """`model.drift` fired: the minute that ended at `at` showed that the market is not what its models knew."""
    words = {"ranges": "it ranges unlike before", "coverage": "its bands miss more than they should"}
    return _signal(
        place, DRIFT_RULE, MODEL_DRIFT, f"bar:{at}", Direction.FIRED, at=at, seen=seen, since=at,
        title=f"{place.scope} has drifted: {words[what]}", severity="info",
        evidence={"v": VERSION, "drift": what, "model": model},
    )  # fmt: skip


def _signal(
    place: Place,
    rule: uuid.UUID,
    kind: str,
    cause: str,
    direction: Direction,
    *,
    at: int,
    seen: int,
    since: int,
    title: str,
    severity: str,
    evidence: dict[str, Any],
    gap: bool = False,
) -> Signal:
    return Signal(
        id=signal_id(rule, VERSION, place.scope, cause, direction),
        account_id=SYSTEM,
        rule_id=rule,
        rule_version=VERSION,
        title=title,
        kind=kind,
        severity=severity,
        direction=direction,
        scope=place.scope,
        market=place.market,
        venue=place.venue,
        symbol=place.symbol,
        cause=cause,
        at=at,
        seen=seen,
        received=seen,
        price=0.0,
        since=since,
        evidence=evidence,
        gap=gap,
    )
