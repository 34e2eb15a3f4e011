"""The one span of an answer in text, as lmms-eval and TimeLens read it, miss for miss.

Only for numbers that shall be comparable with published ones, as `official_answers` is for those of TimeChat's family;
`read_times` understands more. Neither rule looks at what stands around a number.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?"
_NUMBER = r"(?<!\d)(\d++(?:\.\d++)?)"
_MOMENT_WORDS = ("start", "end", "happen")
_EXAMPLE = "a specific example is : 20.8 - 30.0 seconds"  # a prompt that models used to repeat

Pair = tuple[float, float]


def lmms_eval_span(text: str) -> Pair | None:
    """As the task `temporal_grounding_charades` of lmms-eval 0.7 reads it, start before end, or None.

    `to` is a dash wherever its letters stand. Of the sentences that speak of start, end or happening, or of all where
    none does (they end at `!`, `?` and line breaks), the first that holds any is taken of: a range of clock times, a
    range of numbers; then the first two clock times, then the first numbers of two sentences, then a range of numbers
    with `s` behind them.
    """
    sentences = re.split(r"[!?\n]", text.lower().replace(_EXAMPLE, "").replace("to", "-"))
    sentences = [each for each in sentences if any(word in each for word in _MOMENT_WORDS)] or sentences
    return _ordered(next(_by_lmms_eval(sentences), None))


def _by_lmms_eval(sentences: Sequence[str]) -> Iterator[Pair]:
    clock_range = rf"\b({_CLOCK})\s*[–-]\s*({_CLOCK})\b"
    yield from ((_seconds(a), _seconds(b)) for each in sentences for a, b in re.findall(clock_range, each)[:1])
    number_range = rf"{_NUMBER}\s*[–-]\s*(\d++(?:\.\d++)?)"
    yield from ((float(a), float(b)) for each in sentences for a, b in re.findall(number_range, each)[:1])
    clocks = [_seconds(clock) for each in sentences for clock in re.findall(rf"\b({_CLOCK})\b", each)]
    yield from pairwise(clocks)
    firsts = [float(match[0]) for each in sentences if (match := re.search(r"\b\d+(?:\.\d+)?\b", each))]
    yield from pairwise(firsts)
    with_unit = rf"{_NUMBER}\s*s?\s*[–-]\s*(\d++(?:\.\d++)?)"
    yield from ((float(a), float(b)) for each in sentences for a, b in re.findall(with_unit, each)[:1])


def timelens_span(text: str) -> Pair | None:
    """As TimeLens reads it, and lmms-eval in its tasks `timelens`: an end before its start stays so, or None.

    The first two clock times; else the first `number - number`; else the first `number to number`; else the first two
    numbers, of which `24.3s` is cut to 24.
    """
    text = text.lower()
    clocks = [_seconds(clock) for clock in re.findall(r"\b(\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?)\b", text)]
    if len(clocks) > 1:
        return _finite((clocks[0], clocks[1]))
    number = r"(\d++\.?\d*+)"
    for between in (r"\s*-\s*", r"\s+to\s+"):
        if found := re.search(rf"(?<!\d){number}{between}{number}", text):
            return _finite((float(found[1]), float(found[2])))
    numbers = re.findall(r"\b\d+\.?\d*\b", text)
    return _finite((float(numbers[0]), float(numbers[1]))) if len(numbers) > 1 else None


def _seconds(clock: str) -> float:
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part)
    return total


def _ordered(pair: Pair | None) -> Pair | None:
    return None if pair is None else _finite((min(pair), max(pair)))


def _finite(pair: Pair) -> Pair | None:
    return pair if all(map(math.isfinite, pair)) else None
