"""Files of narration alignment: HTM-Align, HT-Step, CrossTask, and predictions for them."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tvu.video_llm.benchmarks.json_files import is_number, malformed, read_json, read_text
from tvu.video_llm.benchmarks.types import Json
from tvu.video_llm.errors import BenchmarkError


class Sentence(NamedTuple):
    """A narrated sentence: whether the video shows it, and if so when, seconds."""

    is_alignable: bool
    start_seconds: float
    end_seconds: float
    text: str


class Alignment(NamedTuple):
    """Where each sentence of a video was put.

    seconds: None for a sentence that was put nowhere. alignability: how sure it is to be shown, any scale; or nothing.
    """

    seconds: tuple[float | None, ...]
    alignability: tuple[float, ...] | None = None


class Task(NamedTuple):
    """steps: their names, in order."""

    id: str
    title: str
    steps: tuple[str, ...]


class StepSpan(NamedTuple):
    """step: its place among those of the task, from 0."""

    step: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class TaskVideo:
    """A video of CrossTask. id: `task_video`, as its file of annotations; spans: in the order of that file."""

    id: str
    task: Task
    spans: tuple[StepSpan, ...]

    @property
    def steps(self) -> list[int]:
        """Those that occur, in order."""
        return sorted({span.step for span in self.spans})


def read_htm_align(path: Path) -> dict[str, list[Sentence]]:
    """`{video: [[alignable, start, end, text], …]}`, perhaps gzipped. Raises BenchmarkError for anything else."""
    return {
        video: [_sentence(path, video, entry) for entry in _list(path, video, entries)]
        for video, entries in _videos(path).items()
    }


def read_alignments(path: Path) -> dict[str, Alignment]:
    """Predictions `{video: [second, …]}` or `{video: {"seconds": [second, …], "alignability": [score, …]}}`.

    A second is a number or null, one for each sentence in the order of the truth; `alignability` may be left out.
    Raises BenchmarkError for anything else.
    """
    return {video: _alignment(path, video, entry) for video, entry in _videos(path).items()}


def read_step_headlines(path: Path) -> dict[str, list[str]]:
    """The input of HT-Step, `{video: {"step_headline": [text, …]}}`. Raises BenchmarkError for anything else."""
    told = {}
    for video, entry in _videos(path).items():
        texts = _list(path, video, entry.get("step_headline") if isinstance(entry, dict) else None)
        if not all(isinstance(text, str) for text in texts):
            raise malformed(path, f"has a step headline of {video!r} that is no text")
        told[video] = texts
    return told


def read_cross_task(folder: Path) -> list[TaskVideo]:
    """The annotated videos of the primary tasks, as `crosstask_release` lays them out.

    folder: with `tasks_primary.txt` (blocks of id, title, address, number of steps, steps with commas between, and a
    blank line), `annotations/TASK_VIDEO.csv` (lines `step,start,end`, steps counted from 1) and perhaps
    `videos_val.csv` (lines `task,video,address`), which chooses the videos; without it all that are annotated count.
    Raises BenchmarkError for anything else.
    """
    tasks = {task.id: task for task in _tasks(folder / "tasks_primary.txt")}
    chosen = folder / "videos_val.csv"
    if chosen.is_file():
        names = [f"{row[0]}_{row[1]}" for row in _rows(chosen, 3) if row[0] in tasks]
    else:
        names = sorted(path.stem for path in (folder / "annotations").glob("*.csv") if path.stem.split("_")[0] in tasks)
    videos = [
        TaskVideo(name, tasks[name.split("_")[0]], tuple(_steps(path, tasks[name.split("_")[0]])))
        for name in dict.fromkeys(names)
        if (path := folder / "annotations" / f"{name}.csv").is_file()
    ]
    if not videos:
        raise BenchmarkError(f"there are no annotations of primary tasks in {folder / 'annotations'}")
    return videos


def read_step_seconds(path: Path) -> dict[str, dict[int, float]]:
    """Predictions `{"TASK_VIDEO": {"step": second}}` or `{"TASK_VIDEO": [second or null, …]}`.

    Steps are counted from 1 in the file, as in the annotations, and from 0 in the result. Raises BenchmarkError for
    anything else.
    """
    told: dict[str, dict[int, float]] = {}
    for video, entry in _videos(path).items():
        if isinstance(entry, list):
            entry = {str(step): second for step, second in enumerate(entry, start=1)}
        if not isinstance(entry, dict):
            raise malformed(path, f"has no seconds of steps for {video!r}")
        told[video] = {}
        for step, second in entry.items():
            if not (re.fullmatch("[1-9][0-9]{0,4}", step) and (second is None or is_number(second))):
                raise malformed(path, f"has {step!r:.20}: {second!r:.20} for {video!r}, no step and its second")
            if second is not None:
                told[video][int(step) - 1] = float(second)
    return told


def _tasks(path: Path) -> Iterator[Task]:
    blocks = [block.split("\n") for block in read_text(path).replace("\r\n", "\n").strip().split("\n\n")]
    for lines in blocks:
        title, steps = ([*lines, "", "", "", ""][at].strip() for at in (1, 4))
        names = tuple(step.strip() for step in steps.split(","))
        if len(lines) != 5 or lines[3].strip() != str(len(names)):
            raise malformed(path, f"has a task that is no five lines with its steps: {lines[0]!r:.40}")
        yield Task(lines[0].strip(), title, names)


def _steps(path: Path, task: Task) -> Iterator[StepSpan]:
    for row in _rows(path, 3):
        try:
            step, start, end = int(row[0]) - 1, float(row[1]), float(row[2])
        except ValueError as error:
            raise malformed(path, f"has the line {','.join(row)!r:.60}, not step,start,end") from error
        if not (0 <= step < len(task.steps) and is_number(start) and is_number(end)):
            raise malformed(path, f"has the line {','.join(row)!r:.60}: no step of {len(task.steps)}, or no time")
        yield StepSpan(step, start, end)


def _rows(path: Path, columns: int) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(read_text(path).splitlines()) if row]
    except csv.Error as error:
        raise malformed(path, f"is no CSV: {error}") from error
    for row in rows:
        if len(row) < columns:
            raise malformed(path, f"has the line {','.join(row)!r:.60} of fewer than {columns} columns")
    return rows


def _sentence(path: Path, video: str, entry: Json) -> Sentence:
    if not (
        isinstance(entry, list)
        and len(entry) == 4
        and entry[0] in (0, 1)
        and all(map(is_number, entry[1:3]))
        and isinstance(entry[3], str)
    ):
        raise malformed(path, f"has the sentence {entry!r:.60} of {video!r}, not [0 or 1, start, end, text]")
    return Sentence(bool(entry[0]), float(entry[1]), float(entry[2]), entry[3])


def _alignment(path: Path, video: str, entry: Json) -> Alignment:
    seconds, scores = (entry.get("seconds"), entry.get("alignability")) if isinstance(entry, dict) else (entry, None)
    seconds = _list(path, video, seconds)
    if not all(second is None or is_number(second) for second in seconds):
        raise malformed(path, f"has a second for {video!r} that is neither a number nor null")
    if scores is None:
        return Alignment(tuple(seconds))
    if not (isinstance(scores, list) and len(scores) == len(seconds) and all(map(is_number, scores))):
        raise malformed(path, f"has no number as alignability of each sentence of {video!r}")
    return Alignment(tuple(seconds), tuple(scores))


def _videos(path: Path) -> dict[str, Json]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise malformed(path, "is no JSON object of videos")
    return content


def _list(path: Path, video: str, value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise malformed(path, f"has no list for {video!r}")
    return value
