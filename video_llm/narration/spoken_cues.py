"""Cues to be read, of what was said: two lines of 42 letters at most, on screen for 1 to 7 seconds, cut where a
sentence ends, where the speaker pauses, or where a clause does.

Where to cut is found at once for all that lies between two long pauses: the cheapest way to part the words, by an exact
dynamic programme.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tvu.video_llm.narration.numerals import words_of
from tvu.video_llm.narration.types import Line, Script
from tvu.video_llm.scout.speech import Transcript, Word, sentences_of

WIDTH = 42  # letters of one line on screen
ROWS = 2
LEAST_SECONDS, MOST_SECONDS = 1.0, 7.0
LETTERS_PER_SECOND = 21.0  # more cannot be read
PAUSE_SECONDS = 1.0  # a silence that always ends a cue
GAP_SECONDS = 0.08  # two frames between a cue and the next
LINGER_SECONDS = 0.5  # a cue stays on screen after the last word, where there is room

_ENDS = re.compile(r"[.?!…][\"'”’)]*$")
_CLAUSE = re.compile(r"[,;:—–-][\"'”’)]*$")
_GOES_ON = re.compile(r"(?<=\w) (?:[-/&][^\W\d]|%)|(?<=\d) [-/.,:]\d")  # what recognisers tell as two words
_JOINING = words_of("and or but so because that which who when where if while then than as")
_CLINGING = words_of("a an the of to in on at for with by from my your his her its our their this i and or")


def script_of(transcript: Transcript) -> Script:
    """What was said as a text with times, for `--transcribe`: lines in the order they were said, none overlapping.

    The first hearing alone is told. A text of two rows has a line break between them.
    """
    pieces = [cue for run in _runs(_whole(transcript.words)) for cue in _cut(run)]
    lines = []
    for i, words in enumerate(pieces):
        start, end = words[0].start_seconds, words[-1].end_seconds
        room = pieces[i + 1][0].start_seconds - GAP_SECONDS if i + 1 < len(pieces) else float("inf")
        letters = sum(len(w.text) + 1 for w in words)
        wanted = max(end + LINGER_SECONDS, start + LEAST_SECONDS, start + letters / LETTERS_PER_SECOND)
        end = max(end, min(wanted, room, max(end, start + MOST_SECONDS)))
        if i + 1 < len(pieces):
            end = min(end, max(pieces[i + 1][0].start_seconds, start))
        lines.append(Line(_in_rows([w.text for w in words]), start, end if end > start else start + GAP_SECONDS))
    return Script(tuple(lines), "transcript", language=transcript.language)


def _whole(words: Sequence[Word]) -> list[Word]:
    """Words as they are written: `20 -year -old` is one, and so is `$4 ,000`."""
    whole: list[Word] = []
    for word in words:
        if whole and _GOES_ON.search(f"{whole[-1].text} {word.text[:2]}", max(0, len(whole[-1].text) - 1)):
            whole[-1] = replace(whole[-1], text=whole[-1].text + word.text, end_seconds=word.end_seconds)
        else:
            whole.append(word)
    return whole


def _runs(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Words between long pauses."""
    runs: list[list[Word]] = []
    for word in words:
        if runs and word.start_seconds - runs[-1][-1].end_seconds < PAUSE_SECONDS:
            runs[-1].append(word)
        else:
            runs.append([word])
    return [tuple(run) for run in runs]


def _cut(words: tuple[Word, ...]) -> list[tuple[Word, ...]]:
    ends = set()
    at = 0
    for sentence in sentences_of(words):
        at += len(sentence)
        if _ENDS.search(sentence[-1].text):
            ends.add(at)
    count = len(words)
    cheapest = [0.0] + [float("inf")] * count  # of the ways to part the words before each
    came = [0] * (count + 1)
    for first in range(count):
        for last in range(first + 1, count + 1):
            fits = _fits(words[first:last])
            if not fits and last > first + 1:
                break
            price = cheapest[first] + _price(words, first, last, ends)
            if price < cheapest[last]:
                cheapest[last], came[last] = price, first
    cuts = [count]
    while cuts[-1]:
        cuts.append(came[cuts[-1]])
    cuts.reverse()
    return [words[a:b] for a, b in pairwise(cuts)]


def _fits(words: Sequence[Word]) -> bool:
    if words[-1].end_seconds - words[0].start_seconds > MOST_SECONDS:
        return False
    rows, room = 0, -1
    for word in words:
        if len(word.text) + 1 > room:
            rows, room = rows + 1, WIDTH - len(word.text)
        else:
            room -= len(word.text) + 1
        if room < 0 or rows > ROWS:
            return False
    return True


def _price(words: Sequence[Word], first: int, last: int, ends: set[int]) -> float:
    """What a cue of the words from `first` to before `last` costs: being there, being short, and where it is cut."""
    price = 1.0
    seconds = words[last - 1].end_seconds - words[first].start_seconds
    price += 2.0 * max(0.0, LEAST_SECONDS - seconds)
    price += 1.2 * sum(at in ends for at in range(first + 1, last))  # two sentences in one cue
    if last == len(words) or last in ends:
        return price
    price += 2.0 - min(1.0, 2.0 * max(0.0, words[last].start_seconds - words[last - 1].end_seconds))
    if _CLAUSE.search(words[last - 1].text):
        price -= 0.8
    elif words[last].text.lower() in _JOINING:
        price -= 0.5
    if words[last - 1].text.lower() in _CLINGING:
        price += 1.0
    return price


def _in_rows(words: Sequence[str]) -> str:
    """The words in one row, or in two that are as even as can be, the second rather longer."""
    whole = " ".join(words)
    if len(whole) <= WIDTH:
        return whole
    best, cut = float("inf"), 0
    for i in range(1, len(words)):
        above, below = len(" ".join(words[:i])), len(" ".join(words[i:]))
        uneven = max(above, below) + 0.2 * max(0, above - below)
        uneven -= 3.0 * bool(_CLAUSE.search(words[i - 1]) or _ENDS.search(words[i - 1]))
        uneven += 3.0 * (words[i - 1].lower() in _CLINGING)
        uneven += 1000.0 * (max(above, below) > WIDTH)
        if uneven < best:
            best, cut = uneven, i
    return " ".join(words[:cut]) + "\n" + " ".join(words[cut:]) if cut else whole
