"""The rows about one video as subtitles and editing programs need them: its moments in their order, and its frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.temporal.timecode import percent
from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.address import parse_address
from tvu.video_llm.results.frame_rates import FrameRate, rate_for
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import Grounding, VideoClip

ASSUMED_FPS = 25.0


@dataclass(frozen=True)
class Content:
    """A file to be: its bytes, and what a user should be told of them."""

    data: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moment:
    """One span that was found: the query it answers, and the grounding."""

    question: str
    grounding: Grounding

    @property
    def likelihood(self) -> str:
        """`87 %`."""
        return percent(self.grounding.score)

    @property
    def evidence(self) -> str:
        """`visual 87 %: looks like bus`, on one line."""
        phrase = f": {one_line(self.grounding.phrase)}" if self.grounding.phrase.strip() else ""
        return f"{self.grounding.evidence} {self.likelihood}{phrase}"


@dataclass(frozen=True)
class OneVideo:
    """What all rows about one file tell.

    path:    the file. video: as a row named it.
    moments: of all queries, by start, then end.
    errors:  a sentence for each row that has no answer.
    duration_seconds: of the file; None where no row knows it. fps: mean frames a second, likewise.
    clip:    the file itself, where a writer asked to look at it and it could be opened.
    """

    path: Path
    video: str
    moments: tuple[Moment, ...]
    errors: tuple[str, ...] = ()
    duration_seconds: float | None = None
    fps: float | None = None
    clip: VideoClip | None = None

    @property
    def title(self) -> str:
        """The file's name without its suffix, for people."""
        return one_line(self.path.stem) or "video"

    @property
    def url(self) -> str:
        """`file:///…`, escaped, of the absolute path."""
        return self.path.absolute().as_uri()

    @property
    def rate(self) -> FrameRate:
        """What its frames are counted in, see `rate_for`; that of ASSUMED_FPS where nothing is known."""
        return rate_for(self.fps or ASSUMED_FPS)

    @property
    def num_frames(self) -> int:
        """Length in frames of `rate`, at least one; up to the end of the last moment where the duration is unknown."""
        ends = [moment.grounding.span.end_seconds for moment in self.moments]
        seconds = self.duration_seconds or max(ends, default=0.0)
        return max(1, self.rate.frame_at(seconds))

    def frames_of(self, moment: Moment) -> tuple[int, int]:
        """The moment as `[start, end)` in frames of `rate`, within the file, at least one."""
        return self.rate.frames_of(moment.grounding.span, self.num_frames)


def by_video(rows: Sequence[Row]) -> list[OneVideo]:
    """Rows gathered by file, in the order in which files first come; parts of a file (`#t=a,b`) count as the file."""
    gathered: dict[Path, list[Row]] = {}
    for row in rows:
        gathered.setdefault(path_of(row.video), []).append(row)
    return [_one_video(path, group) for path, group in gathered.items()]


def path_of(video: str) -> Path:
    """The file that a row's `video` names; all of it where its `#t=` is no part."""
    try:
        return parse_address(video).path
    except VideoError:
        return Path(video)


def one_line(text: str) -> str:
    """`text` without line ends, runs of blanks, and characters that no text file or XML may hold."""
    return " ".join("".join(c if _may_be_written(c) else "\ufffd" for c in text).split())


def _may_be_written(letter: str) -> bool:
    """Whether XML 1.0 allows it, which is what the pickiest of the formats says."""
    code = ord(letter)
    return (0x20 <= code < 0xD800 and code != 0x7F) or letter in "\t\n\r" or 0xE000 <= code < 0xFFFE or code > 0xFFFF


def _one_video(path: Path, rows: Sequence[Row]) -> OneVideo:
    moments = [Moment(row.question, grounding) for row in rows for grounding in row.groundings]
    durations = [row.duration_seconds for row in rows if row.duration_seconds]
    rates = [row.fps for row in rows if row.fps and math.isfinite(row.fps)]
    return OneVideo(
        path,
        rows[0].video,
        tuple(sorted(moments, key=lambda moment: moment.grounding.span)),
        tuple(f"{one_line(row.question)}: {one_line(row.error)}" for row in rows if row.error),
        durations[0] if durations else None,
        rates[0] if rates else None,
    )
