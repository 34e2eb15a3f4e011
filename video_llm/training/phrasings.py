"""The many ways in which people put a question, and what their keyboards make of it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeVar

from numpy.random import Generator

from tvu.video_llm.training.scenes import Split, Wording

T = TypeVar("T")

COMMON_SHARE = 0.35  # of the training questions are put in one of the commonest forms
PARAPHRASED_SHARE = 0.03  # they are few
MERELY_SEEN = (
    "shown",
    "seen",
    "visible",
    "there",
    "on screen",
    "in the picture",
    "in view",
    "in sight",
    "to be seen",
    "",
)
NOBODY = ("nobody", "no one", "nothing")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_WORD = re.compile(r"(?<![{<\w])[a-z]{5,}\b")  # not the name of a slot, nor a time token
_BLANKS = re.compile(r" {2,}")


@dataclass(frozen=True)
class Phrasings:
    """Patterns of one sort of question, filled with `str.format`: the commonest, others, and those made of others.

    A held-out one has others alone. Raises ValueError without any.
    """

    others: tuple[str, ...]
    common: tuple[str, ...] = ()
    paraphrased: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.others:
            raise ValueError("a sort of question needs a way to put it")

    def draw(self, rng: Generator) -> str:
        """One of them."""
        share = rng.random()
        if self.common and share < COMMON_SHARE:
            return one_of(rng, self.common)
        if self.paraphrased and share > 1 - PARAPHRASED_SHARE:
            return one_of(rng, self.paraphrased)
        return one_of(rng, self.others)


def one_of(rng: Generator, values: Sequence[T]) -> T:
    """Any of the values."""
    return values[int(rng.random() * len(values))]  # four times as fast as `rng.integers`


def shuffled(rng: Generator, values: Sequence[T]) -> list[T]:
    """The values in any order."""
    keys = rng.random(len(values)).tolist()
    return [values[i] for i in sorted(range(len(values)), key=keys.__getitem__)]


def patterns(text: str) -> dict[str, list[tuple[str, str]]]:
    """Of each `[section]` of a file of phrasings its lines as (mark, pattern); a mark is `*`, `~` or nothing."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            mark = line[0] if line[0] in "*~" else ""
            section.append((mark, line[len(mark) :]))
    return sections


def expanded(pattern: str) -> Iterator[str]:
    """Every text that a pattern stands for: `(a|b) c` is `a c` and `b c`."""
    choice = _CHOICE.search(pattern)
    if choice is None:
        yield _BLANKS.sub(" ", pattern).strip().replace(" ?", "?").replace(" .", ".").replace(" ,", ",")
        return
    for part in choice[1].split("|"):
        yield from expanded(pattern[: choice.start()] + part + pattern[choice.end() :])


@cache
def phrasings(split: Split) -> Mapping[str, Phrasings]:
    """What may be said in a split, by the sections of `phrasings.txt`.

    A pattern counts once per line in a draw, however many texts it stands for: see `_evenly`.
    """
    folder = files("tvu.video_llm.training")
    made = json.loads((folder / "paraphrased.json").read_text("utf-8"))["phrasings"]
    known = {}
    for section, lines in patterns((folder / "phrasings.txt").read_text("utf-8")).items():
        if split == "held-out":
            known[section] = Phrasings(_evenly([p for mark, p in lines if mark == "~"]))
        else:
            known[section] = Phrasings(
                _evenly([p for mark, p in lines if not mark] or [p for mark, p in lines if mark == "*"]),
                _evenly([p for mark, p in lines if mark == "*"]),
                tuple(made.get(section, ())),
            )
    return known


def _evenly(lines: Sequence[str], each: int = 60) -> tuple[str, ...]:
    """The texts of all patterns, repeated so that every pattern has about `each`: long ones do not drown short ones."""
    told = []
    for line in lines:
        texts = list(dict.fromkeys(expanded(line)))
        told += texts * max(1, round(each / len(texts)))
    return tuple(told)


def as_typed(rng: Generator, text: str) -> str:
    """A question as people type it: with a capital letter or without, without its full stop, with a slip of a finger.

    What stands in quotation marks or angle brackets is part of the text like all else, but times keep their letters.
    """
    how = rng.random()
    if how < 0.42:
        return capital(text)
    if how < 0.5:
        return capital(text).rstrip("?.")
    if how < 0.58:
        return text
    if how < 0.9:
        return text.lower().rstrip("?.")
    return _slipped(rng, text if how < 0.95 else text.lower().rstrip("?."))


def capital(text: str) -> str:
    """A text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def filled(form: str, wording: Wording) -> str:
    """A form of a question about an event, with its words."""
    return form.format(statement=wording.statement, noun=noun_of(wording), asked=wording.asked, subject=wording.subject)


def noun_of(wording: Wording) -> str:
    """`a dog running to the left`; of what is merely shown the thing alone, `a dog`, and of what is somewhere both."""
    if wording.base != "be" or wording.subject in NOBODY:
        return wording.noun
    return wording.subject if wording.rest in MERELY_SEEN else f"{wording.subject} {wording.rest}"


def sentence(text: str) -> str:
    """A statement as a sentence."""
    return capital(text) + "."


def _slipped(rng: Generator, text: str) -> str:
    """With one letter left out, doubled, or in the place of its neighbour."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = one_of(rng, words)
    at = word.start() + 1 + int(rng.random() * (len(word[0]) - 2))
    how = rng.random()
    if how < 0.4:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if how < 0.75:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at] + text[at:]
