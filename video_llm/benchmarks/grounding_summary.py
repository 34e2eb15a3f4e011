"""What moments that a model told come to: the published scores, and beside them what they leave out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from tvu.temporal.metrics import (
    auroc,
    best_iou,
    best_ious,
    expected_calibration_error,
    mean_iou,
    share_of,
    wilson_interval,
)
from tvu.video_llm.benchmarks.types import Item, Json, Record, Table

THRESHOLDS = (0.3, 0.5, 0.7)
RIGHT = 0.5  # IoU from which a span counts as right where only one threshold can be told
LENGTHS = {"short": (0.0, 10.0), "middle": (10.0, 30.0), "long": (30.0, 150.0), "longer": (150.0, float("inf"))}
LOST = ("missing", "undecodable")
SOME = 3  # names of missing videos that are told

Numbers = dict[str, float | int | None]


class Asked(NamedTuple):
    """An item and what came of it: spans `[start, end]` that are true, and `[start, end, score]` that were told."""

    item: Item
    prediction: Json
    true: Sequence[Sequence[float]]
    told: Sequence[Sequence[float]]
    is_parsed: bool = True

    @property
    def iou(self) -> float:
        """Of the first span told with the true one that it meets best; 0 where nothing was told."""
        return best_iou(self.told[0], self.true) if self.told else 0.0

    @property
    def score(self) -> float:
        """Of the first span; 0 where nothing was told, 1 where a span has no score."""
        return (self.told[0][2] if len(self.told[0]) > 2 else 1.0) if self.told else 0.0

    def lost(self) -> "Asked":
        """The same where nothing was told."""
        return self._replace(prediction=None, told=[], is_parsed=False)


def has_run(record: Record) -> bool:
    """Whether the model was asked: not where its video was missing or could not be read."""
    return record.status not in LOST


def counts(items: Sequence[Item], records: Mapping[str, Record]) -> Numbers:
    """How many items there are, and what became of them; `records` by item."""
    states = Counter(record.status for record in records.values())
    run = sum(has_run(record) for record in records.values())
    return {
        "n_expected": len(items),
        "n_run": run,
        **{f"n_{state}": states[state] for state in ("missing", "undecodable", "unparsed", "failed")},
        "n_not_asked": len(items) - len(records),
        "parse_failure_rate": percent(states["unparsed"], run),
    }


def recalls(asked: Sequence[Asked], firsts: Sequence[int] = (1, 5)) -> Numbers:
    """`R1@0.3` … `R5@0.7` and `mIoU`, percent: of the queries that have an answer; R5 is of the first five spans."""
    present = [each for each in asked if each.true]
    told, true = [each.told for each in present], [each.true for each in present]
    numbers: Numbers = {}
    for first in firsts:
        ious = best_ious(told, true, first)
        for least in THRESHOLDS:
            numbers[f"R{first}@{least}"] = 100 * share_of(ious, least) if present else None
    return {**numbers, "mIoU": 100 * mean_iou(told, true) if present else None}


def honesty(asked: Sequence[Asked]) -> Numbers:
    """What published tables leave out; None where there is nothing to tell it from.

    - `abstention_auroc`: how well the score of the first span (0 where none is told) tells queries that the video
      answers from those that it does not; `absent_right`: percent of the latter to which nothing was told.
    - `right_auroc`: how well it tells first spans of an IoU of 0.5 and more from others.
    - `ece`: expected calibration error of the scores of all spans told, as probabilities of an IoU of 0.5 and more;
      None where any is no probability.
    - `spans_told`, `spans_true`: how many a query has, on average.
    """
    present = [each for each in asked if each.true]
    absent = [each for each in asked if not each.true]
    spans = [(span[2], best_iou(span, each.true) >= RIGHT) for each in present for span in each.told if len(span) > 2]
    spans += [(span[2], False) for each in absent for span in each.told if len(span) > 2]
    first = [(each.score, each.iou >= RIGHT) for each in present if each.told and len(each.told[0]) > 2]
    return {
        "n_absent": len(absent),
        "absent_right": percent(sum(not each.told and each.is_parsed for each in absent), len(absent)),
        "abstention_auroc": _auroc([(each.score, bool(each.true)) for each in asked]),
        "right_auroc": _auroc(first),
        "ece": _calibration_error(spans),
        "spans_told": fmean(len(each.told) for each in asked) if asked else None,
        "spans_true": fmean(len(each.true) for each in asked) if asked else None,
    }


def recall_table(title: str, rows: Mapping[str, Sequence[Asked]]) -> Table:
    """R1 and mIoU of groups of queries, with the interval of R1 at an IoU of 0.5 (Wilson, 95 %)."""
    cells = []
    for name, asked in rows.items():
        present = [each for each in asked if each.true]
        if present:
            numbers = recalls(present, firsts=(1,))
            low, high = wilson_interval(sum(each.iou >= RIGHT for each in present), len(present))
            told = [_rounded(numbers[key]) for key in (*(f"R1@{least}" for least in THRESHOLDS), "mIoU")]
            cells.append((name, len(present), *told, _rounded(100 * low), _rounded(100 * high)))
    columns = ("", "queries", *(f"R1@{least}" for least in THRESHOLDS), "mIoU", "R1@0.5 from", "to")
    return Table(title, columns, tuple(cells))


def by_length(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    """Queries with an answer by the length of their longest true span, seconds, upper ends included."""
    rows: dict[str, list[Asked]] = {}
    for name, (low, high) in LENGTHS.items():
        within = [each for each in asked if each.true and low < max(end - start for start, end in each.true) <= high]
        rows[f"{name} ({low:g}, {high:g}] s"] = within
    return rows


def without_a_model(asked: Sequence[Asked]) -> dict[str, list[Asked]]:
    """The same queries answered without looking: whole video, middle half, first third; those of known duration."""
    parts = {"whole video": (0.0, 1.0), "middle half": (0.25, 0.75), "first third": (0.0, 1 / 3)}
    known = [(each, each.item.facts["duration"]) for each in asked if "duration" in each.item.facts]
    return {
        name: [each._replace(told=[[low * seconds, high * seconds]]) for each, seconds in known]
        for name, (low, high) in parts.items()
    }


def notes(
    items: Sequence[Item],
    records: Mapping[str, Record],
    asked: Sequence[Asked],
    absent: str = "were not asked",
    silence: str = "count as missed",
) -> tuple[str, ...]:
    """What the reader must know of items that were not run, not understood, or to which nothing was told.

    absent: what is said of items without a record. silence: what becomes of queries to which nothing was told.
    """
    told = []
    silent = sum(bool(each.true) and each.is_parsed and not each.told for each in asked)
    if silent:
        told.append(
            f"to {silent} queries the model told nothing, though there is an answer: they {silence}, which a "
            "model that tells only what is likely enough risks"
        )
    if not _are_probabilities(span[2] for each in asked for span in each.told if len(span) > 2):
        told.append("some scores of spans are not from 0 to 1, so there is no calibration error of them")
    states = Counter(record.status for record in records.values())
    gone = []
    if lost := sorted({item.video for item in items if item.id in records and not has_run(records[item.id])}):
        named = ", ".join(lost[:SOME]) + (", …" if len(lost) > SOME else "")
        gone.append(f"{len(lost)} videos are missing or cannot be read: {named}")
    if len(records) < len(items):
        gone.append(f"{len(items) - len(records)} of {len(items)} items {absent}")
    if gone:
        told.append(f"{'; '.join(gone)}; scores are of the other items, those under all/ count these as wrong")
    if states["unparsed"]:
        told.append(f"{states['unparsed']} answers were not understood: they count as wrong")
    if states["failed"]:
        told.append(f"in {states['failed']} items the model itself failed: they count as wrong")
    return tuple(told)


def _are_probabilities(scores: Iterable[float]) -> bool:
    return all(0 <= score <= 1 for score in scores)


def _calibration_error(spans: Sequence[tuple[float, bool]]) -> float | None:
    if not spans or not _are_probabilities(score for score, _ in spans):
        return None
    return expected_calibration_error([score for score, _ in spans], [right for _, right in spans])


def _auroc(pairs: Sequence[tuple[float, bool]]) -> float | None:
    labels = [label for _, label in pairs]
    return float(auroc([score for score, _ in pairs], labels)) if len(set(labels)) == 2 else None


def percent(part: int, whole: int) -> float | None:
    """None of nothing."""
    return 100 * part / whole if whole else None


def _rounded(value: float | int | None) -> float | None:
    return None if value is None else round(value, 2)
