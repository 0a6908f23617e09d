"""How much of a shape to believe: as much as it helped on rows it was not fitted to."""

from __future__ import annotations

import numpy as np

from pricewatch.models.baselines.forecast import Plan, Series, pairs
from pricewatch.models.baselines.shape import Numbers, Shape, expected, flattened


def shrunk(shape: Shape, series: Series, plan: Plan, since: int, until: int) -> Shape:
    """The shape with its seasons and its slope multiplied by the shares that fit moves into `[since, until)` best.

    Least squares of the moves at the plan's distances on what each part foretold, each distance counting alike; a part
    that foretold the wrong way is dropped, none is ever made larger.
    """
    seasonal, drift = flattened(shape, 1.0, 0.0), flattened(shape, 0.0, 1.0)
    return flattened(shape, _share(seasonal, series, plan, since, until), _share(drift, series, plan, since, until))


def _share(part: Shape, series: Series, plan: Plan, since: int, until: int) -> float:
    over = under = 0.0
    course = expected(part, series.at)
    for steps in plan.horizons:
        origins, targets = pairs(series, steps, since, until)
        moved: Numbers = series.value[targets] - series.value[origins]
        foretold: Numbers = course[targets] - course[origins]
        over += float(moved @ foretold) / steps
        under += float(foretold @ foretold) / steps
    return float(np.clip(over / under, 0.0, 1.0)) if under > 0.0 else 0.0
