"""Answers as text for people and as JSON for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvu.temporal.timecode import format_timecode, percent

if TYPE_CHECKING:
    from tvu.video_llm.captions import Captioned
    from tvu.video_llm.types import Answer, Grounding, VideoClip


def answer_json(answer: "Answer", clip: "VideoClip") -> str:
    """One answer as one line of JSON."""
    from dataclasses import replace

    from tvu.video_llm.results.rows import Row

    return replace(Row.of(answer, clip), fps=None).line()


def answer_text(answer: "Answer") -> str:
    """One answer for a terminal: a sentence, then a line for each span."""
    return "\n".join([answer.text, *(f"  {line}" for line in grounding_lines(answer.groundings))])


def caption_line(told: "Captioned") -> str:
    """`00:12.0 - 00:15.5  A dog runs to the left.`, or `00:12.0 - 00:15.5  87 %  a dog` where that is known."""
    score = "" if told.score is None else f"{percent(told.score):>4}  "
    return f"{format_timecode(told.span.start_seconds)} - {format_timecode(told.span.end_seconds)}  {score}{told.text}"


def grounding_lines(groundings: "tuple[Grounding, ...]") -> list[str]:
    """`00:12.0 - 00:15.5   87 %  visual  looks like: bus`, one a span."""
    return [
        f"{format_timecode(g.span.start_seconds)} - {format_timecode(g.span.end_seconds)}  "
        f"{percent(g.score):>4}  {g.evidence:<11}  {g.phrase}".rstrip()
        for g in groundings
    ]


def grounding_row(named: Sequence[str], grounding: "Grounding") -> str:
    """One span as tab-parted columns; in front what tells it from spans of other videos or queries."""
    span = grounding.span
    numbers = [f"{span.start_seconds:.3f}", f"{span.end_seconds:.3f}", f"{grounding.score:.4f}"]
    columns = [*named, *numbers, grounding.evidence, grounding.phrase]
    return "\t".join(" ".join(column.split()) for column in columns)  # no tab or newline of the text parts columns
