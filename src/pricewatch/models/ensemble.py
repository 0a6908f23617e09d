"""All online models of one market as one: scored, taught, guarded and saved together."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from pricewatch.domain.model import Snapshot
from pricewatch.models.base import OnlineModel

NAN, INF = math.nan, math.inf
_NUMBERS = msgspec.msgpack.Decoder(list[float])
_PASSING = (KeyboardInterrupt, SystemExit)
"""What is not a model's failure; River's Rust panics, on the other hand, are no `Exception`."""


def version(kinds: Mapping[str, type[OnlineModel]]) -> str:
    """What a signal says took part: `ewz+tail@1.1`, names and schemas."""
    return "+".join(kinds) + "@" + ".".join(str(kind.schema) for kind in kinds.values())


class Ensemble:
    """Judges a market's prices by their log returns. A failing model never gets out: all go back to a good state."""

    __slots__ = (
        "_counts", "_every", "_good", "_kinds", "_left", "_models", "failures", "last", "learned", "scores", "warm_up",
    )  # fmt: skip

    def __init__(self, kinds: Mapping[str, type[OnlineModel]], *, warm_up: int = 100, checkpoint: int = 1_000) -> None:
        self._kinds = kinds
        self._models: list[OnlineModel] = []
        self._good: list[list[float]] = []
        self._counts: dict[str, int] = {}
        self._every = self._left = checkpoint
        self.warm_up = warm_up
        self.failures = 0
        """How often a model failed and the last good state was taken back."""
        self.learned = 0
        """Returns learned."""
        self.last = NAN
        """The last price learned."""
        self.scores: list[float] = []
        """Each model's own score of the last price scored."""
        self._renew()

    def score(self, price: float) -> float:
        """The weighted sum of the models' scores of the return to `price`; NaN until they are warm.

        Changes nothing but `scores`.
        """
        if self.learned < self.warm_up:
            return NAN
        x = math.log(price / self.last)
        scores = self.scores
        total = 0.0
        try:
            for place, model in enumerate(self._models):
                scores[place] = part = model.score(x)
                total += model.weight * part
        except _PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see _PASSING
            self._recover()
            return NAN
        if math.isfinite(total):
            return total
        self._recover()
        return NAN

    def learn(self, price: float) -> None:
        """Take a price in, after it has been scored."""
        last, self.last = self.last, price
        if math.isnan(last):
            return
        x = math.log(price / last)
        try:
            for model in self._models:
                model.learn(x)
        except _PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see _PASSING
            self._recover()
            return
        self.learned += 1
        self._left -= 1
        if not self._left:
            self._checkpoint()

    def take(self, price: float) -> float:
        """`score`, then `learn`: the very same numbers, unless a model fails; then it learns nothing of this price."""
        last = self.last
        if self.learned < self.warm_up:
            self.learn(price)
            return NAN
        self.last = price
        x = math.log(price / last)
        scores, total = self.scores, 0.0
        try:
            for place, model in enumerate(self._models):
                scores[place] = part = model.take(x)
                total += model.weight * part
        except _PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see _PASSING
            total = NAN
        if not -INF < total < INF:
            self._recover()
            return NAN
        self.learned += 1
        self._left -= 1
        if not self._left:
            self._checkpoint()
        return total

    def parts(self) -> dict[str, float]:
        """Each model's own score of the last price scored; empty until they are warm."""
        if self.learned <= self.warm_up:
            return {}
        return dict(zip(self._kinds, self.scores, strict=True))

    def weights(self) -> dict[str, float]:
        """Each model's share of the combined score."""
        return {name: kind.weight for name, kind in self._kinds.items()}

    def snapshots(self, market: int, seen: int) -> list[Snapshot]:
        """One finite state a model, as of `seen`; nothing while there is no last price or a model is not well."""
        states = self._states()
        if math.isnan(self.last) or states is None:
            return []
        return [
            Snapshot(
                market,
                model.name,
                model.schema,
                seen,
                msgspec.msgpack.encode([float(self.learned), self.last, self.scores[place], *state]),
            )
            for place, (model, state) in enumerate(zip(self._models, states, strict=True))
        ]

    def restore(self, snapshot: Snapshot) -> bool:
        """Take one model's state up; False, and a fresh model that must warm up, when it is not usable."""
        names = list(self._kinds)
        if snapshot.model not in names:
            return False
        place = names.index(snapshot.model)
        kind = self._kinds[snapshot.model]
        model = kind()
        usable = snapshot.schema == kind.schema
        learned, last, score = 0.0, NAN, 0.0
        try:
            learned, last, score, *state = numbers = _NUMBERS.decode(snapshot.payload)
            usable = usable and all(map(math.isfinite, numbers)) and last > 0 <= learned
            if usable:
                model.load(state)
        except (msgspec.MsgspecError, ValueError):
            usable = False
        if usable:
            self.last, self.scores[place] = last, score
        else:
            model = kind()
        self._counts[kind.name] = int(learned) if usable else 0
        self._models[place] = model
        self._good[place] = model.dump()
        self.learned = min(self._counts.get(name, 0) for name in names)
        return usable

    def total(self) -> float:
        """The combined score of the last price scored; NaN until they are warm."""
        if self.learned <= self.warm_up:
            return NAN
        return sum(model.weight * score for model, score in zip(self._models, self.scores, strict=True))

    def _states(self) -> list[list[float]] | None:
        states = [model.dump() for model in self._models]
        return states if all(math.isfinite(number) for state in states for number in state) else None

    def _checkpoint(self) -> None:
        self._left = self._every
        states = self._states()
        if states is None:
            self._recover()
        else:
            self._good = states

    def _recover(self) -> None:
        self.failures += 1
        self._left = self._every
        try:
            for model, state in zip(self._models, self._good, strict=True):
                model.load(state)
        except _PASSING:
            raise
        except BaseException:  # noqa: BLE001 - see _PASSING
            self._renew()

    def _renew(self) -> None:
        self._models = [kind() for kind in self._kinds.values()]
        self._good = [model.dump() for model in self._models]
        self.scores = [0.0] * len(self._models)
        self.learned = 0
