"""Parse: from what a model wrote to spans in file seconds, and to a text for people."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvu.temporal.spans import clamp, non_maximum_suppression
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.timecode import format_timecode
from tvu.temporal.types import Span
from tvu.video_llm.types import Generation, Grounding

if TYPE_CHECKING:
    from tvu.video_llm.models.processing import TvuProcessor

SAME_IOU = 0.9  # spans that a text tells twice


def parse_groundings(generation: Generation, part: Span, processor: "TvuProcessor") -> tuple[Grounding, ...]:
    """The spans that a free answer tells, best first, in file seconds; none is a result.

    part: the stretch of the file that the model saw; to the model, times count from its start.
    What the codec of the model writes is read exactly, other times as people write them. The score of all of them is
    the geometric mean of the probabilities of the answer's tokens, the likelihood of an answer whatever its length:
    how sure the model was of its words, of which the times are a part.
    """
    told = processor.read_answer(generation.text, part.seconds).spans
    spans = [span for each in told if (span := clamp(moved(each, part), part)) is not None]
    score = min(1.0, math.exp(sum(generation.log_probs) / max(1, len(generation.log_probs))))
    kept = non_maximum_suppression(spans, [score] * len(spans), SAME_IOU)
    return tuple(Grounding(spans[i], score, "visual") for i in kept)


def readable(text: str, part: Span, codec: TimeCodec) -> str:
    """`text` with every time that the codec wrote as file time, `<t12> <t29>` as `00:12.0 - 00:29.0`.

    What a terminal would obey and nobody can read is left out.
    """
    try:
        spans = codec.decode_spans(text, part.seconds)
        return ", ".join(_timecodes(span.start_seconds, span.end_seconds, part) for span in spans)
    except ValueError:
        pass
    tidy = getattr(codec, "tidy", str)(text)
    told = _written_times(codec).sub(lambda match: _in_words(match, part, codec), tidy)
    return "".join(letter for letter in told if letter.isprintable() or letter == "\n").strip()


def in_words(groundings: Sequence[Grounding]) -> str:
    """The sentence that answers when something happens."""
    if not groundings:
        return "Nothing in this video seems to be that."
    best = groundings[0]
    times = f"{format_timecode(best.span.start_seconds)} to {format_timecode(best.span.end_seconds)}"
    more = f", and at {len(groundings) - 1} more place{'s' * (len(groundings) > 2)}" if len(groundings) > 1 else ""
    return f"Most likely from {times}{more}."


def moved(span: Span, part: Span) -> Span:
    """A span that counts from the start of `part`, in file seconds."""
    return Span(span.start_seconds + part.start_seconds, span.end_seconds + part.start_seconds)


def _written_times(codec: TimeCodec) -> re.Pattern[str]:
    """One time, or two that are a span, as the codec writes them in the midst of a text."""
    if isinstance(codec, TextTimes):
        time = rf"(?<![\d.:])\d+\.\d{{{codec.decimals}}}(?!\d)"
        return re.compile(rf"({time})(?:\s*(?:-|–|to|and)\s*({time}))?\s*(?:seconds|s)\b")
    token = f"(?:{'|'.join(map(re.escape, codec.added_tokens))})"
    length = len(re.findall(token, codec.encode(0.0, 1.0)))
    return re.compile(rf"({token}{{{length}}})(?:\s*-?\s*({token}{{{length}}}))?(?: seconds)?")


def _in_words(match: re.Match[str], part: Span, codec: TimeCodec) -> str:
    try:
        start, end = (None if text is None else codec.decode(text, part.seconds) for text in match.groups())
    except ValueError:
        return match[0]
    if end is None:
        return format_timecode(part.start_seconds + (start or 0.0))
    return _timecodes(start or 0.0, end, part)


def _timecodes(start: float, end: float, part: Span) -> str:
    return f"{format_timecode(part.start_seconds + start)} - {format_timecode(part.start_seconds + end)}"
