"""SODA (Fujita et al., ECCV 2020): dense captions as one story, matched to the true one in order."""

import numpy as np
from numpy.typing import NDArray


def ordered_match(scores: NDArray[np.float64]) -> float:
    """The best sum of scores of an alignment that keeps the order of both sides and pairs each with one at most.

    scores: float64 `[G, P]`, at least 0, of every truth with every prediction. Returns 0 where either is empty.
    """
    best = np.zeros(scores.shape[1] + 1)
    for row in scores:
        taken = best[:-1] + row
        best[1:] = np.maximum.accumulate(np.maximum(taken, best[1:]))
    return float(best[-1])


def soda_c(iou: NDArray[np.float64], similarity: NDArray[np.float64]) -> float:
    """SODA_c of one video: F of the ordered match, by the number of predictions and by that of truths, in [0, 1].

    iou, similarity: float64 `[G, P]` of spans and of captions, both in [0, 1]; they are multiplied. No prediction is 0.
    """
    truths, predictions = iou.shape
    matched = ordered_match(iou * similarity)
    return 2 * matched / (truths + predictions) if matched > 0 else 0.0
