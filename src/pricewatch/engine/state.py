"""What goes into the engine and what comes out of it."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import msgspec

from pricewatch.domain.rule import StateRow
from pricewatch.domain.signal import Signal
from pricewatch.rules.document import Rule


class ActiveRule(msgspec.Struct, frozen=True):
    """A version of a rule the engine shall evaluate from `effective_seen` on."""

    id: uuid.UUID
    account_id: uuid.UUID
    version: int
    rule: Rule
    effective_seen: int


class Transition(msgspec.Struct, frozen=True):
    """A state to be stored and the signal, if any, that belongs into the same transaction."""

    row: StateRow
    signal: Signal | None


class Rest(NamedTuple):
    """A market on which nothing changes while `down < price < up`, for trades whose event time is before `due_at`."""

    down: float
    up: float
    due_at: int
