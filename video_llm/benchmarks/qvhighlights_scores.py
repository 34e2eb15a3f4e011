"""The metrics of QVHighlights (Lei et al., NeurIPS 2021), equal to those of its `standalone_eval` to the digit."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.metrics import best_iou, highlight_average_precision, moment_average_precision
from tvu.video_llm.benchmarks.grounding_summary import Asked, Numbers
from tvu.video_llm.benchmarks.types import Table
from tvu.video_llm.errors import BenchmarkError

Floats = NDArray[np.float64]

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
RANGES: Mapping[str, tuple[float, float]] = {"short": (0, 10), "middle": (10, 30), "long": (30, 150)}
LEAST_SALIENCY = {"Fair": 2, "Good": 3, "VeryGood": 4}

_MOST_WINDOWS = 10
_CLIP_SECONDS = 2
_ANNOTATORS = 3
_LONGEST = 1e6  # seconds of a video


def qvhighlights_scores(asked: Sequence[Asked]) -> Numbers:
    """Moments (`moment_scores`) and highlights (`highlight_scores`), whichever any prediction has."""
    told = [each.prediction for each in asked if each.prediction]
    numbers: Numbers = {}
    if any("pred_relevant_windows" in each for each in told) or not told:
        for name in (*RANGES, "full"):
            numbers |= moment_scores(asked, name)
    if any("pred_saliency_scores" in each for each in told) and all("saliency_scores" in e.item.facts for e in asked):
        numbers |= highlight_scores(asked)
    return numbers


def average_precisions(asked: Sequence[Asked]) -> Numbers:
    """`mAP`, `mAP@0.5` and `mAP@0.75` of any moments, as `moment_scores` has them."""
    numbers = moment_scores(asked)
    return {name: numbers[f"MR-full-{name}"] for name in ("mAP", "mAP@0.5", "mAP@0.75")}


def qvhighlights_tables(numbers: Numbers) -> tuple[Table, ...]:
    """What people quote of `qvhighlights_scores`."""
    columns = ("R1@0.5", "R1@0.7", "mAP@0.5", "mAP@0.75", "mAP")
    moments = [
        (name, *(numbers[f"MR-{name}-{column}"] for column in columns))
        for name in (*RANGES, "full")
        if f"MR-{name}-mAP" in numbers
    ]
    highlights = [
        (name, numbers[f"HL-min-{name}-mAP"], numbers[f"HL-min-{name}-Hit1"])
        for name in LEAST_SALIENCY
        if f"HL-min-{name}-mAP" in numbers
    ]
    return (
        Table("QVHighlights: moments, by the length of the true ones", ("", *columns), tuple(moments)),
        Table("QVHighlights: highlights", ("at least", "mAP", "HIT@1"), tuple(highlights)),
    )


def moment_scores(asked: Sequence[Asked], name: str = "full") -> Numbers:
    """`MR-full-R1@0.5` … `@0.95`, `MR-full-mAP@0.5` …, `MR-full-mAP` (their mean), percent, two decimals.

    name: `full`, or one of `RANGES`: of true windows longer than its lower and at most as long as its upper end,
    seconds; what is told is not filtered. Queries without a true window in range are left out, and None is a range
    without any. R1 is of the first window listed, average precision of the first ten by their scores, or as listed
    where they have none. A query to which nothing was told is missed; the official script stops there.
    """
    low, high = RANGES.get(name, (-np.inf, np.inf))
    ranged = [(each, [w for w in each.true if low < w[1] - w[0] <= high]) for each in asked]
    kept = [(each, true) for each, true in ranged if true]
    first = [best_iou(each.told[0], true) if each.told else 0.0 for each, true in kept]
    precision = _precisions([_ranked(each) for each, _ in kept], [true for _, true in kept])
    by_threshold = precision.mean(axis=0) if kept else None
    numbers: Numbers = {}
    for i, least in enumerate(THRESHOLDS):
        numbers[f"MR-{name}-R1@{least}"] = _percent(float(np.mean(np.array(first) >= least))) if kept else None
        numbers[f"MR-{name}-mAP@{least}"] = None if by_threshold is None else _percent(by_threshold[i])
    numbers[f"MR-{name}-mAP"] = None if by_threshold is None else _percent(by_threshold.mean())
    return numbers


def _ranked(asked: Asked) -> list[list[float]]:
    """What average precision looks at, `[start, end, score]`; of queries that came more than once from each time."""
    pooled = asked.prediction.get("pooled") if isinstance(asked.prediction, dict) else None
    windows = [window for told in pooled or [asked.told] for window in told[:_MOST_WINDOWS]]
    return [[window[0], window[1], window[2] if len(window) > 2 else -i] for i, window in enumerate(windows)]


def _precisions(told: Sequence[Sequence[Sequence[float]]], truths: Sequence[Sequence[Sequence[float]]]) -> Floats:
    """`[Q, T]`, queries with as many windows and as many truths at once."""
    precisions = np.zeros((len(told), len(THRESHOLDS)))
    for chosen in _alike([(len(windows), len(true)) for windows, true in zip(told, truths, strict=True)]):
        if told[chosen[0]]:
            windows = np.array([told[i] for i in chosen], dtype=np.float64)
            true = np.array([truths[i] for i in chosen], dtype=np.float64)
            precisions[chosen] = moment_average_precision(
                windows[..., :2], windows[..., 2], true[..., :2], np.array(THRESHOLDS)
            )
    return precisions


def highlight_scores(asked: Sequence[Asked]) -> Numbers:
    """`HL-min-Fair-mAP` and `HL-min-Fair-Hit1`, so for `Good` and `VeryGood`, percent, two decimals.

    A clip of two seconds is positive where an annotator gave it 2, 3 or 4 at least. Hit1: the clip of highest saliency,
    of equal ones the first, is positive to any of the three, and no clip after the end. mAP: a ranking of all clips,
    cut or filled with zeros, for each annotator. A query without saliency counts as 0 in both; the official script
    stops there. Raises BenchmarkError where the truth is not three scores for each clip that it lists.
    """
    precisions = np.zeros((len(asked), len(LEAST_SALIENCY), _ANNOTATORS))
    hits = np.zeros((len(asked), len(LEAST_SALIENCY)))
    least = np.array(list(LEAST_SALIENCY.values()))[:, None]
    told = [(each.prediction or {}).get("pred_saliency_scores") or [] for each in asked]
    clips = [_num_clips(each) for each in asked]
    for chosen in _alike([(count, bool(scores)) for count, scores in zip(clips, told, strict=True)]):
        if not (told[chosen[0]] and clips[chosen[0]]):
            continue
        truth = np.stack([_true_saliency(asked[i], clips[i]) for i in chosen])  # [q, C, 3]
        is_positive = truth[:, :, None, :] >= least  # [q, C, 3 levels, 3 annotators]
        saliency = np.zeros(truth.shape[:2])
        for row, i in enumerate(chosen):
            part = told[i][: clips[i]]
            saliency[row, : len(part)] = part
            if (best := int(np.argmax(told[i]))) < clips[i]:
                hits[i] = is_positive[row, best].any(axis=1)
        flat = is_positive.reshape(*truth.shape[:2], -1)
        precisions[chosen] = highlight_average_precision(saliency, flat).reshape(len(chosen), *precisions.shape[1:])
    numbers: Numbers = {}
    for level, name in enumerate(LEAST_SALIENCY):
        numbers[f"HL-min-{name}-mAP"] = _percent(precisions[:, level].mean()) if asked else None
        numbers[f"HL-min-{name}-Hit1"] = _percent(hits[:, level].mean()) if asked else None
    return numbers


def _num_clips(asked: Asked) -> int:
    duration = asked.item.facts["duration"]
    if duration > _LONGEST:
        raise BenchmarkError(f"query {asked.item.id} is of a video of {duration:g} seconds, which cannot be")
    return int(duration / _CLIP_SECONDS)


def _true_saliency(asked: Asked, clips: int) -> Floats:
    """`[C, 3]`, 0 for clips that are not listed."""
    saliency = np.zeros((clips, _ANNOTATORS))
    ids, scores = asked.item.facts["relevant_clip_ids"], asked.item.facts["saliency_scores"]
    for clip, judged in zip(ids, scores, strict=True):
        if not (isinstance(clip, int) and 0 <= clip < clips):
            raise BenchmarkError(f"query {asked.item.id} has the relevant clip {clip!r:.20}, of {clips} clips")
        if not (isinstance(judged, list) and len(judged) == _ANNOTATORS and all(isinstance(s, int) for s in judged)):
            raise BenchmarkError(f"query {asked.item.id} has the saliency {judged!r:.40}, not three whole numbers")
        saliency[clip] = judged
    return saliency


def _alike(keys: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The indices of equal keys."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _percent(share: float) -> float:
    return float(f"{100 * share:.2f}")
