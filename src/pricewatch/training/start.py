"""Where the optimiser starts: at the answer by least squares, since Prophet's model is linear but for its noise."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from pricewatch.models.baselines.shape import Numbers

_ROUNDS = 300
"""Far more than are needed: a flat trend takes three, changing ones ten to a hundred."""
_CLOSE = 1e-6
"""A round that gains less than this factor of likelihood (as a logarithm) is the last."""
_NOUGHT = 1e-9
"""A change of slope below this is none."""
_QUIET = 1e-14
"""A variance of noise below this is a perfect fit, which has no most likely noise."""


class Terms(msgspec.Struct, frozen=True):
    """What is fitted, in Prophet's own units: seasons, and a trend that is flat or changes its slope at known times."""

    y: Numbers
    t: Numbers
    seasons: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    sigmas: Numbers
    """Prior deviation of each season's weight."""
    changes: Numbers
    """Times at which the slope may change."""
    tau: float
    """Prior scale of those changes."""
    flat: bool


class Start(msgspec.Struct, frozen=True):
    """A value for each parameter."""

    k: float
    m: float
    delta: list[float]
    sigma_obs: float
    beta: list[float]


def start(terms: Terms) -> Start | None:
    """The most likely parameters; None where they are not found, and then the optimiser does without.

    Weights by least squares with the noise given, noise from what they leave, in turns; changes of slope, whose prior
    is no square, by weights renewed in each turn.
    """
    rows, seasons = terms.seasons.shape
    level = np.ones((rows, 1))
    design = np.hstack([level, terms.seasons])
    prior = np.concatenate([[1 / 25.0], terms.sigmas**-2.0])
    if not terms.flat:
        ramps = np.maximum(terms.t[:, None] - terms.changes[None, :], 0.0)
        design = np.hstack([design, terms.t[:, None], ramps])
        prior = np.concatenate([prior, [1 / 25.0], np.ones(len(terms.changes))])
    found = _solve(design, terms.y, prior, len(prior) - len(terms.changes) if not terms.flat else len(prior), terms.tau)
    if found is None:
        return None
    weights, variance = found
    changes = np.zeros(len(terms.changes)) if terms.flat else weights[2 + seasons :]
    return Start(
        k=0.0 if terms.flat else float(weights[1 + seasons]),
        m=float(weights[0]),
        delta=changes.tolist(),
        sigma_obs=math.sqrt(variance),
        beta=weights[1 : 1 + seasons].tolist(),
    )


def _solve(
    design: np.ndarray[tuple[int, int], np.dtype[np.float64]], y: Numbers, prior: Numbers, ramps: int, tau: float
) -> tuple[Numbers, float] | None:
    """Weights and variance; columns from `ramps` on have a Laplace prior of scale `tau`."""
    square, crossed = design.T @ design, design.T @ y
    weights: Numbers = np.full(len(prior), tau)
    variance, cost = 0.01, math.inf
    for _ in range(_ROUNDS):
        before = cost
        prior[ramps:] = 1.0 / (tau * np.maximum(np.abs(weights[ramps:]), _NOUGHT))
        try:
            weights = np.asarray(
                np.linalg.solve(square / variance + np.diag(prior), crossed / variance), dtype=np.float64
            )
        except np.linalg.LinAlgError:
            return None
        left = y - design @ weights
        rest = float(left @ left)
        variance = 2.0 * rest / (len(y) + math.sqrt(len(y) ** 2 + 16.0 * rest))
        if not variance > _QUIET:
            return None
        cost = rest / (2.0 * variance) + len(y) * math.log(variance) / 2.0 + 2.0 * variance
        cost += float(prior[:ramps] @ weights[:ramps] ** 2) / 2.0 + float(np.abs(weights[ramps:]).sum()) / tau
        if before - cost < _CLOSE:
            return weights, variance
    return None
