"""Answers in text, read as the published evaluation of VTG-LLM and of TimeSuite reads them, miss for miss.

Only for numbers that shall be comparable with published ones. The rules, which come from TimeChat (arXiv 2312.02051),
understand less than a reader would: `From 37.8 to 59.9 seconds.` is no answer to them. `read_times` understands more.

VTG-LLM turns its time tokens into digits first: `time_tokens_to_digits`. Highlights are read differently by the two.
Like the published code, everything here raises ValueError for a number with several dots in a row (`1..5 - 2`).
"""

import math
import re
from typing import NamedTuple

_NUMBER = r"\d++\.*+\d*+"
_PAIR = re.compile(rf"(?<!\d)({_NUMBER})\s*-\s*({_NUMBER})")
_MOMENT_WORDS = ("start", "end", "happen")
_GUESSED_RADIUS = 20  # seconds


class Captions(NamedTuple):
    """What happens when: spans in seconds, and as many captions."""

    spans: list[tuple[float, float]]
    captions: list[str]


class Highlights(NamedTuple):
    """Moments in seconds, and how much each stands out; one moment alone may come with any number of scores."""

    times: list[float]
    scores: list[float]


def retrieval_span(text: str) -> tuple[float, float] | None:
    """The one span that a moment-retrieval answer is scored by, start before end, or None.

    It is the first `number - number`. Without any, the first number of each sentence that speaks of start, end or
    happening is taken (sentences end at `!`, `?` or a line break, not at a dot), and the first two of these are the
    span. The published code then looks for HH:MM:SS in the same sentences, which is never reached: its first two digits
    are a number already.
    """
    text = text.lower()
    pairs = [(float(start), float(end)) for start, end in _PAIR.findall(text)]
    if not pairs:
        told = [s for s in re.split(r"[!?\n]", text) if any(word in s for word in _MOMENT_WORDS)]
        numbers = [re.search(r"\b(\d+\.\d+\b|\d+\b)", sentence) for sentence in told]
        times = [float(number[0]) for number in numbers if number]
        pairs = list(zip(times[::2], times[1::2], strict=False))
    return (min(pairs[0]), max(pairs[0])) if pairs else None


def vtg_llm_captions(text: str, digits: str) -> Captions:
    """Dense captions as VTG-LLM reads them; `digits` is `text` after `time_tokens_to_digits`.

    What is read sentence by sentence, because the text as a whole told nothing, is read from `text`.
    """
    return _captions_of_paragraph(digits) or _caption_of_a_sentence(text)


def timesuite_captions(text: str) -> Captions:
    """Dense captions as TimeSuite reads them."""
    return _captions_of_paragraph(text) or _caption_of_a_sentence(text)


def _captions_of_paragraph(text: str) -> Captions | None:
    text = text.lower()
    spans: list[tuple[float, float]] = []
    captions: list[str] = []
    if pairs := list(_PAIR.finditer(text)):
        spans = [(float(pair[1]), float(pair[2])) for pair in pairs]
        rest = text
        for pair in pairs:
            rest = rest.replace(pair[0], "\n")  # everywhere, even inside a longer number
        captions = rest.replace("seconds", "").split("\n")
    else:
        starts, ends = (
            re.findall(rf"{word}(?:ing)? time: (\d+\.*\d*)(?:s| seconds)?", text, re.IGNORECASE)
            for word in ("start", "end")
        )
        if starts and ends:
            spans = [(float(start), float(end)) for start, end in zip(starts, ends, strict=False)]
            captions = re.findall(r"description: (.*)", text) or re.findall(r"\*\s*(.*)", text)
        elif re.search(r"start time (\d+\.*\d*), end time (\d+\.*\d*)", text):
            raise ValueError("the published code stops in a debugger at 'start time .., end time ..'")
    captions = [caption.strip().strip(", ").rstrip() for caption in captions if len(caption) > 5]
    told = min(len(spans), len(captions))
    return Captions(spans[:told], captions[:told]) if told else None


def _caption_of_a_sentence(text: str) -> Captions:
    """The first sentence or line from which a time can be had, even from a single number."""
    lines = text.split("\n") if "\n" in text else text.split(".")
    for line in (line for line in lines if len(line) > 7):
        first, *others = (line if "\n" in text else f"{line}.").split("seconds")
        caption = (others[-1] if others else first).strip(",").strip()
        try:
            span = _guessed_span(first.strip(","))
        except (ValueError, IndexError):
            continue
        if span is not None:
            return Captions([span], [caption])
    return Captions([], [])


def _guessed_span(text: str) -> tuple[float, float] | None:
    """A pair, one or two clock times, one or two numbers; around a single time 20 seconds on both sides."""
    clock = r"\d+\.*\d*:\d+\.*\d*"
    if pair := _PAIR.search(text):
        return _rounded(pair[0])
    if text.count(":") == 1:
        return _rounded(_around(_clock_seconds(re.findall(clock, text)[0])))
    if text.count(":") == 2:
        start, end = re.findall(clock, text)
        return _rounded(f"{_clock_seconds(start)} - {_clock_seconds(end)}")
    numbers = re.findall(r"\d+\.*\d*(?!\.)", text)
    if len(numbers) == 1:
        return _rounded(_around(float(numbers[0])))
    return _rounded(" - ".join(numbers)) if len(numbers) == 2 else None


def _around(seconds: float) -> str:
    start = seconds - _GUESSED_RADIUS if seconds > _GUESSED_RADIUS else seconds
    end = seconds + _GUESSED_RADIUS if seconds > _GUESSED_RADIUS else seconds + 2 * _GUESSED_RADIUS
    return f"{start} - {end}"


def _clock_seconds(text: str) -> int:
    minutes, seconds, *_ = text.split(":")
    return int(minutes) * 60 + int(seconds)


def _rounded(pair: str) -> tuple[float, float]:
    start, end, *_ = pair.split("-")  # of text, as published: the minus of an exponent counts
    return round(float(start), 2), round(float(end), 2)


def vtg_llm_highlights(digits: str) -> Highlights:
    """Highlights as VTG-LLM reads them, of text after `time_tokens_to_digits`.

    Pieces between commas and line breaks: one that speaks of a score gives its last `d` or `d.d` as score, another that
    speaks of seconds or holds a colon its last number as time. Both words must come up somewhere.
    """
    text = digits.lower().replace("th", " ")
    times, scores = [], []
    if "second" in text and "score" in text:
        for piece in re.split(r"[,\n]+", text):
            if "score" in piece:
                scores += re.findall(r"\b\d\.?\d?\b", piece)[-1:]
            elif "second" in piece or ":" in piece:
                times += _plain_numbers(piece, r"\d+\.?\d+?\b|\b\d+")[-1:]
    return _paired(times, scores)


def timesuite_highlights(text: str) -> Highlights:
    """Highlights as TimeSuite reads them.

    Where `second` and `score` come up once or twice each, lists: numbers before the first `score` of a line are times,
    `d.d` between it and the next are scores, so that whole scores are missed. Otherwise line by line: the last `d.d` is
    the score and the last number above 10 the time.
    """
    text = text.replace("th", " ")
    times: list[str] = []
    scores: list[str] = []
    if "second" in text and "score" in text:
        if text.count("second") < 3 and text.count("score") < 3:
            for line in text.split("\n"):
                if "second" in line or "score" in line:
                    _read_lists(line, times, scores)
        else:
            for line in re.split(r"\n+", text):
                if "second" in line or "score" in line or ":" in line:
                    scores += re.findall(r"\b\d\.\d\b", line)[-1:]
                    times += [n for n in _plain_numbers(line, r"\d+\.\d+\b|\b\d+") if float(n) > 10][-1:]
    return _paired(times, scores)


def _read_lists(line: str, times: list[str], scores: list[str]) -> None:
    most = 100
    if told := re.search(r"There are (\d+) highlight moments", line):
        most = int(told[1])
        line = line.replace(f"There are {most} highlight moments", "")
    before, *after = line.split("score")
    times += re.findall(r"[-+]?\d*\.\d+|\d+", before)[:most]
    scores += re.findall(r"\b\d\.\d\b", after[0] if after else line)[:most]


def _plain_numbers(text: str, number: str) -> list[str]:
    """Numbers that are not part of HH:MM:SS, which the published code finds and then drops."""
    found = re.finditer(rf"\b\d{{1,2}}:\d{{2}}:\d{{2}}\b|\b({number})\b", text)
    return [match[1] for match in found if match[1]]


def _paired(times: list[str], scores: list[str]) -> Highlights:
    found = Highlights([float(time) for time in times], [float(score) for score in scores])
    if len(times) < 2:
        return found
    return Highlights(found.times, [*found.scores, *[0.0] * len(times)][: len(times)])


def timesuite_highlight_list(text: str) -> str:
    """A highlight answer `start - end .. score` spelled out in steps of two seconds, as TimeSuite does on request.

    Raises ValueError where a number is too large to be spelled out.
    """
    found = re.search(r"(\d+\.?\d*)\s*-\s*(\d+\.?\d*).*?(\d+\.?\d*)", text)
    if not found:
        return f"Invalid post processing format! {text}"
    start, end, score = (float(number) for number in found.groups())
    if not (math.isfinite(start) and end - start < 2e6):
        raise ValueError(f"too long to be spelled out: {found[0][:80]!r}")
    first, last = math.floor(start), math.ceil(end)
    times = [first + 2 * step for step in range(int((last - first) / 2) + 1)]
    return (
        f"The highlight timestamps are in the {', '.join(map(str, times))} seconds. "
        f"Their saliency scores are {', '.join([str(score)] * len(times))}."
    )
