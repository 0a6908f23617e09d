"""What a signal says to a person: phrases, numbers and times as plain text, safe for a header."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from pricewatch.delivery import digests
from pricewatch.delivery.figures import exact_time, grouped, is_instant, is_number, number, printable, rough, span_text
from pricewatch.delivery.phrases import PHRASES, unusual
from pricewatch.domain.market import decimal_text
from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import SECOND, to_datetime
from pricewatch.domain.watch import SYSTEM

_COUNTS = 10**15
"""Larger whole numbers are no counts but times, of September 2001 and later."""


def clock_time(at: int, *, now: int) -> str:
    """`14:03 UTC`, with the date when that is not today."""
    moment = to_datetime(at)
    same_day = moment.date() == to_datetime(now).date()
    return moment.strftime("%H:%M UTC" if same_day else "%Y-%m-%d %H:%M UTC")


def phrase(signal: Signal) -> str:
    """What began or ceased to hold: `above 70,000`, `no longer above 70,000`."""
    match signal.direction:
        case Direction.FIRED:
            said = _began(signal.kind, signal.evidence)
        case Direction.CLEARED:
            said = _ended(signal.kind, signal.evidence)
        case _:
            said = _life(signal)
    return printable(said, 80) or "rule"


def marks(signal: Signal) -> list[str]:
    """What a reader must know about the data's quality."""
    told = {
        "late": signal.late,
        "unconfirmed price": signal.suspect,
        "after a data gap": signal.gap,
        "replay": signal.replay,
    }
    return [mark for mark, is_true in told.items() if is_true]


def headline(signal: Signal, *, now: int) -> str:
    """`BTC-USD above 70,000: 70,012.4 (coinbase) 14:03 UTC`: enough without the body."""
    if signal.account_id == SYSTEM:
        return printable(f"{signal.title} {clock_time(signal.at, now=now)}", 200)
    if not signal.venue:
        whose = "every symbol" if signal.symbol == "*" else signal.symbol
        return printable(f"{whose}: your rule ({signal.kind}) {phrase(signal)}, {clock_time(signal.at, now=now)}", 200)
    price = grouped(decimal_text(signal.price))
    line = f"{signal.symbol} {phrase(signal)}: {price} ({signal.venue}) {clock_time(signal.at, now=now)}"
    notes = "".join(f" [{mark}]" for mark in marks(signal))
    return printable(line + notes, 200)


def facts(signal: Signal) -> list[tuple[str, str]]:
    """The body's table: name and value, both plain text."""
    rows = [
        ("Rule", printable(signal.title, 200) or "(untitled)"),
        ("Why", phrase(signal)),
        *_prices(signal),
        ("Market", printable(f"{signal.symbol} on {signal.venue or 'all its markets'}", 100)),
        ("Time", exact_time(signal.at)),
    ]
    if signal.since != signal.at:
        rows.append(("Since", f"{exact_time(signal.since)} ({span_text((signal.at - signal.since) / SECOND)})"))
    rows.append(("Severity", printable(signal.severity, 20)))
    if signal.model:
        rows.append(("Model", printable(signal.model, 80)))
    if quality := marks(signal):
        rows.append(("Note", ", ".join(quality)))
    return rows


def _prices(signal: Signal) -> list[tuple[str, str]]:
    """The price, or what a digest has of them."""
    if signal.direction is Direction.DIGEST:
        return digests.rows(signal.evidence)
    found = [("Price", grouped(decimal_text(signal.price)))] if signal.price else []
    return found + (digests.paused(signal.evidence) if signal.direction is Direction.PAUSED else [])


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """The numbers behind the verdict, one `name: value` a line, bounded."""
    return [
        f"{printable(str(name), 40)}: {printable(_evidence_text(str(name), value), 120)}"
        for name, value in list(evidence.items())[:30]
        if name != "v" and value is not None
    ]


def _evidence_text(name: str, value: object) -> str:
    match value:
        case str():
            return grouped(value)
        case int() | float() if name == "window" and is_number(value):
            return span_text(value)
        case int() if value > _COUNTS and is_instant(value):
            return exact_time(value)
        case float() if math.isfinite(value):
            return grouped(decimal_text(value))
        case {"at": int(at), "price": str(price), **others} if not others and is_instant(at):
            return f"{grouped(price)} at {exact_time(at)}"
    return msgspec.json.encode(value, enc_hook=str).decode()


def _began(kind: str, evidence: Mapping[str, Any]) -> str:
    level = number(evidence.get("threshold"))
    match kind:
        case "above" | "below":
            return f"{kind} {level}" if level else kind
        case "crosses":
            way = {"up": "crossed above", "down": "crossed below"}.get(str(evidence.get("direction")), "crossed")
            return f"{way} {level}" if level else way
        case "change":
            return _change(evidence)
        case "anomaly":
            score = rough(evidence.get("score"), digits=3)
            return f"unusual (score {score})" if score else unusual(evidence)
        case "outside_band":
            return _band(evidence.get("band"))
        case _:
            return PHRASES[kind](evidence) if kind in PHRASES else kind.replace("_", " ")


def _ended(kind: str, evidence: Mapping[str, Any]) -> str:
    clear = number(evidence.get("clear"))
    match kind:
        case "crosses":
            way = {"up": "back below", "down": "back above"}.get(str(evidence.get("direction")), "back across")
            return f"{way} {clear}" if clear else way
        case "change":
            return f"calm again, {_change(evidence)}"
        case "anomaly":
            score = rough(evidence.get("score"), digits=3)
            return f"usual again (score {score})" if score else "usual again"
        case "outside_band":
            return f"no longer {_band(evidence.get('band'))}"
        case _:
            return f"no longer {_began(kind, evidence)}"


def _life(signal: Signal) -> str:
    """What became of the rule itself."""
    expires = signal.evidence.get("expires")
    match signal.direction:
        case Direction.PAUSED:
            most = number(signal.evidence.get("most_per_hour"))
            return f"paused: it fired more than {most} times in an hour"
        case Direction.DIGEST:
            return digests.kept_back(signal.evidence)
        case Direction.EXPIRING:
            return f"expires {exact_time(expires)[:16]} UTC" if isinstance(expires, int) else "expires soon"
        case _:
            return signal.direction.value


def _change(evidence: Mapping[str, Any]) -> str:
    """The change read is in per cent, its window in seconds."""
    change, window = evidence.get("value"), evidence.get("window")
    moved = f"changed {change:+.2f}%" if is_number(change) else "changed"
    return f"{moved} in {span_text(window)}" if is_number(window) else moved


def _band(band: object) -> str:
    edges = [rough(band.get(edge), digits=6) for edge in ("lower", "upper")] if isinstance(band, Mapping) else [None]
    return f"outside its forecast band {edges[0]} to {edges[1]}" if all(edges) else "outside its forecast band"
