"""`then`: one condition begins after another, all within a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

import msgspec

from pricewatch.domain.time import SECOND
from pricewatch.rules.base import Document
from pricewatch.rules.composite import MOST_NODES, Composite, Nested, Progress, Truth, member
from pricewatch.rules.policy import Back
from pricewatch.rules.windows import window


class ThenDocument(Nested, frozen=True, tag_field="type", tag="then"):
    """`{"type": "then", "steps": [{"type": "below", "level": "60000"}, {"type": "above", ...}], "within": "10m"}`."""

    steps: Annotated[list[Document], msgspec.Meta(min_length=2, max_length=MOST_NODES)]
    within: Annotated[str, msgspec.Meta(description="From the first step's beginning to the last one's, e.g. '10m'.")]

    def inside(self) -> Sequence[Document]:
        """The steps."""
        return self.steps

    def build(self, back: Back) -> Then:
        """The checked condition; raises `Invalid`."""
        span = window(self.within, "$.when.within")
        return Then(tuple(member(one, back, f"$.when.steps[{place}]") for place, one in enumerate(self.steps)), span)


class Then(Composite, frozen=True):
    """An event: begins when the last step begins and the others have begun before it, one after the other.

    A step begins when it becomes true after having been known to be false; two steps never begin with one and the
    same sample. What completed a sequence is used up. It re-arms once the last step no longer holds.
    """

    within: int

    kind: ClassVar[str] = "then"
    emits_clear: ClassVar[bool] = False

    def combine(self, members: Sequence[Truth], sequences: Iterator[Progress], at: int) -> Truth:
        """Completed, and its last step still holds."""
        progress = next(sequences)
        before, progress.were = progress.were, list(members)
        starts, last = progress.starts, len(members) - 1
        for step in range(last, -1, -1):  # backwards: what this sample begins leads no further
            if not members[step] or before[step] is not False:
                continue
            begun = starts[step - 1] if step else at
            if begun and at - begun <= self.within:
                starts[step] = begun
        if starts[last]:
            progress.starts, progress.done = [0] * len(members), True
        elif not members[last]:
            progress.done = False
        return progress.done

    def evidence(self) -> dict[str, Any]:
        """The time it may take, in seconds."""
        return {"within": self.within / SECOND}

    def sequences(self) -> Iterator[Progress]:
        """Its members' and its own."""
        yield from super().sequences()
        steps = len(self.members)
        yield Progress([0] * steps, [None] * steps)
