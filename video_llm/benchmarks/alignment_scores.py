"""Narrated sentences and steps of a task against when the video shows them: HTM-Align and CrossTask."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tvu.temporal.metrics import auroc
from tvu.video_llm.benchmarks.alignment_data import (
    Alignment,
    Sentence,
    TaskVideo,
    read_alignments,
    read_cross_task,
    read_htm_align,
    read_step_seconds,
)
from tvu.video_llm.benchmarks.types import Summary, Table
from tvu.video_llm.errors import BenchmarkError

PRIMARY_TASKS = 18


def score_htm_align(pred: Path, truth: Path) -> Summary:
    """HTM-Align from files (`read_alignments`, `read_htm_align`); see `score_alignments`. Raises BenchmarkError."""
    return score_alignments(read_htm_align(truth), read_alignments(pred))


def score_crosstask(pred: Path, truth: Path) -> Summary:
    """CrossTask from a file and a folder (`read_step_seconds`, `read_cross_task`); see `score_steps`.

    Raises BenchmarkError.
    """
    return score_steps(read_cross_task(truth), read_step_seconds(pred))


def score_alignments(truths: Mapping[str, Sequence[Sentence]], predictions: Mapping[str, Alignment]) -> Summary:
    """R@1 over all alignable sentences by both published conventions, and how well alignability is told, in percent.

    - `R1-TAN` (TAN, CVPR 2022): a second from floor(start) to ceil(end) is right, both included. `R1-NSVA` (ECCV 2024):
      from start to end, so that an interval within one second may have none. Their seconds are whole; others are
      compared as they are. Sentences of missing videos, and those that were put nowhere, are wrong.
    - `AUC`: area under the ROC curve of alignability over all sentences of the videos that have it, alignable or not;
      None where nothing has it, or where all sentences are alike.

    Raises BenchmarkError if a video has not as many seconds as sentences, or all predictions are of other videos.
    """
    if not any(video in predictions for video in truths) and predictions:
        raise BenchmarkError(f"the predictions are for videos like {next(iter(predictions))!r}, not those of the truth")
    hits = {"R1-TAN": 0, "R1-NSVA": 0}
    scores: list[float] = []
    labels: list[bool] = []
    for video, sentences in truths.items():
        told = predictions.get(video, Alignment((None,) * len(sentences)))
        if len(told.seconds) != len(sentences):
            raise BenchmarkError(f"{video!r} has {len(sentences)} sentences, and {len(told.seconds)} seconds for them")
        for sentence, second in zip(sentences, told.seconds, strict=True):
            if sentence.is_alignable and second is not None:
                start, end = sentence.start_seconds, sentence.end_seconds
                hits["R1-TAN"] += math.floor(start) <= second <= math.ceil(end)
                hits["R1-NSVA"] += start <= second <= end
        if told.alignability is not None:
            scores += told.alignability
            labels += [sentence.is_alignable for sentence in sentences]
    all_sentences = [sentence for sentences in truths.values() for sentence in sentences]
    alignable = sum(sentence.is_alignable for sentence in all_sentences)
    if not alignable:
        raise BenchmarkError("the truth has no alignable sentence")
    numbers: dict[str, float | int | None] = {name: round(100 * hit / alignable, 4) for name, hit in hits.items()}
    numbers["AUC"] = round(100 * auroc(scores, labels), 4) if len(set(labels)) == 2 else None
    numbers |= {"sentences": len(all_sentences), "alignable": alignable, "videos": len(truths)}
    numbers["videos_missing"] = sum(video not in predictions for video in truths)
    return Summary(numbers, notes=tuple(_notes(truths, predictions, len(labels))))


def _notes(truths: Mapping[str, Sequence[Sentence]], predictions: Mapping[str, Alignment], scored: int) -> list[str]:
    notes = []
    missing = sum(video not in predictions for video in truths)
    if missing:
        notes.append(
            f"{missing} of {len(truths)} videos have no predictions: their sentences are wrong, and not in AUC"
        )
    if unshown := sum(not any(sentence.is_alignable for sentence in sentences) for sentences in truths.values()):
        notes.append(f"videos without an alignable sentence, {unshown} here, count in AUC; NSVA's script drops them")
    if not scored:
        notes.append("AUC needs an alignability for every sentence")
    return notes


def score_steps(truths: Sequence[TaskVideo], predictions: Mapping[str, Mapping[int, float]]) -> Summary:
    """The average recall of CrossTask (Zhukov et al., CVPR 2019), in percent: the mean over tasks of theirs.

    predictions: for each video the one second of each step, counted from 0; those of steps that do not occur are not
    looked at. A step is found if its second is in [floor(start), ceil(end)) of any time that it occurs, and the recall
    of a task is the share of found ones among all pairs of a video and a step that occurs in it. The second itself is
    rounded down. Steps without one, and those of missing videos, are not found; a step that never takes a whole second
    does not occur. `R1-TAN` and `R1-NSVA` are the shares of all those pairs by the conventions of narrations (see
    `score_alignments`), for a look at how much the convention decides.
    Raises BenchmarkError if all predictions are of other videos.
    """
    if not any(video.id in predictions for video in truths) and predictions:
        raise BenchmarkError(f"the predictions are for videos like {next(iter(predictions))!r}, not those of the truth")
    found: dict[str, list[bool]] = defaultdict(list)
    hits = {"R1-TAN": 0, "R1-NSVA": 0}
    titles = {video.task.id: video.task.title for video in truths}
    for video in truths:
        seconds = predictions.get(video.id, {})
        when = {step: _whole_seconds(video, step) for step in video.steps}
        found[video.task.id] += [
            step in seconds and any(math.floor(seconds[step]) in part for part in parts)
            for step, parts in when.items()
            if any(parts)
        ]
        for span_hits in (
            _hits_of(video, step, seconds[step]) for step, parts in when.items() if any(parts) and step in seconds
        ):
            hits = {name: hits[name] + hit for name, hit in span_hits.items()}
    recall = {task: 100 * sum(each) / len(each) for task, each in found.items() if each}
    if not recall:
        raise BenchmarkError("no step occurs in any of the videos")
    missing = sum(video.id not in predictions for video in truths)
    numbers: dict[str, float | int | None] = {
        "average_recall": round(sum(recall.values()) / len(recall), 4),
        **{name: round(100 * hit / sum(map(len, found.values())), 4) for name, hit in hits.items()},
        "tasks": len(recall),
        "steps": sum(map(len, found.values())),
        "videos": len(truths),
        "videos_missing": missing,
    }
    notes = [f"{missing} of {len(truths)} videos have no predictions, and their steps are not found"] if missing else []
    if len(recall) != PRIMARY_TASKS:
        notes.append(f"published averages are over {PRIMARY_TASKS} primary tasks, this one is over {len(recall)}")
    rows = tuple((titles[task], len(found[task]), round(value, 2)) for task, value in recall.items())
    return Summary(numbers, (Table("Tasks", ("task", "steps", "recall"), rows),), tuple(notes))


def _hits_of(video: TaskVideo, step: int, second: float) -> dict[str, bool]:
    """Whether a second is right for a step by each convention of narrations."""
    spans = [(span.start_seconds, span.end_seconds) for span in video.spans if span.step == step]
    return {
        "R1-TAN": any(math.floor(start) <= second <= math.ceil(end) for start, end in spans),
        "R1-NSVA": any(start <= second <= end for start, end in spans),
    }


def _whole_seconds(video: TaskVideo, step: int) -> list[range]:
    return [
        range(math.floor(span.start_seconds), math.ceil(span.end_seconds)) for span in video.spans if span.step == step
    ]
