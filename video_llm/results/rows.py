"""A row: what one query about one video came to. Every format of results is made of rows, and a ledger holds them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np

from tvu.temporal.types import Span
from tvu.video_llm.types import Answer, Grounding, ScoreCurve, Timing, VideoClip

MOST_POINTS = 400  # of a curve that is kept with a row; the peaks between are kept, see `_thinned`


@dataclass(frozen=True)
class Row:
    """One query about one video, or about a part of it.

    video:            as it was named, `path` or `path#t=a,b`. question: the query.
    duration_seconds: of the whole file; None where it could not be read. fps: mean frames a second, for time codes.
    groundings:       best first, file seconds. error: one sentence where there is no answer, else empty.
    key:              in a ledger, what the answer depends on: content of the file, part, query, settings. settings: a
                      hash of the last of these.
    curves:           for drawing; kept only where they were asked for.
    """

    video: str
    question: str
    duration_seconds: float | None = None
    answer: str = ""
    groundings: tuple[Grounding, ...] = ()
    model: str = ""
    timing: Timing = field(default_factory=Timing)
    notes: tuple[str, ...] = ()
    error: str = ""
    fps: float | None = None
    key: str = ""
    settings: str = ""
    curves: tuple[ScoreCurve, ...] = ()
    tvu_version: str = field(default_factory=lambda: version("tvu"))

    @classmethod
    def of(cls, answer: Answer, clip: VideoClip, *, video: str = "", curves: bool = False) -> "Row":
        """The row of an answer about `clip`; `video` is how it was named, if not by its path."""
        return cls(
            video or str(clip.path),
            answer.question,
            clip.duration_seconds,
            answer.text,
            answer.groundings,
            answer.model,
            answer.timing,
            answer.notes,
            fps=clip.fps,
            curves=tuple(map(_thinned, answer.curves)) if curves else (),
        )

    def keyed(self, key: str, settings: str) -> "Row":
        """The same with what it depends on."""
        return replace(self, key=key, settings=settings)

    def as_json(self) -> dict[str, Any]:
        """One JSON object, with the fields that every version of tvu keeps; others only where they say something."""
        duration = self.duration_seconds
        told: dict[str, Any] = {
            "video": self.video,
            "duration_seconds": None if duration is None else round(duration, 3),
            "question": self.question,
            "answer": self.answer,
            "groundings": [_grounding_fields(each) for each in self.groundings],
            "model": self.model,
            "timing": {name: round(seconds, 3) for name, seconds in asdict(self.timing).items()},
            "tvu_version": self.tvu_version,
        }
        if self.notes:
            told["notes"] = list(self.notes)
        if self.curves:
            told["curves"] = [
                {
                    "evidence": curve.evidence,
                    "times": [round(float(t), 3) for t in curve.times],
                    "scores": [round(float(s), 4) for s in curve.scores],
                }
                for curve in self.curves
            ]
        if self.fps is not None:
            told["fps"] = round(self.fps, 6)
        for name in ("error", "key", "settings"):
            if value := getattr(self, name):
                told[name] = value
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Row":
        """What `as_json` wrote, to the rounding. Raises KeyError, TypeError or ValueError for anything else."""
        curves = tuple(
            ScoreCurve(each["evidence"], np.array(each["times"], np.float64), np.array(each["scores"], np.float32))
            for each in told.get("curves", ())
        )
        return cls(
            str(told["video"]),
            str(told["question"]),
            told.get("duration_seconds"),
            str(told.get("answer", "")),
            tuple(map(_grounding, told["groundings"])),
            str(told.get("model", "")),
            Timing(**told.get("timing", {})),
            tuple(told.get("notes", ())),
            str(told.get("error", "")),
            told.get("fps"),
            str(told.get("key", "")),
            str(told.get("settings", "")),
            curves,
            str(told.get("tvu_version", "")),
        )

    def line(self) -> str:
        """The JSON on one line, without a line end."""
        return json.dumps(self.as_json(), ensure_ascii=False, allow_nan=False)


def _grounding_fields(grounding: Grounding) -> dict[str, Any]:
    return {
        "start_seconds": round(float(grounding.span.start_seconds), 3),
        "end_seconds": round(float(grounding.span.end_seconds), 3),
        "score": round(grounding.score, 4),
        "evidence": grounding.evidence,
        "phrase": grounding.phrase,
    }


def _grounding(told: Mapping[str, Any]) -> Grounding:
    span = Span(float(told["start_seconds"]), float(told["end_seconds"]))
    return Grounding(span, float(told["score"]), told.get("evidence", "visual"), str(told.get("phrase", "")))


def _thinned(curve: ScoreCurve) -> ScoreCurve:
    """The curve with at most MOST_POINTS points: of each run of points the highest, at its own time."""
    count = len(curve.times)
    if count <= MOST_POINTS:
        return curve
    borders = np.linspace(0, count, MOST_POINTS + 1).astype(int)
    best = np.array([a + int(np.argmax(curve.scores[a:b])) for a, b in pairwise(borders)])
    return ScoreCurve(curve.evidence, curve.times[best], curve.scores[best])
