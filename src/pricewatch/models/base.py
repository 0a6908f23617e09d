"""What an online model promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol


class OnlineModel(Protocol):
    """Judges one market's log returns, one at a time."""

    name: ClassVar[str]
    schema: ClassVar[int]
    """Changes whenever the meaning of `dump` does."""
    weight: ClassVar[float]
    """Its share of the combined score."""

    def score(self, x: float) -> float:
        """How surprising `x` is: about -log10 of its probability, 0 or more. Changes nothing."""
        ...

    def learn(self, x: float) -> None:
        """Take `x` in, after it has been scored."""
        ...

    def take(self, x: float) -> float:
        """`score`, then `learn`: the very same numbers, for less than one after the other."""
        ...

    def dump(self) -> list[float]:
        """All there is to know, as finite numbers."""
        ...

    def load(self, numbers: Sequence[float]) -> None:
        """Go on exactly where a model of the same schema was dumped; raises `ValueError` for anything else."""
        ...
