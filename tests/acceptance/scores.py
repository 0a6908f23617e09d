"""The combined anomaly score of a market, from its written definition: two views of the log return, half each."""

from __future__ import annotations

import math

from river import stats


class Size:
    """The return's distance from its exponentially weighted mean (memory 100), as 2 log10 of its deviations."""

    def __init__(self) -> None:
        self.mean, self.square = stats.EWMean(0.01), stats.EWMean(0.01)
        self.empty = True

    def variance(self) -> float:
        return max(float(self.square.get() - self.mean.get() ** 2), 1e-12)

    def score(self, x: float) -> float:
        if self.empty:
            return 0.0
        deviations = abs(x - self.mean.get()) / math.sqrt(self.variance())
        return 2 * math.log10(deviations) if deviations > 1 else 0.0

    def learn(self, x: float) -> None:
        if not self.empty:
            most = 8 * math.sqrt(self.variance())
            x = self.mean.get() + max(-most, min(most, x - self.mean.get()))
        self.empty = False
        self.mean.update(x)
        self.square.update(x**2)


class Rarity:
    """-log10 of the probability of so large a return: Hill's tail over an edge that a hundredth of them pass."""

    def __init__(self) -> None:
        self.scale = stats.EWMean(0.001)
        self.excess, self.share = stats.EWMean(0.02), stats.EWMean(0.0005)
        self.excess.update(0.5)
        self.share.update(0.01)
        self.edge = 1.0
        self.empty = True

    def score(self, x: float) -> float:
        if self.empty:
            return 0.0
        size = abs(x) / max(self.scale.get(), 1e-6)
        edge_rank = -math.log10(self.share.get())
        if size <= self.edge:
            return edge_rank * size / self.edge
        return edge_rank + math.log10(size / self.edge) / max(self.excess.get(), 1e-8)

    def learn(self, x: float) -> None:
        if self.empty:
            self.empty = False
            self.scale.update(abs(x))
            return
        unit = max(self.scale.get(), 1e-6)
        size = min(abs(x) / unit, 50.0)
        beyond = size > self.edge
        self.share.update(1.0 if beyond else 0.0)
        if beyond:
            self.excess.update(math.log(size / self.edge))
            self.edge *= math.exp(0.05 * 0.99)
        else:
            self.edge = max(1.0, self.edge * (1 - 0.05 * 0.01))
        self.scale.update(size * unit)


class Scores:
    """One market's: scored first, learned afterwards; nothing before `warm_up` returns."""

    def __init__(self, warm_up: int) -> None:
        self.views = (Size(), Rarity())
        self.warm_up = warm_up
        self.learned = 0
        self.last: float | None = None

    def next(self, price: float) -> float | None:
        """The score of the next in-order price."""
        if self.last is None:
            self.last = price
            return None
        x = math.log(price / self.last)
        self.last = price
        score = sum(view.score(x) for view in self.views) / 2 if self.learned >= self.warm_up else None
        for view in self.views:
            view.learn(x)
        self.learned += 1
        return score
