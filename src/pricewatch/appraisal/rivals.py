"""Simple detectors of unusual bars, to be better than: each gives a score a bar, without looking ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from river.anomaly import GaussianScorer, HalfSpaceTrees

from pricewatch.models.bank.price import PriceBank
from pricewatch.models.bank.rate import AlarmRate
from pricewatch.models.features import SHORT, FeatureStream, Shape

BANK = "price bank"
STATED = "price bank, as stated"
"""The same with its own stated rate: no threshold is looked up on the clean history."""


def bank(bars: Sequence[Shape]) -> tuple[list[float], list[float]]:
    """The price bank's rarities, and the rates of alarms it states."""
    stream, model, rate = FeatureStream(), PriceBank(), AlarmRate()
    rarities, rates = [], []
    for bar in bars:
        row = stream.look(bar)
        judgement = model.look(row)
        rarities.append(judgement.rarity)
        rates.append(rate.step(judgement.rarity))
        model.learn(judgement)
        stream.learn(row)
    return rarities, rates


def _moves(bars: Sequence[Shape]) -> list[float]:
    logs = [math.log(bar.close) for bar in bars]
    return [0.0, *(after - before for before, after in pairwise(logs))]


def z_score(bars: Sequence[Shape]) -> list[float]:
    """The return beside its exponentially weighted mean and deviation."""
    mean, variance, found = 0.0, 1e-10, []
    for move in _moves(bars):
        found.append(abs(move - mean) / math.sqrt(variance))
        mean += 0.02 * (move - mean)
        variance = max(1e-14, variance + 0.02 * ((move - mean) ** 2 - variance))
    return found


def fixed_move(bars: Sequence[Shape]) -> list[float]:
    """The absolute change over five bars: what a rule with a percentage compares with a level."""
    logs = [math.log(bar.close) for bar in bars]
    return [abs(log - logs[max(0, place - SHORT)]) for place, log in enumerate(logs)]


def gaussian(bars: Sequence[Shape]) -> list[float]:
    """River's GaussianScorer on the return."""
    kind: Any = GaussianScorer
    model = kind(grace_period=100)
    found = []
    for move in _moves(bars):
        found.append(float(model.score_one(None, move)))
        model.learn_one(None, move)
    return found


def trees(bars: Sequence[Shape]) -> list[float]:
    """River's HalfSpaceTrees on return, range and volume, each scaled to [0, 1] by what was usual before."""
    model: Any = HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=1)
    stream, found = FeatureStream(), []
    for bar in bars:
        row = stream.look(bar)
        sizes = abs(row.move) / row.sigma, row.size / row.sigma, row.volume / row.usual if row.usual else 0.0
        x = {name: size / (size + 2.0) for name, size in zip(("move", "range", "volume"), sizes, strict=True)}
        found.append(float(model.score_one(x)))
        model.learn_one(x)
        stream.learn(row)
    return found


RIVALS: Mapping[str, Callable[[Sequence[Shape]], list[float]]] = {
    "EW z-score": z_score,
    "GaussianScorer": gaussian,
    "5-bar move": fixed_move,
    "HalfSpaceTrees": trees,
}
