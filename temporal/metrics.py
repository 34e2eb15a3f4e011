"""Scores of spans and of rankings, as published evaluations define them.

A span is `(start, end, …)` in seconds, of which only the first two count; intervals are real, their ends belong to
them. Spans are scored as they are: one that ends before it starts, or that is a point, meets nothing.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Times = Sequence[float]
Floats = NDArray[np.float64]


def span_iou(predicted: Times, truth: Times) -> float:
    """Overlap over hull, in [0, 1]: the share of what both cover together, and 0 where they do not meet.

    The intersection over union of spans that overlap, as the scripts of TimeChat, QVHighlights (R@1) and TimeLens
    have it.
    """
    overlap = min(predicted[1], truth[1]) - max(predicted[0], truth[0])
    return overlap / (max(predicted[1], truth[1]) - min(predicted[0], truth[0])) if overlap > 0 else 0.0


def span_iop(predicted: Times, truth: Times) -> float:
    """Overlap over the length of what was predicted (NExT-GQA), in [0, 1]; a point inside the truth is all inside."""
    overlap = min(predicted[1], truth[1]) - max(predicted[0], truth[0])
    if predicted[0] == predicted[1]:
        return float(overlap >= 0)
    return overlap / (predicted[1] - predicted[0]) if overlap > 0 else 0.0


def best_iou(predicted: Times, truths: Sequence[Times]) -> float:
    """`span_iou` with the true span that is met best; 0 where there is none."""
    return max((span_iou(predicted, truth) for truth in truths), default=0.0)


def best_ious(
    predictions: Sequence[Sequence[Times]], truths: Sequence[Sequence[Times]], first: int = 1
) -> list[float | None]:
    """Of each query `best_iou` of the best of its `first` spans, in the order listed; None for a query without.

    predictions, truths: of each query its spans. Raises ValueError for sides of two lengths.
    """
    return [
        max(best_iou(span, true) for span in told[:first]) if told else None
        for told, true in zip(predictions, truths, strict=True)
    ]


def recall_at(
    predictions: Sequence[Sequence[Times]], truths: Sequence[Sequence[Times]], least: float, first: int = 1
) -> float:
    """R@n at an IoU: the share of queries of which one of the `first` spans listed has an IoU of `least` or more.

    A query without predictions is missed at any IoU, also at 0. Raises ValueError as `best_ious`, and without queries.
    """
    return share_of(best_ious(predictions, truths, first), least)


def share_of(ious: Sequence[float | None], least: float) -> float:
    """The share of `best_ious` that reach an IoU. Raises ValueError without any."""
    return _mean([iou is not None and iou >= least for iou in ious])


def mean_iou(predictions: Sequence[Sequence[Times]], truths: Sequence[Sequence[Times]]) -> float:
    """`best_iou` of the first span of each query, averaged; 0 for a query without. Raises ValueError as `recall_at`."""
    return _mean([iou or 0.0 for iou in best_ious(predictions, truths)])


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("nothing to average")
    return math.fsum(values) / len(values)


def moment_average_precision(windows: Floats, scores: Floats, truths: Floats, thresholds: Floats) -> Floats:
    """Average precision of the moments of Q queries (QVHighlights, after ActivityNet and VOC 2011): float64 `[Q, T]`.

    windows `[Q, P, 2]` in the order listed and their scores `[Q, P]`, truths `[Q, G, 2]` with G at least 1, thresholds
    `[T]`. From the best score down, ties as listed, a window takes the true one of highest IoU that is still free, and
    is a false positive where that is below the threshold. Precision is made non-increasing and summed over the steps
    of recall.

    IoU divides by the sum of both lengths less the overlap. As officially, where that is 0, a match counts: of a point
    with a point, and of a window that ends as long before its start as the true one lasts.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    iou = _cross_iou(np.take_along_axis(windows, order[..., None], axis=1), truths)
    preferred = np.argsort(iou, axis=2, kind="stable")[:, :, ::-1]  # of equal ones the last; NaN comes before all
    is_free = np.ones((len(windows), truths.shape[1], len(thresholds)), dtype=bool)
    query = np.arange(len(windows))
    hits = np.zeros((windows.shape[1], len(windows), len(thresholds)))
    for window in range(windows.shape[1]):
        is_open = np.ones(hits.shape[1:], dtype=bool)
        for true in preferred[:, window].T:
            is_open &= ~(iou[query, window, true][:, None] < thresholds)
            taken = is_open & is_free[query, true]
            is_free[query, true] &= ~taken
            hits[window] += taken
            is_open &= ~taken
    right = np.cumsum(hits, axis=0)
    precision = right / np.arange(1, len(right) + 1)[:, None, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    recall = right / truths.shape[1]
    steps = np.diff(recall, axis=0, prepend=0)
    total = np.zeros(hits.shape[1:])
    for step, height in zip(steps, envelope, strict=True):
        total += step * height
    return total


def _cross_iou(windows: Floats, truths: Floats) -> Floats:
    """`[Q, P, G]`, NaN where both lengths together are 0."""
    start = np.maximum(windows[:, :, None, 0], truths[:, None, :, 0])
    end = np.minimum(windows[:, :, None, 1], truths[:, None, :, 1])
    overlap = np.maximum(end - start, 0.0)
    lengths = (windows[..., 1] - windows[..., 0])[:, :, None] + (truths[..., 1] - truths[..., 0])[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        iou: Floats = overlap / (lengths - overlap)
    return iou


def highlight_average_precision(scores: Floats, is_positive: NDArray[np.bool_]) -> Floats:
    """Average precision of rankings of C clips as QVHighlights has it, float64 `[Q, A]`.

    scores `[Q, C]`, is_positive bool `[Q, C, A]`: by each of A judgements. The best precision at a recall or beyond is
    averaged over the recalls that the ranking comes by, each counting the same however large its step; clips of equal
    scores are one step. Without a positive clip it is 0, with nothing else 1.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    right = np.cumsum(np.take_along_axis(is_positive, order[..., None], axis=1), axis=1)  # [Q, C, A]
    is_step = np.ones(ranked.shape, dtype=bool)
    is_step[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    at_steps = np.where(is_step[..., None], right, 0)
    before = np.zeros_like(at_steps)
    before[:, 1:] = np.maximum.accumulate(at_steps, axis=1)[:, :-1]
    is_new = at_steps > before
    precision = at_steps / np.arange(1, scores.shape[1] + 1)[:, None]
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = is_new.sum(axis=1)
    total = np.where(is_new, best, 0.0).sum(axis=1)
    return np.where(is_positive.all(axis=1) & (scores.shape[1] > 0), 1.0, total / np.maximum(found, 1))


def wilson_interval(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share, in [0, 1]; z = 1.96 is 95 %. Of nothing, n = 0, it is all of [0, 1].

    Raises ValueError unless 0 <= right <= n.
    """
    if not 0 <= right <= n:
        raise ValueError(f"{right} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    share = right / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive has the higher score of a pair with a negative; ties count half.

    scores `[N]`, labels bool `[N]`. Raises ValueError if they differ in length, without a positive or a negative, and
    for a score that is NaN.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if values.shape != positive.shape or values.ndim != 1:
        raise ValueError(f"scores {list(values.shape)} and labels {list(positive.shape)} do not go together")
    if positive.all() or not positive.any():
        raise ValueError("the labels are all the same")
    if np.isnan(values).any():
        raise ValueError("a score is NaN")
    _, level = np.unique(values, return_inverse=True)
    positives = np.bincount(level, weights=positive)
    negatives = np.bincount(level, weights=~positive)
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))


def auroc_of(present: ArrayLike, absent: ArrayLike) -> float:
    """The same of the scores of positives and of negatives apart."""
    positives, negatives = np.asarray(present, dtype=np.float64), np.asarray(absent, dtype=np.float64)
    labels = np.arange(len(positives) + len(negatives)) < len(positives)
    return auroc(np.concatenate([positives, negatives]), labels)


def expected_calibration_error(probabilities: ArrayLike, outcomes: ArrayLike, bins: int = 10) -> float:
    """How far probabilities are from what comes true, in [0, 1] (Guo et al., ICML 2017).

    probabilities `[N]` in [0, 1], outcomes bool `[N]`. In each of `bins` parts of [0, 1] of equal width, the lower end
    included, the mean probability is held against the share that came true; parts count by what lies in them.
    Raises ValueError without any, for sides of two lengths, and for what is no probability.
    """
    told, true = np.asarray(probabilities, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
    if told.shape != true.shape or told.ndim != 1 or not len(told):
        raise ValueError(f"probabilities {list(told.shape)} and outcomes {list(true.shape)} do not go together")
    if not ((told >= 0) & (told <= 1)).all():
        raise ValueError("a probability is in [0, 1]")
    part = np.minimum((told * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(part, weights=told) - np.bincount(part, weights=true)).sum() / len(told))
