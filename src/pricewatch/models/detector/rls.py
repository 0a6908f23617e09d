"""Linear regression by recursive least squares with exponential forgetting.

S. Haykin, Adaptive Filter Theory, chapter "The Family of RLS Algorithms"; the matrix is kept without the forgetting
factor, which is one number beside it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from river import base
from scipy.linalg.blas import daxpy, ddot, dsymv, dsyr

Vector = npt.NDArray[np.float64]

_WIDEST = 1e6
"""Forgetting that has piled up to this much is multiplied into the matrix."""


class RecursiveLeastSquares(base.Regressor):
    """Weights that minimise the squared errors so far, each weighed `forgetting` to the power of its age.

    Beside River's `learn_one` and `predict_one`, which take features by name (new ones may appear at any time),
    `predict` and `learn` take a vector of a fixed width and cost a few microseconds.

    Parameters
    ----------
    forgetting
        0.9995 remembers about 2,000 rows.
    freedom
        Prior variance of each weight around nought, in units of the noise.

    """

    def __init__(self, forgetting: float = 0.9995, freedom: float = 100.0) -> None:
        self.forgetting = forgetting
        self.freedom = freedom
        self._names: dict[Hashable, int] = {}
        self._weights: Vector = np.zeros(0)
        self._matrix: Vector = np.zeros((0, 0), order="F")
        self._gain: Vector = np.zeros(0)
        self._factor = 1.0

    def width(self, count: int) -> RecursiveLeastSquares:
        """Take vectors of `count` features from now on; what was learned is forgotten."""
        self._weights = np.zeros(count)
        self._matrix = np.asfortranarray(np.eye(count) * self.freedom)
        self._gain = np.zeros(count)
        self._factor = 1.0
        return self

    def predict(self, features: Vector) -> float:
        """The expected target."""
        weights = self._weights
        expected: float = ddot(weights, features) if len(weights) else 0.0
        return expected

    def learn(self, features: Vector, error: float) -> None:
        """Take a row in; `error` is its target less `predict(features)`, perhaps winsorised."""
        # Arguments go by position: by name, these calls cost four times as much. They work in place.
        weights, matrix, gain = self._weights, self._matrix, self._gain
        dsymv(1.0, matrix, features, 0.0, gain, 0, 1, 0, 1, 0, 1)
        spread = self.forgetting / self._factor + ddot(features, gain)
        if not 0.0 < spread < math.inf:
            self.width(len(weights))  # rounding has eaten the matrix: begin anew
            return
        daxpy(gain, weights, len(weights), error / spread)
        dsyr(-1.0 / spread, gain, 0, 1, 0, len(gain), matrix, 1)
        self._factor /= self.forgetting
        if self._factor > _WIDEST:
            matrix *= self._factor
            self._factor = 1.0

    def learn_one(self, x: Mapping[Any, float], y: float) -> None:
        """River's way in."""
        for name in sorted((name for name in x if name not in self._names), key=repr):
            self._grow(name)
        features = self._vector(x)
        self.learn(features, y - self.predict(features))

    def predict_one(self, x: Mapping[Any, float]) -> float:
        """River's way out; features never learned count for nothing."""
        return self.predict(self._vector(x))

    def dump(self) -> list[float]:
        """Factor, weights and the matrix's upper half, in order of its rows."""
        upper = self._matrix[np.triu_indices(len(self._weights))]
        return [self._factor, *self._weights.tolist(), *upper.tolist()]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore a dump of the same width exactly. Raises `ValueError` for anything else."""
        count = len(self._weights)
        if len(numbers) != 1 + count + count * (count + 1) // 2:
            raise ValueError(f"not the state of {count} weights: {len(numbers)} numbers")
        self._factor = numbers[0]
        self._weights = np.array(numbers[1 : 1 + count], dtype=np.float64)
        self._gain = np.zeros(count)
        self._matrix = np.zeros((count, count), order="F")
        self._matrix[np.triu_indices(count)] = numbers[1 + count :]

    def _vector(self, x: Mapping[Any, float]) -> Vector:
        features = np.zeros(len(self._weights))
        for name, value in x.items():
            place = self._names.get(name)
            if place is not None:
                features[place] = value
        return features

    def _grow(self, name: Hashable) -> None:
        count = len(self._weights)
        matrix = np.zeros((count + 1, count + 1), order="F")
        matrix[:count, :count] = self._matrix
        matrix[count, count] = self.freedom / self._factor
        self._matrix = matrix
        self._gain = np.zeros(count + 1)
        self._weights = np.append(self._weights, 0.0)
        self._names[name] = count
