"""Narration alignment as benchmarks: every sentence or step of a video is given the one second that shows it best."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from tvu.video_llm.benchmarks.alignment_data import (
    Alignment,
    Sentence,
    StepSpan,
    Task,
    TaskVideo,
    read_cross_task,
    read_htm_align,
    read_step_headlines,
)
from tvu.video_llm.benchmarks.alignment_scores import score_alignments, score_steps
from tvu.video_llm.benchmarks.baselines import find_texts
from tvu.video_llm.benchmarks.types import AskConfig, Benchmark, Item, Json, Record, Response, Summary
from tvu.video_llm.benchmarks.video_files import find_file, find_video
from tvu.video_llm.decode import open_video
from tvu.video_llm.narration.types import Order
from tvu.video_llm.types import VideoClip, VideoModel

if TYPE_CHECKING:
    from tvu.video_llm.narration.model import Place


@runtime_checkable
class Aligner(Protocol):
    """A model that places all texts of a video together: `align`."""

    def place(self, clip: VideoClip, texts: Sequence[str], order: Order) -> "Sequence[Place]":
        """For each text where it is, the likeliest place even of one that is likely not shown."""
        ...


class _Aligned:
    """A video is an item, and all of its sentences are asked for at once.

    A prediction is `{"seconds": [second or null, …], "alignability": [score, …]}`: for each sentence the whole second
    in the middle of its best span, and the score of that span; null and 0 where the model finds none. An `Aligner` is
    told in which order they come, and its alignability is how sure it is that a sentence is shown at all.
    """

    order: ClassVar[Order] = "free"  # narrations are told in order, steps are not

    def video_of(self, item: Item, data: Path) -> Path:
        """`videos/ID`, with an ending if `ID` has none."""
        return find_video(data, item.video)

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """Where the model finds each sentence. Raises VideoError."""
        texts = list(item.facts["sentences"])
        clip = open_video(video, decoder=config.decoder)
        if isinstance(model, Aligner):
            places = model.place(clip, texts, self.order)
            whole = [None if place.seconds is None else math.floor(place.seconds) for place in places]
            sure = [place.confidence for place in places]
            return Response("parsed", {"seconds": whole, "alignability": sure}, prompt="\n".join(texts))
        answers = find_texts(model, item, clip, texts, self.spans_of(item))
        best = [answer.groundings[0] if answer.groundings else None for answer in answers]
        seconds = [g and math.floor((g.span.start_seconds + g.span.end_seconds) / 2) for g in best]
        told = {"seconds": seconds, "alignability": [g.score if g else 0.0 for g in best]}
        text = "\n".join(answer.text for answer in answers)
        prompt = "\n".join(answer.prompt or answer.question for answer in answers)
        return Response("parsed", told, text, prompt, answers[0].frame_seconds if answers else ())

    def spans_of(self, item: Item) -> list[list[Sequence[float]]]:
        """When each sentence is shown, seconds; nothing of one that is not, or where that is not known."""
        return [[] for _ in item.facts["sentences"]]

    def judge(self, item: Item, response: Response) -> None:
        """Recall is over all sentences, not a mean over videos."""


@dataclass(frozen=True)
class HtmAlign(_Aligned):
    """HTM-Align: 80 videos of HowTo100M, their narrations marked as shown or not, and when."""

    order: ClassVar[Order] = "monotone"
    name: str = "htm-align"

    def read(self, data: Path) -> list[Item]:
        """`htm_align.json` in `data`. Raises BenchmarkError where it is not there, or is something else."""
        videos = read_htm_align(find_file(data, ("htm_align.json",)))
        return [
            Item(video, video, "", list(map(list, sentences)), facts={"sentences": [s.text for s in sentences]})
            for video, sentences in videos.items()
        ]

    def spans_of(self, item: Item) -> list[list[Sequence[float]]]:
        """Of the alignable ones."""
        return [[(start, end)] if is_alignable else [] for is_alignable, start, end, _ in item.truth]

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """`score_alignments` over the videos that were asked."""
        run = _run(items, records)
        if not run:
            return _nothing(items)
        truths = {item.id: [Sentence(*entry) for entry in item.truth] for item in run}
        told = {video: Alignment(tuple(p["seconds"]), tuple(p["alignability"])) for video, p in _told(records).items()}
        return _counted(score_alignments(truths, told), items, records)


@dataclass(frozen=True)
class CrossTask(_Aligned):
    """CrossTask: videos of 18 primary tasks, the steps of each and when they occur.

    Only the steps that occur in a video are asked for, as only they are scored.
    """

    name: str = "crosstask"

    def read(self, data: Path) -> list[Item]:
        """The folder `crosstask_release`, or one that holds it. Raises BenchmarkError where it is not there."""
        inner = data / "crosstask_release"
        return [_task_item(video) for video in read_cross_task(inner if inner.is_dir() else data)]

    def spans_of(self, item: Item) -> list[list[Sequence[float]]]:
        """Every time that a step occurs."""
        return [[(start, end) for other, start, end in item.truth if other == step] for step in item.facts["steps"]]

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """`score_steps` over the videos that were asked."""
        run = _run(items, records)
        if not run:
            return _nothing(items)
        asked = {item.id: [step - 1 for step in item.facts["steps"]] for item in run}
        told = {
            video: {step: float(s) for step, s in zip(asked[video], p["seconds"], strict=True) if s is not None}
            for video, p in _told(records).items()
        }
        return _counted(score_steps([_task_video(item) for item in run], told), items, records)


@dataclass(frozen=True)
class HtStep(_Aligned):
    """HT-Step: headlines of wikiHow steps in videos of HowTo100M. Its labels are hidden, so nothing is scored here."""

    name: str = "ht-step"

    def read(self, data: Path) -> list[Item]:
        """`ht_step.json` in `data`: `{video: {"step_headline": [text, …]}}`. Raises BenchmarkError."""
        videos = read_step_headlines(find_file(data, ("ht_step.json",)))
        return [Item(video, video, "", None, facts={"sentences": texts}) for video, texts in videos.items()]

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """Counts; what is scored is the `submission`."""
        note = "the labels are hidden: its server scores submission.json, in the folder of the run"
        return _counted(Summary({"videos": len(records)}, notes=(note,)), items, records)

    def submission(self, items: Sequence[Item], records: Sequence[Record]) -> Mapping[str, str]:
        """`{video: [second of each headline]}` as the server takes it: of all videos, 0 where there is none."""
        told = _told(records)
        seconds = {
            item.id: [second or 0 for second in told[item.id]["seconds"]]
            if item.id in told
            else [0] * len(item.facts["sentences"])
            for item in items
        }
        return {"submission.json": json.dumps(seconds)}


def htm_align() -> Benchmark:
    """HTM-Align (TAN, CVPR 2022)."""
    return HtmAlign()


def crosstask() -> Benchmark:
    """CrossTask (Zhukov et al., CVPR 2019)."""
    return CrossTask()


def ht_step() -> Benchmark:
    """HT-Step (NeurIPS 2023), for its server."""
    return HtStep()


def _task_item(video: TaskVideo) -> Item:
    steps = video.steps
    facts = {
        "sentences": [video.task.steps[step] for step in steps],
        "steps": [step + 1 for step in steps],
        "task": [video.task.id, video.task.title, list(video.task.steps)],
    }
    truth = [[span.step + 1, span.start_seconds, span.end_seconds] for span in video.spans]
    return Item(video.id, video.id.removeprefix(f"{video.task.id}_"), "", truth, video.task.title, facts=facts)


def _task_video(item: Item) -> TaskVideo:
    task, title, steps = item.facts["task"]
    spans = tuple(StepSpan(step - 1, start, end) for step, start, end in item.truth)
    return TaskVideo(item.id, Task(task, title, tuple(steps)), spans)


def _run(items: Sequence[Item], records: Sequence[Record]) -> list[Item]:
    asked = {record.id for record in records}
    return [item for item in items if item.id in asked]


def _told(records: Sequence[Record]) -> Mapping[str, Json]:
    return {record.id: record.prediction for record in records if record.prediction is not None}


def _nothing(items: Sequence[Item]) -> Summary:
    return Summary({"videos": 0, "videos_not_run": len(items)}, notes=("no video was run",))


def _counted(summary: Summary, items: Sequence[Item], records: Sequence[Record]) -> Summary:
    left = len(items) - len(_run(items, records))
    lost = sum(record.status in ("missing", "undecodable", "failed") for record in records)
    notes = [f"{lost} videos are missing, cannot be read, or made the model fail"] if lost else []
    notes += [f"{left} videos were not run and are in no score"] if left else []
    counts = {"videos_lost": lost, "videos_not_run": left}
    return Summary({**summary.numbers, **counts}, summary.tables, (*summary.notes, *notes))
