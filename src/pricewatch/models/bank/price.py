"""The detector of a market's closed bars."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from river.base.anomaly_detector import AnomalyDetector

from pricewatch.models.bank.scores import NAMES, Look, Scores
from pricewatch.models.bank.tails import TailBank
from pricewatch.models.features import Row

PRIORS: dict[Hashable, float] = {
    "move": 0.30,
    "move5": 0.25,
    "trend": 0.08,
    "range": 0.30,
    "ranges": 0.10,
    "volume": 0.40,
    "volumes": 0.15,
    "cusum": 0.25,
    "wick": 0.30,
}
"""Mean log excess of each score beyond its edge: one over the tail's exponent.

Returns, ranges and wicks of liquid markets fall with an exponent of 3 to 4, volumes with 2 to 3; sums over several bars
fall faster, means of logarithms and a sum beside the root of its own squares (which cannot pass the root of its number)
much faster. A day has fourteen bars beyond the edge: too few to measure an exponent by, so these count for `WORTH`.
"""
WORTH = 200.0


class Judgement(NamedTuple):
    """What a bar says, before anything is learned from it."""

    look: Look
    """The nine scores."""
    logarithms: list[float]
    ranks: list[float]
    """Their rarities."""
    rarity: float
    """The largest of them: about -log10 of the probability of the rarest thing about this bar; 0 while silent."""

    @property
    def parts(self) -> dict[str, float]:
        """The rarities by name."""
        return dict(zip(NAMES, self.ranks, strict=True))


class PriceBank(AnomalyDetector):
    """Nine scores of a bar, each made a rarity by its own past; the rarest counts.

    River's way in takes a `Row` as a mapping; `look` and `learn` take the row itself.
    """

    def __init__(self) -> None:
        self._scores = Scores()
        self._tails = TailBank(worth=WORTH, priors=PRIORS)

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """The rarity; learns nothing."""
        return self.look(Row(**{str(name): value for name, value in x.items()})).rarity

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Take a bar in, after it was scored."""
        row = Row(**{str(name): value for name, value in x.items()})
        self.learn(self.look(row))

    def look(self, row: Row) -> Judgement:
        """What the bar says; changes nothing."""
        look = self._scores.look(row)
        logarithms = list(map(math.log, look.sizes))
        ranks = self._tails.ranks(logarithms)
        rarity = max(ranks)
        return Judgement(look, logarithms, ranks, max(0.0, rarity))

    def learn(self, judgement: Judgement) -> None:
        """Take in what `look` said of a bar."""
        self._tails.learn(judgement.logarithms)
        self._scores.learn(judgement.look)

    def dump(self) -> list[list[float]]:
        """The scores' state, then a tail's each."""
        return [self._scores.dump(), *self._tails.dump()]

    def load(self, parts: Sequence[Sequence[float]]) -> None:
        """Restore a dump exactly. Raises `ValueError` for anything else."""
        if len(parts) != 2 + len(NAMES):
            raise ValueError(f"not a bank's state: {len(parts)} parts")
        self._scores.load(parts[0])
        self._tails.load(parts[1:])
