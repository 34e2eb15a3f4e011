"""Logistic regression: from a few features of an answer to the probability that it is right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_DEVIATION = 1e-6  # of a feature, which is as good as constant below it
LEAST_CURVATURE = 1e-9  # keeps a step finite where the probabilities are 0 and 1 already


@dataclass(frozen=True)
class Logistic:
    """A fitted regression; `weights` follow the class's `names`.

    Raises ValueError where they are not as many.
    """

    intercept: float
    weights: tuple[float, ...]

    names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.names):
            raise ValueError(f"{len(self.weights)} weights for {len(self.names)} features")

    def probability(self, features: Array) -> Array:
        """float64 `[N]` of features `[N, len(names)]`."""
        return sigmoid(features @ np.asarray(self.weights) + self.intercept)


def fit_logistic(x: Array, y: Array, *, ridge: float = 1.0) -> Array:
    """Intercept and weights `[1 + K]` of the regression of y `[N]` (0 or 1) on x `[N, K]`, by Newton's method.

    ridge: on the squares of the weights of standardised features, against a weight of 1 for each answer; it keeps the
    fit finite where a feature separates right from wrong.
    """
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), LEAST_DEVIATION)
    design = np.column_stack([np.ones(len(x)), (x - mean) / deviation])
    penalty = ridge * np.diag([0.0, *np.ones(x.shape[1])])
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = sigmoid(design @ beta)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + penalty + LEAST_CURVATURE * np.eye(len(beta))
        step = np.linalg.solve(curvature, design.T @ (y - p) - penalty @ beta)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    slopes = beta[1:] / deviation
    return np.concatenate([[beta[0] - slopes @ mean], slopes])


def fit_signed(x: Array, y: Array, sign: Array, *, used: NDArray[np.bool_] | None = None, ridge: float = 1.0) -> Array:
    """Like `fit_logistic`, leaving out features whose weight comes out with a sign that only these answers can explain.

    sign: `[K]`, 1 for a feature that speaks for an answer, -1 for one that speaks against it, 0 for one that may do
    either. used: bool `[K]`, which to begin with; all if None. What is left out has the weight 0.
    """
    kept = np.ones(len(sign), bool) if used is None else used.copy()
    while True:
        found = fit_logistic(x[:, kept], y, ridge=ridge)
        wrong = found[1:] * sign[kept] < 0
        if not wrong.any():
            break
        kept[np.flatnonzero(kept)[wrong]] = False
    weights = np.zeros(len(sign))
    weights[kept] = found[1:]
    return np.concatenate([found[:1], weights])


def signs_of(names: Sequence[str], speak_for: Sequence[str], speak_against: Sequence[str]) -> Array:
    """`[K]` as `fit_signed` wants them."""
    return np.array([float(name in speak_for) - float(name in speak_against) for name in names])


def sigmoid(x: Any) -> Any:
    """Of a float or an array; far from 0 and 1 by at least e^-50."""
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def logit(p: float) -> float:
    """The inverse, of a probability that is held off 0 and 1 by a millionth."""
    return float(np.log(max(p, 1e-6) / max(1 - p, 1e-6)))
