"""The answers that a question allows, where they can be listed; nothing here brings torch.

Options of a multiple choice, yes or no, a number, the one or the other of two things, an order of three: of these the
model judges each, which it learns from far less than writing one takes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.benchmarks.matching import letter_of
from tvu.video_llm.lite.content import LETTERED, clauses_of, content_of, framed
from tvu.video_llm.questions import NO, YES

NUMBERS = 10
FIXED = (YES.lower(), NO.lower(), *map(str, range(NUMBERS)))  # answers that mean the same whatever is asked
_ZERO = FIXED.index("0")
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_KNOWN = {
    **{text: place for place, text in enumerate(FIXED)},
    **{text: _ZERO + number for number, text in enumerate(_NUMBER_WORDS)},
}
MOST_OPTIONS = 26

_YES_NO = re.compile(r"\byes\s*(?:or|/)\s*no\b", re.IGNORECASE)
_IS_IT = re.compile(
    r"^\s*(?:(?:is|are|was|were|do|does|did|has|have|had)(?:n't)?\b|can (?:you|we|i|one) see\b)"
    r"(?![^?]*\bhow (?:many|often)\b)",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(
    r"\bhow (?:many|often)\b|\b(?:number|count|total|tally) of\b|\b(?:count|tally)\b|\bonce, twice\b", re.IGNORECASE
)
_WHICH_ONE = re.compile(r"\b(?:first|last|earlier|later|sooner|second|precedes?|follows?)\b", re.IGNORECASE)
_OF_TWO = re.compile(r"\bor\b|;|\btwo\b|\bout of\b", re.IGNORECASE)
_ASKS = re.compile(r"^\W*(?:what|which|who)\b", re.IGNORECASE)
_SORT = re.compile(r"\b(?:order|sequence|sort|chronological\w*|arrange)\b", re.IGNORECASE)
_PAIR = re.compile(
    r"\b(?:two (?:things|events|actions|moments)|both)\b[^,:;?]{0,40}[,:]\s([^?;:.]{1,200})(?:[.?;:]|$)(?!.*\bor\b)",
    re.IGNORECASE | re.DOTALL,
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_BEGINS = re.compile(  # where another thing does something, and not where one does two things
    r"\s+and\s+(?=(?:an?|the|this|that|these|those|some\w*|no\w*|any\w*|every\w*|people|it|he|she|they|his|her|their"
    r"|one|two|three|four|five|six|seven|eight|nine|several|many)\b)",
    re.IGNORECASE,
)
_LEAD = r"(?:(?:in|of|during|among|from|out of)\b[^,]{0,40},\s*)?"
_BEFORE_MORE = r"(?:(?!\b(?:when|while|after|before|because|if|who|where)\b).){0,60}?"  # is said of when, why or who
_NOT = (
    r"(?:\b(?:do|does|did|is|are|was|were|can|could|has|have)(?:n't|\s+(?:the \w+ |he |she |they |it )?(?:not|never))"
    r"|\bcannot|\bnever|\b(?:is|are)\s+(?:missing|absent|false|wrong|untrue|incorrect)\b(?! with))"
)
_CHOOSES_NOT = re.compile(
    rf"{_LEAD}(?:which|what|choose|pick|select|find|name|tell)\b{_BEFORE_MORE}{_NOT}"
    r"(?!.*\b(?:false|wrong|untrue|incorrect|missing|absent)\b)",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"[.?!\n]+\s*")
_WHEN = re.compile(r"\bwhen\s*(?:\?|$|is\b|are\b|does\b|do\b|did\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """What may be answered: `stem` asks, each of `options` is an answer as it is told; is_lettered: of a multiple
    choice."""

    stem: str
    options: tuple[str, ...]
    is_lettered: bool = False

    @property
    def ask_for_absent(self) -> bool:
        """Whether the one that does not happen is asked for; numbers, yes and no are none that could be looked for."""
        if not self.is_lettered or all(fixed_of(option) >= 0 for option in self.options):
            return False
        sentences = [each for each in _SENTENCES.split(self.stem[-300:].strip()) if each]
        return bool(sentences and _CHOOSES_NOT.match(sentences[-1]))

    @property
    def are_numbers(self) -> bool:
        """Whether each is a number that stands for itself."""
        return all(fixed_of(option) >= _ZERO for option in self.options)

    def nearest_to(self, count: int) -> int:
        """Which of numbers is nearest to one, the first of two that are."""
        return min(range(len(self.options)), key=lambda i: abs(fixed_of(self.options[i]) - _ZERO - count))


def options_of(question: str) -> Options | None:
    """None where the answers cannot be listed."""
    lettered = _lettered(question)
    if lettered is not None:
        return lettered
    if _YES_NO.search(question):
        return Options(question, (YES, NO))
    if framed(question) or _WHEN.search(question):
        return None
    named = [clause.text for clause in clauses_of(question)]
    if _WHICH_ONE.search(question) and _OF_TWO.search(question) and len(two := _two_of(question, named)) == 2:
        return Options(question, tuple(two))
    if len(named) == 3 and _SORT.search(question):
        return Options(question, tuple(", then ".join(some) for some in permutations(named)))
    if _HOW_MANY.search(question):
        return Options(question, tuple(map(str, range(NUMBERS))))
    return Options(question, (YES, NO)) if _IS_IT.match(question) else None


def _two_of(question: str, named: Sequence[str]) -> Sequence[str]:
    """The two things that a question offers: all that it names, or those around `or` where the first thing that it
    names is what it asks: `What did he do first, sit down or open the door?`; or those around `and` where it says that
    they are two: `Two things happen, a dog barks and a car stops. Name the earlier.`"""
    if pair := _PAIR.search(question):
        for border in (_BEGINS, _AND):
            if len(two := border.split(pair[1])) == 2:
                return two
    if len(named) != 3 or [bool(_ASKS.match(each)) for each in named] != [True, False, False]:
        return named
    asks, a, b = map(re.escape, named)
    return named[1:] if re.search(rf"{asks}\W*{a}\W*\bor\b\W*{b}", question) else named


def words_of(options: Options, number: int) -> str:
    """One of them as an answer, with its letter where it has one."""
    text = options.options[number]
    return f"({letter_of(number)}) {text}" if options.is_lettered else text


def _lettered(question: str) -> Options | None:
    begins = max(question.rfind("Question:"), 0)
    asked, options = [], list[str]()
    for line in question[begins:].splitlines():
        letter = LETTERED.match(line)
        if letter and letter[0].strip(" ().:") == chr(ord("A") + len(options)):
            options.append(line[letter.end() :].strip())
        elif not options:
            asked.append(line)
    if not 2 <= len(options) <= MOST_OPTIONS:
        return None
    stem = " ".join(asked).removeprefix("Question:").strip()
    return Options(re.sub(r"\s*\bOptions?:$", "", stem).strip(), tuple(options), is_lettered=True)


def fixed_of(option: str) -> int:
    """The place of an answer in `FIXED`, -1 where it is none of them."""
    return _KNOWN.get(option.lower().strip(" .!"), -1)


_NEXT = re.compile(r"\s*(?:[;,]\s*(?:and\s+)?then\b|\b(?:and\s+)?then\b|;)\s*,?\s*", re.IGNORECASE)
_COMMA = re.compile(r"\s*,\s+(?:and\s+)?")
_FROM_TO = re.compile(r"^\s*from\s+(.+?)\s+to\s+(.+)$", re.IGNORECASE)


def parts_of(options: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """What each of some options names one after the other, `Circle, star, heart.`, `A, then B`, `from A to B`: all are
    taken apart in the same way and into as many parts, or none is."""
    for split in (_NEXT.split, _COMMA.split, _ends_of):
        parts = [tuple(part for each in split(option.strip(" .")) if (part := each.strip())) for option in options]
        if parts and len(parts[0]) > 1 and len({len(each) for each in parts}) == 1:
            return tuple(parts)
        if any(len(each) > 1 for each in parts):
            break
    return tuple(() for _ in options)


def _ends_of(option: str) -> tuple[str, ...]:
    found = _FROM_TO.match(option)
    return (found[1], found[2]) if found else (option,)


@dataclass(frozen=True)
class Offered:
    """The K options of some questions, on the CPU; `judge.Offered` is the same on a device.

    question: int64 `[K]`, whose option each is, in order; number: int64 `[K]`, which of its; fixed: int64 `[K]`, its
    place in `FIXED`, or -1; told: int64 `[T]`, which of the options are none of these; named_by: int64 `[U]`, the
    questions whose options name each of U things in an order; part: int64 `[P]`, which of these are the parts of which
    of the T, `part_of` int64 `[P]`, in order; absent: bool `[T]`, whether the question asks for what does not happen.
    alone, joined: T texts each, the option and the option after its question; named: U texts.
    """

    question: NDArray[np.int64]
    number: NDArray[np.int64]
    fixed: NDArray[np.int64]
    told: NDArray[np.int64]
    named_by: NDArray[np.int64]
    part: NDArray[np.int64]
    part_of: NDArray[np.int64]
    absent: NDArray[np.bool_]
    alone: tuple[str, ...]
    joined: tuple[str, ...]
    named: tuple[str, ...]


def offered_by(options: Sequence[Options | None]) -> Offered:
    """Of questions in their order, None where nothing is offered."""
    entries, told = list[tuple[int, int, int]](), list[int]()
    alone, joined, part, part_of = list[str](), list[str](), list[int](), list[int]()
    absent, named = list[bool](), dict[tuple[int, str], int]()
    for row, some in enumerate(options):
        if some is None:
            continue
        for number, (text, parts) in enumerate(zip(some.options, parts_of(some.options), strict=True)):
            fixed = fixed_of(text)
            entries.append((row, number, fixed))
            if fixed >= 0:
                continue
            part += [named.setdefault((row, each.lower()), len(named)) for each in parts]
            part_of += [len(told)] * len(parts)
            told.append(len(entries) - 1)
            absent.append(some.ask_for_absent)
            alone.append(content_of(text))
            joined.append(f"{some.stem} {text}")
    columns = np.array(entries, np.int64).reshape(-1, 3).T
    return Offered(
        columns[0],
        columns[1],
        columns[2],
        np.array(told, np.int64),
        np.array([row for row, _ in named], np.int64),
        np.array(part, np.int64),
        np.array(part_of, np.int64),
        np.array(absent, np.bool_),
        tuple(alone),
        tuple(joined),
        tuple(content_of(text) for _, text in named),
    )
