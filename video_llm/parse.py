"""Parse: from what a model wrote to spans in file seconds, and to a text for people."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from tvu.temporal.spans import clamp, iou
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.timecode import format_timecode, parse_timecode
from tvu.temporal.types import Span
from tvu.video_llm.generation.text_stream import TextStream
from tvu.video_llm.types import Generation, Grounding

if TYPE_CHECKING:
    from tvu.video_llm.models.processing import TvuProcessor

SAME_IOU = 0.9  # spans that a text tells twice
_CLOCK = r"\d+(?::\d+){0,2}(?:[.,]\d+)?"


def parse_groundings(generation: Generation, part: Span, processor: "TvuProcessor") -> tuple[Grounding, ...]:
    """The spans that a free answer tells, likeliest first, in file seconds; none is a result.

    part: the stretch of the file that the model saw; to the model, times count from its start.
    What the codec of the model writes is read exactly, other times as people write them; a span that is told again
    counts as it was told first. Its score is the probability of these times after what was written before them: the
    product over all tokens that hold some of either time, as in `score_spans`. Of times that the text does not hold as
    they were understood (`1 minute 5 s`), the geometric mean over the answer: how sure the model was of its words.
    """
    told = processor.read_answer(generation.text, part.seconds).spans
    times = _written_times_of(generation, part.seconds, processor)
    found: list[Grounding] = []
    for each in told:
        log_prob = _log_prob(each, times, generation.log_probs)
        span = clamp(moved(each, part), part)
        if span is not None and not any(iou(span, known.span) > SAME_IOU for known in found):
            found.append(Grounding(span, min(1.0, math.exp(log_prob)), "visual"))
    return tuple(sorted(found, key=lambda grounding: -grounding.score))


class _Time(NamedTuple):
    """A time in an answer: seconds from the start of the part, and the numbers of the tokens that write it."""

    seconds: float
    tokens: frozenset[int]


def _written_times_of(generation: Generation, duration: float, processor: "TvuProcessor") -> list[_Time]:
    """Every number and every time of the codec in the text, in order; those after the end of the part are its end."""
    from tvu.video_llm.models.parts import build_codec  # brings torch, which a question to `scout` never needs

    codec, stream = build_codec(processor.codec), TextStream(processor.tokenizer)
    edges = [0]
    for token in generation.token_ids:
        stream.add(token)
        edges.append(len(stream.text))
    times = []
    for match in re.finditer(f"({_one_time(codec)})|{_CLOCK}", generation.text):
        try:
            seconds = codec.decode(match[0].strip(), duration) if match[1] else parse_timecode(match[0])
        except (ValueError, OverflowError):  # hours of hundreds of digits
            continue
        holds = (i for i, (a, b) in enumerate(pairwise(edges)) if a < match.end() and match.start() < b)
        times.append(_Time(min(seconds, duration), frozenset(holds)))
    return times


def _log_prob(span: Span, times: list[_Time], log_probs: Sequence[float]) -> float:
    """Of the first two of `times` that are those of `span`, which are taken out of them; else the mean of a token."""
    ends = []
    for seconds in (span.start_seconds, span.end_seconds):
        place = next((i for i, time in enumerate(times) if abs(time.seconds - seconds) < 1e-6), None)
        ends.append(times.pop(place).tokens if place is not None else frozenset())
    if all(ends):
        return sum(log_probs[i] for i in ends[0] | ends[1])
    return sum(log_probs) / max(1, len(log_probs))


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
    time = _one_time(codec)
    if isinstance(codec, TextTimes):
        return re.compile(rf"({time})(?:\s*(?:-|–|to|and)\s*({time}))?\s*(?:seconds|s)\b")
    return re.compile(rf"({time})(?:\s*-?\s*({time}))?(?: seconds)?")


def _one_time(codec: TimeCodec) -> str:
    """The pattern of one time as the codec writes it; tokens may have blanks between them."""
    if isinstance(codec, TextTimes):
        return rf"(?<![\d.:])\d+\.\d{{{codec.decimals}}}(?!\d)"
    token = f"(?:{'|'.join(map(re.escape, codec.added_tokens))})"
    length = len(re.findall(token, codec.encode(0.0, 1.0)))
    return rf"{token}(?:\s*{token}){{{length - 1}}}"


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
