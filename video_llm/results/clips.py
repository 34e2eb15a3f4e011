"""Every moment as a file of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.temporal.types import Span
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import BackendError, OutputError, OutputExists, VideoError
from tvu.video_llm.media.cut import CutReport, cut
from tvu.video_llm.results.formats import numbered_names
from tvu.video_llm.results.one_video import by_video
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import VideoClip


@dataclass(frozen=True)
class MomentCut:
    """What became of one moment.

    video, span: the moment, as the rows have it. questions: the queries that found it.
    report:      what was really written, handles included; None where nothing was, and then `error` says why.
    """

    video: str
    span: Span
    questions: tuple[str, ...]
    report: CutReport | None = None
    error: str = ""


def cut_moments(
    rows: Sequence[Row],
    folder: Path,
    handles_seconds: float = 0.0,
    force: bool = False,
    report: Callable[[MomentCut], None] = lambda done: None,
) -> list[MomentCut]:
    """Cut every moment of `rows` into `folder`, which is made: `NAME_START-END.mp4`, accurate to the frame.

    handles_seconds: what is added before and after each, as far as the file reaches; the names hold the moment's own
    seconds. A span that several queries found is cut once. `report` hears of each as soon as it is done.

    A moment of a file that is missing or cannot be read or cut, or whose clip exists already without `force`, has an
    `error` and does not stop the rest. Raises OutputError where the folder takes no files, and ValueError for handles
    below 0.
    """
    if not handles_seconds >= 0:
        raise ValueError(f"handles are seconds, 0 or more, not {handles_seconds}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}", hint="name a folder") from error
    done: list[MomentCut] = []
    videos = by_video(rows)
    for video, name in zip(videos, numbered_names([video.path.stem for video in videos]), strict=True):
        found: dict[Span, list[str]] = {}
        for moment in video.moments:
            found.setdefault(moment.grounding.span, []).append(moment.question)
        if not found:
            continue
        clip: VideoClip | None = None
        unreadable = ""
        try:
            clip = open_video(video.path)
        except VideoError as error:
            unreadable = error.message
        for span, questions in found.items():
            asked = MomentCut(video.video, span, tuple(dict.fromkeys(questions)), error=unreadable)
            if clip is not None:
                out = folder / f"{name}_{span.start_seconds:09.3f}-{span.end_seconds:09.3f}.mp4"
                asked = _cut(asked, clip, out, handles_seconds, force)
            done.append(asked)
            report(asked)
    return done


def _cut(asked: MomentCut, clip: VideoClip, out: Path, handles_seconds: float, force: bool) -> MomentCut:
    start = max(0.0, asked.span.start_seconds - handles_seconds)
    end = min(clip.duration_seconds, asked.span.end_seconds + handles_seconds)
    if start >= end:
        error = f"{clip.path} ends before {asked.span.start_seconds:g} s: did it change?"
        return MomentCut(asked.video, asked.span, asked.questions, error=error)
    try:
        written = cut(clip, Span(start, end), out, force=force)
    except (VideoError, BackendError, OutputExists) as error:
        return MomentCut(asked.video, asked.span, asked.questions, error=error.message)
    return MomentCut(asked.video, asked.span, asked.questions, written)
