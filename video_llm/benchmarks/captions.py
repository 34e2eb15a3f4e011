"""Dense captions as benchmarks: everything that happens in a video, with its times, in one answer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.temporal.time_tokens.official_answers import timesuite_captions
from tvu.temporal.time_tokens.read_times import read_times
from tvu.video_llm.benchmarks.baselines import Informed
from tvu.video_llm.benchmarks.caption_data import CaptionedVideo, TimedCaption, captions_of, read_true_captions
from tvu.video_llm.benchmarks.caption_scores import SPLITS, score_captions, split_of
from tvu.video_llm.benchmarks.meteor import find_java_tools
from tvu.video_llm.benchmarks.types import AskConfig, Benchmark, Item, Json, Record, Response, Status, Summary
from tvu.video_llm.benchmarks.video_files import find_file, find_video
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.parse import in_words
from tvu.video_llm.questions import captions_request
from tvu.video_llm.types import Answer, VideoModel

_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_CLOCK = r"(?<![\d.:])(?:\d+:)?\d+:\d\d(?:\.\d++)?+(?![\d:])"
_CLOCKS = re.compile(rf"{_CLOCK}\s*(?:-|–|to|and)\s*{_CLOCK}")
_EDGES = " \t,;:-–[]()"


@dataclass(frozen=True)
class DenseCaptions:
    """A set of videos with timed captions; an item is a video, a prediction `[{"timestamp", "caption"}, …]`.

    files: names under which the truth is looked for in the folder of the data, best first; the videos are in `videos`.
    """

    name: str
    files: tuple[str, ...]

    def read(self, data: Path) -> list[Item]:
        """A video each. Raises BenchmarkError where the truth is not there, or is not in a known layout."""
        path = find_file(data, self.files)
        facts = {"split": split_of(path)}
        return [
            Item(video.id, video.id, "", _as_json(video.captions), facts=facts) for video in read_true_captions(path)
        ]

    def video_of(self, item: Item, data: Path) -> Path:
        """`videos/ID`, with an ending if `ID` has none."""
        return find_video(data, item.video)

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """The events of the video; `unparsed` where the model writes none with a caption.

        A Video-LLM answers about a video longer than one look with the text of its likeliest window only.
        Raises VideoError, and UnknownModel for a baseline.
        """
        if isinstance(model, Informed):
            raise UnknownModel(f"{model.name} writes no captions", hint="baselines choose options and find moments")
        clip = open_video(video, decoder=config.decoder)
        question = captions_request()
        answer = model.answer(clip, question)
        told = read_captions(answer, clip.duration_seconds)
        status: Status = "parsed" if told else "unparsed"
        prompt = answer.prompt or question
        return Response(status, _as_json(told) or None, answer.text, prompt, answer.frame_seconds)

    def judge(self, item: Item, response: Response) -> None:
        """Captions are scored over all videos only."""

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """The published scores over the videos that were asked; one without an answer is one without captions."""
        asked = {record.id: record for record in records}
        run = [item for item in items if item.id in asked]
        if not run:
            return Summary({"videos": 0, "videos_not_run": len(items)}, notes=("no video was run",))
        truths = [CaptionedVideo(item.id, tuple(_of_json(item.id, item.truth))) for item in run]
        predictions = {item.id: _of_json(item.id, asked[item.id].prediction or []) for item in run}
        summary = score_captions(truths, predictions, find_java_tools(), run[0].facts.get("split", SPLITS["val"]))
        return _counted(summary, items, list(asked.values()))


def youcook2() -> Benchmark:
    """YouCook2 validation: the file of TimeChat (415 videos), or the original one."""
    return DenseCaptions("youcook2", ("val.caption_coco_format.json", "youcookii_annotations_trainval.json"))


def activitynet_dense() -> Benchmark:
    """ActivityNet Captions validation, against one of its two sets of references."""
    return DenseCaptions("activitynet-dense", ("val.caption_coco_format.json", "val_1.json"))


def read_captions(answer: Answer, duration: float) -> list[TimedCaption]:
    """The timed captions of an answer, file seconds, in the order of writing; none is a result.

    Lines that each tell one span are read first, whatever way times are written in (`read_times`); what else such a
    line says is its caption. Where lines tell several, the text is cut at pairs of clock times, and a text without any
    is read by the rule of the published evaluation, which is for bare seconds. An answer that only names moments, as
    models do that write no captions, has none.
    """
    if answer.text == in_words(answer.groundings):
        return []
    by_line = _by_line(answer.text, duration)
    if by_line is not None:
        return by_line
    if _CLOCKS.search(answer.text):
        return _by_clock(answer.text, duration)
    try:
        spans, captions = timesuite_captions(answer.text)
    except ValueError:
        return []
    return [TimedCaption(start, end, text) for (start, end), text in zip(spans, captions, strict=True)]


def _by_line(text: str, duration: float) -> list[TimedCaption] | None:
    """None where no line tells a span with a caption, or one tells several."""
    told = []
    for line in text.splitlines():
        times = read_times(_LIST_MARK.sub("", line), duration)
        if len(times.spans) > 1:
            return None
        caption = times.leftover.strip(_EDGES)
        if times.spans and re.search(r"\w", caption):
            told.append(TimedCaption(times.spans[0].start_seconds, times.spans[0].end_seconds, caption))
    return told or None


def _by_clock(text: str, duration: float) -> list[TimedCaption]:
    matches = list(_CLOCKS.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    told = []
    for match, end in zip(matches, ends, strict=True):
        caption = " ".join(text[match.end() : end].split()).strip(_EDGES)
        for span in read_times(match[0], duration).spans if re.search(r"\w", caption) else ():
            told.append(TimedCaption(span.start_seconds, span.end_seconds, caption))
    return told


def _as_json(captions: Sequence[TimedCaption]) -> list[Json]:
    return [{"timestamp": [c.start_seconds, c.end_seconds], "caption": c.text} for c in captions]


def _of_json(video: str, entries: Json) -> list[TimedCaption]:
    return captions_of(Path("results"), video, entries)


def _counted(summary: Summary, items: Sequence[Item], records: Sequence[Record]) -> Summary:
    unparsed = sum(record.status == "unparsed" for record in records)
    lost = sum(record.status in ("missing", "undecodable", "failed") for record in records)
    counts = {"videos_unparsed": unparsed, "videos_lost": lost, "videos_not_run": len(items) - len(records)}
    notes = list(summary.notes)
    if unparsed:
        notes.append(f"in {unparsed} of {len(records)} answers there was no caption with its times")
    if lost:
        notes.append(f"{lost} videos are missing, cannot be read, or made the model fail: they count as 0")
    if counts["videos_not_run"]:
        notes.append(f"{counts['videos_not_run']} videos were not run and are in no score")
    return Summary({**summary.numbers, **counts}, summary.tables, tuple(notes))
