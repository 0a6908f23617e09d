"""A fitted rhythm as a few numbers, evaluated without the library that found them."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from pricewatch.domain.errors import BadData
from pricewatch.domain.time import DAY, MINUTE

Numbers = npt.NDArray[np.float64]
Instants = npt.NDArray[np.int64]

SCHEMA = 1
_MOST_BYTES = 64 * 1024
_MOST_SEASONS = 8
_MOST_ORDER = 32
_MOST = 1e4


class Season(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rhythm: sines and cosines of `order` harmonics of a period in days."""

    name: str
    period: float
    order: int
    prior: float = 10.0
    """How freely it is fitted."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`level + slope * days since start + seasons`, in the unit of what was fitted."""

    schema: int
    start: int
    """Where the trained rows begin, µs."""
    level: float
    slope: float
    """A day."""
    seasons: list[Season]
    weights: list[float]
    """Sine and cosine of each harmonic of each season, in order."""


def seasons_for(at: Instants, step: int) -> list[Season]:
    """The rhythms that rows can tell apart: a day from two days on, a week from two weeks on, an hour by minutes."""
    span = int(at[-1] - at[0])
    found = []
    if step <= 5 * MINUTE:
        found.append(Season("hour", 1 / 24, 2, 0.1))
    if span >= 2 * DAY and step < DAY // 2:
        found.append(Season("day", 1.0, 8))
    if span >= 14 * DAY:
        found.append(Season("week", 7.0, 6 if step < DAY else 3))
    return found


def expected(shape: Shape, at: Instants) -> Numbers:
    """The shape's value at each instant."""
    days = at.astype(np.float64) / DAY
    found = np.full(len(at), shape.level) + shape.slope * ((at - shape.start).astype(np.float64) / DAY)
    place = 0
    for season in shape.seasons:
        for harmonic in range(1, season.order + 1):
            turn = (2.0 * math.pi * harmonic / season.period) * days
            found += shape.weights[place] * np.sin(turn) + shape.weights[place + 1] * np.cos(turn)
            place += 2
    return found


def flattened(shape: Shape, seasonal: float, drift: float) -> Shape:
    """The same shape with its seasons and its slope multiplied, each by a share from 0 to 1."""
    return msgspec.structs.replace(
        shape, slope=shape.slope * drift, weights=[weight * seasonal for weight in shape.weights]
    )


def dump(shape: Shape) -> bytes:
    """Its artefact: JSON, the same bytes for the same shape."""
    return msgspec.json.encode(shape)


_decode = msgspec.json.Decoder(Shape).decode


def load(payload: bytes) -> Shape:
    """The shape of an artefact. Raises `BadData` for anything else: other schema, wrong counts, absurd numbers."""
    if len(payload) > _MOST_BYTES:
        raise BadData("artefact", f"{len(payload)} bytes, at most {_MOST_BYTES}")
    try:
        shape = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadData("artefact", str(error)[:200]) from error
    if shape.schema != SCHEMA:
        raise BadData("artefact", f"schema {shape.schema} is not known here; this version reads {SCHEMA}")
    _check(shape)
    return shape


def _check(shape: Shape) -> None:
    if len(shape.seasons) > _MOST_SEASONS or any(
        not (0 < one.order <= _MOST_ORDER and 0 < one.period < math.inf) for one in shape.seasons
    ):
        raise BadData("artefact", "a season without a usable period or order")
    if len(shape.weights) != sum(2 * one.order for one in shape.seasons):
        raise BadData("artefact", "as many weights as the seasons have terms are needed")
    if any(abs(one) > _MOST for one in (shape.level, shape.slope, *shape.weights)):
        raise BadData("artefact", f"a number beyond {_MOST:g}, which no logarithm is")
