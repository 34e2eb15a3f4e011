"""What aligning a text to a video is about: lines of a file, what each signal says of them, and the outcome."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tvu.temporal.types import Span
from tvu.video_llm.types import EVIDENCE, Evidence

Order = Literal["monotone", "free"]


@dataclass(frozen=True)
class Line:
    """One line of a text: a cue of subtitles, a sentence of a transcript, a step of a recipe.

    text: as spoken or meant, without markup; may be empty (a cue of pictures or of styling alone).
    start_seconds, end_seconds: as the file says, on its own clock; None where it says nothing. They may be negative, or
        end before they start: files are like that, and what they say is kept.
    extra: whatever else the format holds for this line, untouched, for the same format to write again.
    """

    text: str
    start_seconds: float | None = None
    end_seconds: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for seconds in (self.start_seconds, self.end_seconds):
            if seconds is not None and not math.isfinite(seconds):
                raise ValueError(f"times of a line are finite seconds, not {seconds}")

    @property
    def span(self) -> Span | None:
        """The time that the file gives, where that is a time: both ends, in order, ending after 0."""
        if self.start_seconds is None or self.end_seconds is None:
            return None
        if self.end_seconds <= max(self.start_seconds, 0.0):
            return None
        return Span(self.start_seconds, self.end_seconds)


@dataclass(frozen=True)
class Script:
    """A text to be aligned: lines in the order of the file.

    format: which reader made it (`srt`, `vtt`, `ass`, `txt`, `json`, ...); header: what the file holds beside lines.
    """

    lines: tuple[Line, ...]
    format: str
    header: Mapping[str, Any] = field(default_factory=dict)
    language: str | None = None  # ISO 639-1, where the file says so

    @property
    def is_timed(self) -> bool:
        """Whether any line comes with a time."""
        return any(line.span is not None for line in self.lines)


@dataclass(frozen=True)
class Candidate:
    """One place in the video for one line, as one signal sees it.

    score: probability, as far as that signal can tell, that the line is shown or said in `span`.
    """

    span: Span
    score: float
    evidence: Evidence

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score is a probability, not {self.score}")
        if self.evidence not in EVIDENCE:
            raise ValueError(f"unknown evidence {self.evidence!r}")


# What one signal says of a whole script: for every line its candidates, best first; none where it has nothing to say.
Candidates = tuple[tuple[Candidate, ...], ...]


@dataclass(frozen=True)
class AlignedLine:
    """Where one line belongs.

    index: of the line in its script; span: where it is shown, None where it is not in the video.
    confidence: calibrated probability that the line is shown in `span`; where `span` is None, that it is shown at all.
    evidence: the signals that agree on it, strongest first.
    """

    index: int
    span: Span | None
    confidence: float
    evidence: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"a confidence is a probability, not {self.confidence}")


@dataclass(frozen=True)
class Alignment:
    """A script with the place of every line in a video.

    lines: one for each line of the script, in its order; notes: what the user should know.
    kept: the file's own times were good and were left as they are (the quality gate).
    """

    script: Script
    lines: tuple[AlignedLine, ...]
    video: str
    duration_seconds: float
    signals: tuple[Evidence, ...]
    kept: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if [line.index for line in self.lines] != list(range(len(self.script.lines))):
            raise ValueError("an alignment has one line for each line of its script, in its order")
