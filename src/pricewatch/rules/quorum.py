"""`k` of `n` venues agree: one state a symbol, over each venue's own truth."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.rule import Phase
from pricewatch.domain.time import SECOND
from pricewatch.rules.base import Condition, Feature, Triggers, rising
from pricewatch.rules.composite import Composite

RECENT = 10 * SECOND
"""A venue counts while its last trade is at most that old, by the newest trade of them all."""
MOST_VENUES = 50
VOTES = Feature("votes")
"""On how many venues that count a condition holds."""

Venues = Annotated[list[str], msgspec.Meta(min_length=1, max_length=1_000)]


class QuorumDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{"at_least": 2, "of": ["coinbase", "kraken", "binance"]}`."""

    at_least: Annotated[int, msgspec.Meta(ge=2, le=MOST_VENUES, description="On so many venues at once.")]
    of: Annotated[Venues | Literal["any"], msgspec.Meta(description="Venues by name, or 'any'.")] = "any"

    def check(self) -> None:
        """Raises `Invalid` for more venues than are named."""
        if self.of != "any" and len(set(self.of)) < self.at_least:
            problem = f"{self.at_least} of {len(set(self.of))} venues is never reached; name more of them"
            raise Invalid("$.venues.at_least", problem)


class Alone(Composite, frozen=True):
    """A single condition as a group of one, so that every venue's part is a group."""

    kind: ClassVar[str] = "alone"

    def combine(self, members: Any, sequences: Any, at: int) -> bool | None:  # noqa: ARG002
        """Its truth."""
        return members[0]  # type: ignore[no-any-return]


class Quorum(msgspec.Struct, frozen=True):
    """Holds while `each` holds on at least `at_least` venues whose last trade is recent; ends when on fewer."""

    each: Composite
    at_least: int
    kind_of: str
    emits_clear: bool
    """As what its venues are asked."""

    @property
    def kind(self) -> str:
        """What its venues are asked."""
        return self.kind_of

    @property
    def level(self) -> float:
        """Between enough and too few."""
        return self.at_least - 0.5

    @property
    def clear(self) -> float:
        """Between enough and too few."""
        return self.at_least - 0.5

    def needs(self) -> Feature:
        """How many venues agree."""
        return VOTES

    def begins(self, prior: float, x: float) -> bool:  # noqa: ARG002 - what was before does not matter
        """Enough of them."""
        return x > self.level

    def holds(self, x: float) -> bool:
        """Enough of them."""
        return x > self.level

    def cleared(self, x: float) -> bool:
        """Too few."""
        return x <= self.clear

    def triggers(self, phase: Phase, x: float) -> Triggers:  # noqa: ARG002 - one side only
        """Sleep until their number passes the mark."""
        return rising(phase, self.level, self.clear)

    def evidence(self) -> dict[str, Any]:
        """How many must agree, and what is asked of each."""
        leaves = [leaf.evidence() for leaf in self.each.leaves()]
        return {"at_least": self.at_least, **(leaves[0] if len(leaves) == 1 else {})}


def agree(condition: Condition, at_least: int) -> Quorum:
    """The condition, asked of every venue."""
    each = condition if isinstance(condition, Composite) else Alone((condition,))
    return Quorum(each, at_least, condition.kind, condition.emits_clear)
