"""What a language model elsewhere tells of times, as spans with scores."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from tvu.temporal.spans import clamp, iou
from tvu.temporal.time_tokens.read_times import read_times
from tvu.temporal.types import Span
from tvu.video_llm.types import Grounding, VideoClip

UNKNOWN_SCORE = 0.5  # of a span whose probability nobody tells
SAME_IOU = 0.9  # spans that an answer tells twice
MOST_MOMENTS = 1000  # of one answer: more is a model that repeats itself

MOMENTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "moments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"start_seconds": {"type": "number"}, "end_seconds": {"type": "number"}},
                "required": ["start_seconds", "end_seconds"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["moments"],
    "additionalProperties": False,
}
"""The form of an answer that is moments, file seconds: our client asks for it, our server answers in it."""

_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_MOMENT = re.compile(rf'"start_seconds"\s*:\s*{_NUMBER}\s*,\s*"end_seconds"\s*:\s*{_NUMBER}')


@dataclass(frozen=True)
class Written:
    """What a server's model wrote: the text, and its tokens with their log probabilities, none where it tells none."""

    text: str
    tokens: tuple[str, ...] = ()
    log_probs: tuple[float, ...] = ()

    @property
    def mean_probability(self) -> float:
        """The geometric mean over the answer: how sure the model was of its words; unknown without probabilities."""
        if not self.log_probs:
            return UNKNOWN_SCORE
        return min(1.0, math.exp(sum(self.log_probs) / len(self.log_probs)))

    def probability_of(self, start: int, stop: int) -> float | None:
        """Of the tokens that hold some of the letters from start to stop; None where tokens and text do not agree."""
        if not self.log_probs or "".join(self.tokens) != self.text:
            return None
        edges = pairwise(accumulate(map(len, self.tokens), initial=0))
        within = (p for (a, b), p in zip(edges, self.log_probs, strict=True) if a < stop and start < b)
        return min(1.0, math.exp(sum(within)))


def written_in(choice: Any) -> Written:
    """The text and the probabilities of a choice of a chat completion."""
    message = choice.get("message") if isinstance(choice, dict) else None
    text = message.get("content") if isinstance(message, dict) else None
    told = choice.get("logprobs") if isinstance(choice, dict) else None
    content = told.get("content") if isinstance(told, dict) else None
    tokens: list[str] = []
    log_probs: list[float] = []
    for each in content if isinstance(content, list) else ():
        log_prob = each.get("logprob") if isinstance(each, dict) else None
        if not isinstance(log_prob, int | float) or not log_prob <= 1e-6:
            return Written(text if isinstance(text, str) else "")
        tokens.append(str(each.get("token", "")))
        log_probs.append(min(0.0, float(log_prob)))
    return Written(text if isinstance(text, str) else "", tuple(tokens), tuple(log_probs))


def read_moments(written: Written, clip: VideoClip) -> tuple[Grounding, ...]:
    """The spans that an answer tells inside the clip, likeliest first, in file seconds.

    JSON of `MOMENTS_SCHEMA` is read exactly, wherever it stands in the text; times in words as people write them. The
    score of a span is the probability of the tokens of its two times, else that of the answer's tokens in the mean,
    else `UNKNOWN_SCORE`. `score` beside the times, as a server of tvu tells it, is taken as it is.
    """
    found: list[Grounding] = []
    for span, score in _told(written, clip):
        inside = clamp(span, clip.span)
        if inside is not None and not any(iou(inside, known.span) > SAME_IOU for known in found):
            found.append(Grounding(inside, score, "visual"))
    return tuple(sorted(found, key=lambda grounding: -grounding.score))


def _told(written: Written, clip: VideoClip) -> list[tuple[Span, float]]:
    moments = _json_in(written.text)
    if moments is None:
        times = read_times(written.text, clip.duration_seconds) if written.text else None
        return [(span, written.mean_probability) for span in times.spans] if times else []
    places = list(_MOMENT.finditer(written.text))
    told = []
    for number, moment in enumerate(moments[:MOST_MOMENTS]):
        span = _span(moment)
        if span is None:
            continue
        score = moment.get("score")
        if not (isinstance(score, int | float) and 0 <= score <= 1):
            place = places[number] if len(places) == len(moments) else None
            score = _probability(written, place)
        told.append((span, float(score)))
    return told


def _probability(written: Written, place: re.Match[str] | None) -> float:
    if place is not None:
        start, end = written.probability_of(*place.span(1)), written.probability_of(*place.span(2))
        if start is not None and end is not None:
            return start * end
    return written.mean_probability


def _json_in(text: str) -> Sequence[dict[str, Any]] | None:
    """The moments of the JSON in a text; None where there is none."""
    first, last = text.find("{"), text.rfind("}")
    if first < 0 or last < first:
        return None
    try:
        told = json.loads(text[first : last + 1])
    except (ValueError, RecursionError):
        return None
    moments = told.get("moments") if isinstance(told, dict) else None
    return [each for each in moments if isinstance(each, dict)] if isinstance(moments, list) else None


def _span(moment: dict[str, Any]) -> Span | None:
    start, end = moment.get("start_seconds"), moment.get("end_seconds")
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in (start, end)):
        return None
    assert isinstance(start, int | float) and isinstance(end, int | float)
    return Span(float(start), float(end)) if start < end else None
