"""Reading times out of free text: what is understood becomes spans, what is not is told, nothing is guessed in silence.

A number is a time if something says so: a time token, a clock (`1:02`), a unit (`12 s`) or, for a bare number, the
words around it (`from 3 until 9`). Everything else stays text: counts, scenes, scores, years, percentages, lengths.
The words are English.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise, takewhile
from typing import NamedTuple

from tvu.temporal.time_tokens.codec import check_duration
from tvu.temporal.time_tokens.lexemes import SECOND_WORDS, TIMES, Kind, Lexeme, lex
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.time_words import (
    AFTER_A_TIME,
    AND,
    ENDS,
    FILLERS,
    INTRODUCED_BY,
    LABELS,
    LENGTH_AFTER,
    LENGTH_BEFORE,
    ONE_LENGTH_AFTER,
    ONE_LENGTH_BEFORE,
    STARTS,
    TO,
    WHEN,
)
from tvu.temporal.types import Span


class Status(Enum):
    """What was found, as a whole."""

    SPANS = "at least one span"
    POINTS = "single times only"
    AMBIGUOUS = "no span, but numbers that might be times"
    UNUSABLE = "times, but none inside the video"
    NOTHING = "no time at all"


class Repair(Enum):
    """What was changed or left out, and why."""

    PAIRED = "start and end were told apart, and put together"
    SWAPPED = "the end stood before the start"
    CLAMPED = "the end was after the end of the video"
    DROPPED = "after the end of the video"
    EMPTY = "start and end are equal, so it is a point"
    UNSURE = "might be times, but nothing says so"
    LENGTH = "how long, not when"
    BROKEN = "looks like a time and is none"
    NEEDS_DURATION = "relative to the duration, which is not known"


@dataclass(frozen=True)
class Note:
    """One repair, and the words that it is about."""

    repair: Repair
    text: str


@dataclass(frozen=True)
class Times:
    """The times of a text.

    spans:    in the order of the text, inside the video where its duration is known.
    points:   seconds of single times, in the order of the text.
    leftover: the text without them.
    notes:    everything that was changed or left out.
    """

    spans: tuple[Span, ...]
    points: tuple[float, ...]
    leftover: str
    status: Status
    notes: tuple[Note, ...]


def read_times(text: str, duration: float | None = None, lita: LitaTimeTokens | None = None) -> Times:
    """Every span and every single time that `text` tells.

    text:     an answer of any model: times as `37.8 to 59.9`, `1:02-1:07`, `00:01:02,500 --> 00:01:07`, `2 min 3 s`,
              `3 s, 9 s and 12-15 s`, `from 3 s .. until 9 s`, `starts at 3 .. ends at 9`, `between 3 and 9`,
              `<12.5> <15>`, or time tokens of any codec; digits of any script.
    duration: of the video in seconds, if known: times after it are cut off or left out, and LITA's tokens need it.
    lita:     how many time tokens LITA has; 100 unless given.

    The time taken grows with the length of the text and no faster. Raises ValueError for a duration that is not finite
    and above 0, and for no text.
    """
    if duration is not None:
        check_duration(duration)
    lexemes = lex(text, duration, lita or LitaTimeTokens())
    reading = _Reading(text, duration, lexemes)
    for group in _groups(lexemes, text):
        reading.read(group)
    return reading.told()


_LONGEST = 1e7  # seconds, four months: where the duration is not known, a larger number is no time


class _Link(Enum):
    RANGE = "to"
    NEIGHBOURS = "two time tokens with nothing between them"
    LIST = "and"


@dataclass(frozen=True)
class _Group:
    """Times that stand in one range or list: positions among the lexemes, and what links each to the next."""

    at: tuple[int, ...]
    links: tuple[_Link, ...]


def _groups(lexemes: Sequence[Lexeme], text: str) -> Iterator[_Group]:
    at: list[int] = []
    links: list[_Link] = []
    for position, lexeme in enumerate(lexemes):
        if lexeme.kind not in TIMES:
            continue
        link = _link(lexemes, at[0], at[-1], position, text) if at else None
        if at and link is None:
            yield _Group(tuple(at), tuple(links))
            at, links = [], []
        at.append(position)
        links += [link] if link else []
    if at:
        yield _Group(tuple(at), tuple(links))


def _link(lexemes: Sequence[Lexeme], first: int, left: int, right: int, text: str) -> _Link | None:
    if right - left > 6 or "\n" in text[lexemes[left].end : lexemes[right].start]:
        return None
    between = [lexeme.says for lexeme in lexemes[left + 1 : right]]
    if not between:
        return _Link.NEIGHBOURS if {lexemes[left].kind, lexemes[right].kind} == {Kind.TOKEN} else None
    if between == [","] and first == left and _fill_brackets(lexemes, left, right):
        return _Link.RANGE
    words = [word for word in between if word not in FILLERS]
    if words and words[-1] in SECOND_WORDS | {"t"}:
        words.pop()  # second 3 to second 9, t=3 to t=9
    if len(words) > 1 and words[-1] in {"-", "−"} and lexemes[right].kind is Kind.UNCLEAR:
        words.pop()  # 3 s to -5 s
    if len(linking := [word for word in words if word != ","]) == 1 and linking[0] in TO:
        return _Link.RANGE
    if words in (["and"], ["&"]) and first == left and _said_before(lexemes, first)[:1] == ["between"]:
        return _Link.RANGE
    return _Link.LIST if words and AND.issuperset(words) else None


def _fill_brackets(lexemes: Sequence[Lexeme], left: int, right: int) -> bool:
    """`[12 s, 15 s]`: two certain times alone in square brackets."""
    alone = (
        left > 0 and lexemes[left - 1].says == "[" and [after.says for after in lexemes[right + 1 : right + 2]] == ["]"]
    )
    return alone and {Kind.BARE, Kind.UNCLEAR}.isdisjoint((lexemes[left].kind, lexemes[right].kind))


def _said_before(lexemes: Sequence[Lexeme], position: int) -> list[str]:
    """Up to three words before a lexeme and after the time before it, nearest first, fillers left out but for `at`."""
    nearest = reversed(lexemes[max(position - 6, 0) : position])
    words = [lexeme.says for lexeme in takewhile(lambda lexeme: lexeme.kind not in TIMES, nearest)]
    return [word for word in words if word not in FILLERS or word == "at"][:3]


class _Told(NamedTuple):
    """One span or, without an end, one point, in seconds as the text has them; `words` are ranges of lexemes."""

    start: float
    end: float | None
    words: tuple[tuple[int, int], ...]


class _Reading:
    """What has been read of a text so far."""

    def __init__(self, text: str, duration: float | None, lexemes: Sequence[Lexeme]) -> None:
        self.text, self.duration, self.lexemes = text, duration, lexemes
        self.found: list[_Told] = []
        self.notes: list[Note] = [
            Note(Repair.BROKEN, text[lexeme.start : lexeme.end]) for lexeme in lexemes if lexeme.kind is Kind.BROKEN
        ]

    def read(self, group: _Group) -> None:
        """Take the times of a group, or note why not."""
        group = self._without_counts(group)
        times = [self.lexemes[at] for at in group.at]
        ranges = [link is not _Link.LIST for link in group.links]
        words = (group.at[0], group.at[-1])
        if all(time.kind in (Kind.BARE, Kind.UNCLEAR) and not time.unit for time in times):
            if self._is_labelled(group):
                return
            if not self._said_to_be_times(group, any(ranges)):
                if any(ranges) or len(times) > 1 or len(self.lexemes) == 1:
                    self._note(Repair.UNSURE, words)
                return
            times = [time._replace(unit=1) for time in times]
        seconds = _in_seconds(times)
        if self._is_length(group):
            self._note(Repair.LENGTH, words)
            return
        chained = any(a and b for a, b in pairwise(ranges)) and _Link.RANGE in group.links
        if seconds is None or chained:  # 2024-01-05
            self._note(Repair.UNSURE, words)
            return
        index = 0
        while index < len(times):
            last = index + 1 if index < len(ranges) and ranges[index] else index
            end = seconds[last] if last > index else None
            self.found.append(_Told(seconds[index], end, ((group.at[index], group.at[last]),)))
            index = last + 1

    def told(self) -> Times:
        """Everything that was read, put in order and into the video."""
        spans: list[Span] = []
        points: list[float] = []
        cut: list[tuple[int, int]] = []
        for told in self._paired():
            kept = self._inside(told)
            if kept is None:
                continue
            cut += told.words
            if kept.end is None:
                points.append(kept.start)
            else:
                spans.append(Span(kept.start, kept.end))
        return Times(tuple(spans), tuple(points), self._without(cut), self._status(spans, points), tuple(self.notes))

    def _without_counts(self, group: _Group) -> _Group:
        """Without the first number of `score 3.5, 9 s`, a label's, and the last one where it is no time.

        That is the one of `3 s, 9 s and 2 dogs`, a noun's, and the one of `5 s - 9 s, 0.85`, a score.
        """
        kinds = [self.lexemes[at].kind for at in group.at]
        if set(kinds) == {Kind.BARE}:
            return group
        first = int(kinds[0] is Kind.BARE and group.links[0] is _Link.LIST and self._is_labelled(group))
        is_score = group.links[-2:] == (_Link.RANGE, _Link.LIST) and kinds[-2] is not Kind.BARE
        last = len(kinds) - int(kinds[-1] is Kind.BARE and (is_score or not self._may_end(group.at[-1])))
        return _Group(group.at[first:last], group.links[first : last - 1])

    def _is_labelled(self, group: _Group) -> bool:
        """`scene 12`, `scores are 3.0, 4.0`: something else is counted."""
        before = _said_before(self.lexemes, group.at[0])
        return not LABELS.isdisjoint(before[1:2] if before[:1] in (["of"], ["in"]) else before[:1])

    def _said_to_be_times(self, group: _Group, has_range: bool) -> bool:
        """Whether the words around bare numbers make them times."""
        before = _said_before(self.lexemes, group.at[0])
        if not self._may_end(group.at[-1]):
            return False
        values = [self.lexemes[at].value for at in group.at]
        is_year = [1900 <= value < 2100 and value.is_integer() for value in values]
        if any(is_year) and (self.duration is None or max(values) > self.duration):
            return False
        if not SECOND_WORDS.isdisjoint(before[:1]) and not self._starts_line(group.at[0]):
            return True
        if not WHEN.isdisjoint(before):
            return True
        return has_range and (self._starts_line(group.at[0]) or all("." in self.lexemes[at].says for at in group.at))

    def _may_end(self, at: int) -> bool:
        """Whether what follows a bare number leaves it a time: nothing, a mark, or a word that is no noun."""
        if at + 1 == len(self.lexemes):
            return True
        following = self.lexemes[at + 1]
        return following.says in AFTER_A_TIME or "\n" in self.text[self.lexemes[at].end : following.start]

    def _starts_line(self, at: int) -> bool:
        """Whether nothing but marks, or the number of the line, stands before."""
        while at > 0 and "\n" not in self.text[self.lexemes[at - 1].end : self.lexemes[at].start]:
            at -= 1
            numbers_line = self.lexemes[at].kind is Kind.BARE and self.lexemes[at + 1].says in {".", ")", ":"}
            if self.lexemes[at].kind is not Kind.MARK and not numbers_line:
                return False
        return True

    def _is_length(self, group: _Group) -> bool:
        if {self.lexemes[at].kind for at in group.at} - {Kind.QUANTITY, Kind.BARE}:
            return False
        before = _said_before(self.lexemes, group.at[0])[:1]
        if before in (["a"], ["an"]) and self.lexemes[group.at[0] - 1].says == ":":
            before = []  # A: 5 s - 9 s
        after = [lexeme.says for lexeme in self.lexemes[group.at[-1] + 1 : group.at[-1] + 2]]
        if len(group.at) == 1:
            return not ONE_LENGTH_BEFORE.isdisjoint(before) or not ONE_LENGTH_AFTER.isdisjoint(after)
        return not LENGTH_BEFORE.isdisjoint(before) or not LENGTH_AFTER.isdisjoint(after)

    def _paired(self) -> list[_Told]:
        """What was found, a point that starts something and the next one, if that ends something, as one span."""
        paired: list[_Told] = []
        for told in self.found:
            if paired and self._role(paired[-1]) is STARTS and self._role(told) is ENDS:
                start = paired.pop()
                self._note(Repair.PAIRED, (start.words[0][0], told.words[0][1]))
                told = _Told(start.start, told.start, start.words + told.words)
            paired.append(told)
        return paired

    def _role(self, told: _Told) -> set[str] | None:
        """`STARTS` or `ENDS`, whichever has the nearest word before a point, in its line and after other times.

        Prepositions count right before it only: `starts to run at 5 s`.
        """
        if told.end is not None:
            return None
        at, beside = told.words[0][0], True
        for position in range(at - 1, max(at - 9, -1), -1):
            lexeme = self.lexemes[position]
            if lexeme.kind in TIMES or "\n" in self.text[lexeme.end : self.lexemes[position + 1].start]:
                return None
            for role in (STARTS, ENDS):
                if lexeme.says in role and (beside or lexeme.says not in INTRODUCED_BY):
                    return role
            beside = beside and lexeme.says in FILLERS | SECOND_WORDS
        return None

    def _inside(self, told: _Told) -> _Told | None:
        """A span or point in order and inside the video, or None if nothing of it is."""
        words = (told.words[0][0], told.words[-1][1])
        start, end = told.start, told.end
        if math.isnan(start + (end or 0.0)):
            self._note(Repair.NEEDS_DURATION, words)
            return None
        if end is not None and end < start:
            self._note(Repair.SWAPPED, words)
            start, end = end, start
        if start == end:
            self._note(Repair.EMPTY, words)
            end = None
        limit = _LONGEST if self.duration is None else self.duration
        if start > limit or (end is not None and start == limit):
            self._note(Repair.DROPPED, words)
            return None
        if end is not None and end > limit:
            self._note(Repair.CLAMPED, words)
            end = limit
        return _Told(start, end, told.words)

    def _status(self, spans: Sequence[Span], points: Sequence[float]) -> Status:
        repairs = {note.repair for note in self.notes}
        if spans:
            return Status.SPANS
        if Repair.UNSURE in repairs:
            return Status.AMBIGUOUS
        if points:
            return Status.POINTS
        return Status.UNUSABLE if repairs & {Repair.DROPPED, Repair.NEEDS_DURATION} else Status.NOTHING

    def _without(self, cut: Sequence[tuple[int, int]]) -> str:
        """The text without these lexemes and the word that introduces them."""
        kept, after = [], 0  # what is left, and the first lexeme that is not yet told
        for first, last in cut:
            between = [lexeme.says for lexeme in self.lexemes[after:first]]
            if not after or not AND.union(INTRODUCED_BY).issuperset(between):
                while first > after and self.lexemes[first - 1].says in FILLERS | SECOND_WORDS:
                    first -= 1
                first -= first > after and self.lexemes[first - 1].says in INTRODUCED_BY
                kept.append(self._text(after, first))
            after = last + 1
        leftover = " ".join(" ".join([*kept, self._text(after, len(self.lexemes))]).split())
        leftover = re.sub(r" (?=[.,;:!?)])", "", leftover).lstrip(" ,;:.-–—")
        return leftover if any(character.isalnum() for character in leftover) else ""

    def _text(self, first: int, stop: int) -> str:
        """The text of the lexemes from `first` to before `stop`."""
        return self.text[self.lexemes[first].start : self.lexemes[stop - 1].end] if stop > first else ""

    def _note(self, repair: Repair, words: tuple[int, int]) -> None:
        first, last = (self.lexemes[at] for at in words)
        self.notes.append(Note(repair, self.text[first.start : last.end]))


def _in_seconds(times: Sequence[Lexeme]) -> list[float] | None:
    """Seconds of every time; a bare number takes the unit after it, or else the seconds before it. None if unclear."""
    seconds: list[float | None] = []
    unit = 0.0
    for time in reversed(times):  # 1-2 minutes
        if time.kind is Kind.BARE:
            seconds.append(time.value * (time.unit or unit) if time.unit or unit else None)
        else:
            unit = time.unit if time.kind is Kind.QUANTITY and time.says else 0.0
            seconds.append(None if time.kind is Kind.UNCLEAR else time.value)
    seconds.reverse()
    for index in range(1, len(times)):
        before = times[index - 1]
        if seconds[index] is None and times[index].kind is Kind.BARE and before.unit == 1 and before.says:
            seconds[index] = times[index].value  # 3 s to 9
    known = [value for value in seconds if value is not None]
    return known if len(known) == len(seconds) else None
