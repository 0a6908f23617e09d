"""The registry of baselines: looked at, compared, promoted and rolled back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from cyclopts import App, Parameter

from pricewatch.cli.output import AsJson, ConfigFile, ExitCode, emit, emit_table, say, settings_of
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.market import Market
from pricewatch.domain.model import Baseline, Pointer
from pricewatch.domain.time import rfc3339
from pricewatch.ports.registry import ModelDesk, Registry

models = App(name="models", help="Versions of baselines, and which of them is in use.")

KINDS = ("price", "range", "volume", "spread", "outlook")
T = TypeVar("T", str, str | None)
_ACTOR = "command line"

OfMarket = Annotated[str | None, Parameter(name="--market", help="venue:BASE-QUOTE; all unless given.")]
OfKind = Annotated[
    str | None, Parameter(name="--kind", help="price, range, volume, spread or outlook; all unless given.")
]
Most = Annotated[int, Parameter(name="--limit", help="How many at most.")]
Pin = Annotated[bool, Parameter(name="--pin", help="--no-pin lets the next better refit replace it.")]


class Room(msgspec.Struct):
    """What these commands work with."""

    registry: Registry
    desk: ModelDesk
    markets: Sequence[Market]

    def chosen(self, text: str | None) -> list[int] | None:
        """The market's number alone, None for all; raises `Invalid`."""
        return None if text is None else [self.named(text)]

    def named(self, text: str) -> int:
        """The market's number; raises `Invalid`."""
        found = next((one.id for one in self.markets if one.key.lower() == text.strip().lower()), None)
        if found is None:
            known = ", ".join(one.key for one in self.markets[:5]) or "none yet"
            raise Invalid("--market", f"there is no market {text[:64]!r}; known: {known}")
        return found

    def key(self, number: int | None) -> str:
        """How users call a market."""
        return next((one.key for one in self.markets if one.id == number), "" if number is None else str(number))

    async def baseline(self, version: uuid.UUID) -> Baseline:
        """Raises `NotFound`."""
        found = await self.registry.baseline(version)
        if found is None:
            raise NotFound(f"there is no version {version}; 'pricewatch models list' shows them")
        return found


@asynccontextmanager
async def _room(path: Path | None) -> AsyncIterator[Room]:
    from pricewatch.app.clock import SystemClock
    from pricewatch.app.wiring import open_store
    from pricewatch.training.promote import Desk

    async with open_store(settings_of(path)) as store:
        desk = Desk(store.registry, store.artefacts, SystemClock())
        yield Room(store.registry, desk, await store.catalog.markets())


@models.command(name="list")
async def list_(
    *,
    market: OfMarket = None,
    kind: OfKind = None,
    in_use: Annotated[bool, Parameter(name="--in-use", negative=(), help="Only those in use.")] = False,
    limit: Most = 50,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """List versions, newest first."""
    async with _room(config) as room:
        pointers = {one.version: one for one in await room.registry.pointers()}
        chosen, kind = room.chosen(market), _kind(kind)
        found = await room.registry.baselines(markets=chosen, kind=kind, limit=10_000 if in_use else limit)
        if in_use:
            found = [one for one in found if one.version in pointers][:limit]
        rows = [(one, room.key(one.market), pointers.get(one.version)) for one in found]
    if json:
        emit([_document(*row) for row in rows])
        return ExitCode.OK
    emit_table(
        ("version", "market", "kind", "trained to", "rows", "loss", "rival's", ""),
        (
            (
                one.version,
                key,
                one.kind,
                rfc3339(one.trained_to)[:16],
                one.rows_used,
                _loss(one.metrics),
                _loss(one.rival_metrics),
                "" if pointer is None else "in use, pinned" if pointer.pinned else "in use",
            )
            for one, key, pointer in rows
        ),
    )
    return ExitCode.OK


@models.command
async def show(version: uuid.UUID, *, config: ConfigFile = None) -> int:
    """Print one version as JSON: parameters, libraries, figures, artefact."""
    async with _room(config) as room:
        one = await room.baseline(version)
        pointers = {found.version: found for found in await room.registry.pointers()}
        emit(_document(one, room.key(one.market), pointers.get(one.version)))
    return ExitCode.OK


@models.command
async def compare(first: uuid.UUID, second: uuid.UUID, *, config: ConfigFile = None, json: AsJson = False) -> int:
    """Set two versions of one kind side by side."""
    async with _room(config) as room:
        one, other = await room.baseline(first), await room.baseline(second)
        keys = [room.key(found.market) for found in (one, other)]
    if one.kind != other.kind:
        raise Invalid("SECOND", f"is a version of {other.kind}, FIRST of {one.kind}; they have no common measure")
    if json:
        emit({"first": _document(one, keys[0], None), "second": _document(other, keys[1], None)})
        return ExitCode.OK
    if _window(one) != _window(other):
        say("measured on different windows: the figures are only roughly comparable")
    emit_table(("", "first", "second"), _beside(one, other))
    return ExitCode.OK


@models.command
async def promote(version: uuid.UUID, *, pin: Pin = True, config: ConfigFile = None) -> int:
    """Put a version in use; its artefact is verified first. A running service takes it up within a minute."""
    async with _room(config) as room:
        pointer = await room.desk.promote(version, actor=_ACTOR, pinned=pin)
        _tell(room, pointer)
    return ExitCode.OK


@models.command
async def rollback(market: str, kind: str, *, pin: Pin = True, config: ConfigFile = None) -> int:
    """Go back to the version in use before the present one."""
    async with _room(config) as room:
        number, name = room.named(market), _kind(kind)
        _tell(room, await room.desk.rollback(number, name, actor=_ACTOR, pinned=pin))
    return ExitCode.OK


@models.command
async def history(
    *, market: OfMarket = None, kind: OfKind = None, limit: Most = 50, config: ConfigFile = None, json: AsJson = False
) -> int:
    """List what happened to versions, newest first."""
    from pricewatch.wire.models import event

    async with _room(config) as room:
        found = await room.registry.events(markets=room.chosen(market), kind=_kind(kind), limit=limit)
        rows = [(one, room.key(one.market)) for one in found]
    if json:
        emit([msgspec.to_builtins(event(key, one)) for one, key in rows])
        return ExitCode.OK
    emit_table(
        ("at", "what", "by", "market", "kind", "version", "detail"),
        (
            (
                rfc3339(one.at)[:19],
                one.what.value,
                one.actor,
                key,
                one.kind,
                one.version,
                ", ".join(
                    f"{name} {_short(value)}" for name, value in one.detail.items() if value not in {None, False}
                ),
            )
            for one, key in rows
        ),
    )
    return ExitCode.OK


def _document(one: Baseline, key: str, pointer: Pointer | None) -> dict[str, Any]:
    from pricewatch.wire.models import baseline

    found: dict[str, Any] = msgspec.to_builtins(baseline(key, one, pointer))
    return found


def _beside(one: Baseline, other: Baseline) -> Sequence[Sequence[object]]:
    rows: list[Sequence[object]] = [
        ("trained to", rfc3339(one.trained_to)[:16], rfc3339(other.trained_to)[:16]),
        ("rows", one.rows_used, other.rows_used),
        ("loss (below 1: better than naive)", _loss(one.metrics), _loss(other.metrics)),
    ]
    later = {found["steps"]: found for found in other.metrics.get("horizons", ())}
    for found in one.metrics.get("horizons", ()):
        beside = later.get(found["steps"])
        rows.append((f"error {found['steps']} steps ahead", _mae(found), "" if beside is None else _mae(beside)))
    if one.metrics.get("events"):
        rows.append(("events found (100: all at once)", _events(one), _events(other)))
    return rows


def _mae(found: dict[str, Any]) -> str:
    return f"{found['mae']:.5f} (naive {found['mae_naive']:.5f})"


def _events(one: Baseline) -> str:
    found = one.metrics.get("events")
    if not found:
        return ""
    met = f"{found['met']} of {found['windows']}, {found['false_alarms']} false alarms"
    return f"{found['score']:.0f}: {met} (plain level {found['score_level']:.0f})"


def _window(one: Baseline) -> tuple[Any, Any]:
    return one.metrics.get("held_from"), one.metrics.get("held_to")


def _tell(room: Room, pointer: Pointer) -> None:
    pinned = "pinned: no refit replaces it" if pointer.pinned else "until a refit is better"
    say(f"{room.key(pointer.market)} {pointer.kind} uses version {pointer.version} ({pinned})")


def _kind(text: T) -> T:
    if text is not None and text not in KINDS:
        raise Invalid("--kind", f"{text[:40]!r} is none; write {', '.join(KINDS)}")
    return text


def _loss(metrics: dict[str, Any] | None) -> str:
    return "" if metrics is None else _short(metrics.get("loss"))


def _short(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)
