"""`and`, `or`, `not`: conditions on several numbers at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

import msgspec

from pricewatch.rules.base import Document
from pricewatch.rules.composite import MOST_NODES, Composite, Nested, Progress, Truth, member
from pricewatch.rules.policy import Back


class AndDocument(Nested, frozen=True, tag_field="type", tag="and"):
    """`{"type": "and", "of": [{"type": "above", "level": "70000"}, {"type": "volume", "times": 5}]}`."""

    of: Annotated[list[Document], msgspec.Meta(min_length=2, max_length=MOST_NODES)]

    def inside(self) -> Sequence[Document]:
        """The members."""
        return self.of

    def build(self, back: Back) -> And:
        """The checked condition; raises `Invalid`."""
        return And(tuple(member(one, back, f"$.when.of[{place}]") for place, one in enumerate(self.of)))


class OrDocument(Nested, frozen=True, tag_field="type", tag="or"):
    """`{"type": "or", "of": [{"type": "above", "level": "70000"}, {"type": "below", "level": "60000"}]}`."""

    of: Annotated[list[Document], msgspec.Meta(min_length=2, max_length=MOST_NODES)]

    def inside(self) -> Sequence[Document]:
        """The members."""
        return self.of

    def build(self, back: Back) -> Or:
        """The checked condition; raises `Invalid`."""
        return Or(tuple(member(one, back, f"$.when.of[{place}]") for place, one in enumerate(self.of)))


class NotDocument(Nested, frozen=True, tag_field="type", tag="not"):
    """`{"type": "not", "of": {"type": "spread", "percent": "0.5%"}}`."""

    of: Document

    def inside(self) -> Sequence[Document]:
        """The one member."""
        return (self.of,)

    def build(self, back: Back) -> Not:
        """The checked condition; raises `Invalid`."""
        return Not((member(self.of, back, "$.when.of"),))


class And(Composite, frozen=True):
    """True while all members are, false once one is false, whatever is known of the others."""

    kind: ClassVar[str] = "and"

    def combine(self, members: Sequence[Truth], sequences: Iterator[Progress], at: int) -> Truth:  # noqa: ARG002
        """All of them."""
        if False in members:
            return False
        return None if None in members else True


class Or(Composite, frozen=True):
    """True while one member is, whatever is known of the others, false once all are false."""

    kind: ClassVar[str] = "or"

    def combine(self, members: Sequence[Truth], sequences: Iterator[Progress], at: int) -> Truth:  # noqa: ARG002
        """One of them."""
        if True in members:
            return True
        return None if None in members else False


class Not(Composite, frozen=True):
    """True while its member is known to be false."""

    kind: ClassVar[str] = "not"

    def combine(self, members: Sequence[Truth], sequences: Iterator[Progress], at: int) -> Truth:  # noqa: ARG002
        """The opposite."""
        (only,) = members
        return None if only is None else not only
