"""What groups and sequences have in common: members, each true, false or not known yet, and what is made of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.rules.base import Condition, Document, Feature, Triggers, rising
from pricewatch.rules.policy import Back

WHEN = "$.when"
DEEPEST = 5
MOST_NODES = 50
GROUP = Feature("group")
"""1 while a group is known to hold, else 0."""

Truth = bool | None
"""None: never known yet. A member that becomes unknown again stays as it was."""


class Progress(msgspec.Struct, array_like=True):
    """How far a sequence has come."""

    starts: list[int]
    """Per step the event time at which the newest chain that has reached it began; 0 for none."""
    were: list[Truth]
    """Each step's truth at the last look."""
    done: bool = False
    """Its last step completed a chain and still holds."""


class Memory(msgspec.Struct, array_like=True):
    """What a rule of several members remembers of them on one market."""

    truths: list[Truth]
    """Per single condition, in the order in which they are written."""
    sequences: list[Progress]
    """Per sequence, in order of their ends."""


class Nested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that holds others."""

    percents: ClassVar[bool] = False

    @abstractmethod
    def inside(self) -> Sequence[Document]:
        """What it holds."""


class Composite(msgspec.Struct, frozen=True):
    """A condition made of others. Its number is its truth; hysteresis is its members' business."""

    members: tuple[Condition, ...]

    kind: ClassVar[str] = "group"
    emits_clear: ClassVar[bool] = True

    @property
    def level(self) -> float:
        """Between false and true."""
        return 0.5

    @property
    def clear(self) -> float:
        """Between false and true."""
        return 0.5

    def needs(self) -> Feature:
        """Its own truth."""
        return GROUP

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """It is true."""
        return x > 0.5

    def holds(self, x: float) -> bool:
        """It is true."""
        return x > 0.5

    def cleared(self, x: float) -> bool:
        """It is false."""
        return x <= 0.5

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep until it changes."""
        return rising(phase, 0.5, 0.5)

    def evidence(self) -> dict[str, Any]:
        """The members' evidence is told beside their truths."""
        return {}

    @abstractmethod
    def combine(self, members: Sequence[Truth], sequences: Iterator[Progress], at: int) -> Truth:
        """The truth that follows from the members'."""

    def shape(self) -> dict[str, Any]:
        """How it is built, for evidence: null stands for the next single condition."""
        parts = [member.shape() if isinstance(member, Composite) else None for member in self.members]
        return {"kind": self.kind, "of": parts}

    def leaves(self) -> Iterator[Condition]:
        """The single conditions, in the order in which they are written."""
        for member in self.members:
            if isinstance(member, Composite):
                yield from member.leaves()
            else:
                yield member

    def memory(self) -> Memory:
        """Nothing is known yet."""
        return Memory([None] * sum(1 for _ in self.leaves()), list(self.sequences()))

    def judge(self, memory: Memory, at: int) -> Truth:
        """Its truth at event time `at`, by the truths remembered; sequences go on with it."""
        return self.look(iter(memory.truths), iter(memory.sequences), at)

    def look(self, truths: Iterator[Truth], sequences: Iterator[Progress], at: int) -> Truth:
        """As `judge`, of a part: takes as many of both as it has."""
        members = [
            member.look(truths, sequences, at) if isinstance(member, Composite) else next(truths)
            for member in self.members
        ]
        return self.combine(members, sequences, at)

    def sequences(self) -> Iterator[Progress]:
        """A fresh progress per sequence, inner ones first."""
        for member in self.members:
            if isinstance(member, Composite):
                yield from member.sequences()


def load(when: Composite, payload: bytes) -> Memory:
    """A stored memory; a fresh one where it does not fit the condition."""
    fresh = when.memory()
    try:
        found = msgspec.msgpack.decode(payload, type=Memory)
    except msgspec.MsgspecError:
        return fresh
    return found if _shape(found) == _shape(fresh) else fresh


def dump(memory: Memory) -> bytes:
    """For storage; `load` reads it."""
    return msgspec.msgpack.encode(memory)


def _shape(memory: Memory) -> list[int]:
    sizes = [size for one in memory.sequences for size in (len(one.starts), len(one.were))]
    return [len(memory.truths), *sizes]


def member(document: Document, back: Back, field: str) -> Condition:
    """One checked member, written at `field`; raises `Invalid` that names it."""
    if back.clear is not None:
        raise Invalid("$.policy.clear", "a group has no level of its own; use 'hysteresis', which every member takes")
    try:
        return document.build(back)
    except Invalid as exc:
        raise Invalid(field + exc.field.removeprefix(WHEN), exc.problem) from exc


def size(document: object) -> tuple[int, int]:
    """`(nodes, depth)` of a condition as written; a single one is 1, 1. However deep it is."""
    nodes, depth, level = 0, 0, [document]
    while level:
        nodes += len(level)
        depth += 1
        level = [inner for one in level if isinstance(one, Nested) for inner in one.inside()]
    return nodes, depth


def check_size(document: object) -> None:
    """Raises `Invalid` for a condition that is too deep or has too many parts."""
    nodes, depth = size(document)
    if depth > DEEPEST:
        raise Invalid(WHEN, f"groups are {depth} deep; at most {DEEPEST} are allowed: flatten them")
    if nodes > MOST_NODES:
        raise Invalid(WHEN, f"{nodes} conditions and groups are too many; at most {MOST_NODES}: split the rule")
