"""Models that look at no video: what a score has to be held against.

`baseline:oracle` answers with the truth, `baseline:constant` (or `baseline:constant:C`) with one letter,
`baseline:random` with any, and `baseline:text` with the option closest in meaning to the question (MiniLM). Moments:
`baseline:whole` the whole clip, `baseline:middle` its middle half, `baseline:first` its first third; the oracle and
the random one find moments too. `baseline:decode` decodes four frames a second and finds nothing.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.matching import letter_of
from tvu.video_llm.benchmarks.types import Item
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.parse import in_words
from tvu.video_llm.types import Answer, Grounding, VideoClip, VideoModel

if TYPE_CHECKING:
    from tvu.video_llm.sentence import SentenceEncoder

PREFIX = "baseline:"

Choose = Callable[[MultipleChoice, Item | None], int]
Find = Callable[[Span, Item | None], Sequence[Span]]


@runtime_checkable
class Informed(Protocol):
    """A model that knows more of an item than a model may: its truth, its name."""

    def about(self, item: Item) -> VideoModel:
        """The model as it is asked this item."""
        ...


def told(model: VideoModel, item: Item) -> VideoModel:
    """`model` as it is asked `item`: a baseline that knows the item, any other as it is."""
    return model.about(item) if isinstance(model, Informed) else model


def find_texts(
    model: VideoModel, item: Item, clip: VideoClip, texts: Sequence[str], spans: Sequence[Sequence[Sequence[float]]]
) -> list[Answer]:
    """What `model` finds of each of the item's `texts`, all at once; a baseline that knows the item is asked for one
    after the other, and told the true spans `[[start, end], …]` of each."""
    if not isinstance(model, Informed):
        return model.find(clip, texts) if texts else []
    asked = [replace(item, id=f"{item.id}/{number}", truth=list(true)) for number, true in enumerate(spans)]
    return [told(model, each).find(clip, [text])[0] for each, text in zip(asked, texts, strict=True)]


@dataclass
class Baseline:
    """A model made of how it chooses and how it finds; None where it does not. All that it finds has score 1."""

    name: str
    chooses: Choose | None = None
    finds: Find | None = None
    item: Item | None = None

    def about(self, item: Item) -> VideoModel:
        """The same baseline, told which item comes."""
        return replace(self, item=item)

    def choose(self, clip: VideoClip, question: MultipleChoice) -> Answer:
        """Its option, as `(B)`. Raises UnknownModel where it does not choose."""
        if self.chooses is None:
            raise UnknownModel(f"{self.name} answers no multiple choice", hint="take baseline:random")
        return Answer(question.question, f"({letter_of(self.chooses(question, self.item))})", (), self.name)

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """The same spans for every query. Raises UnknownModel where it does not find."""
        if self.finds is None:
            raise UnknownModel(f"{self.name} finds no moments", hint="take baseline:whole")
        spans = tuple(Grounding(span, 1.0, "visual") for span in self.finds(clip.span, self.item))
        return [Answer(query, in_words(spans), spans, self.name) for query in queries]

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def answer(self, clip: VideoClip, question: str) -> Answer:
        """Its spans, in a sentence."""
        return self.find(clip, [question])[0]


@dataclass
class Decoding(Baseline):
    """Decodes what `scout` would, and looks at none of it."""

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """Nothing. Raises VideoError."""
        from tvu.video_llm.sample import SamplingConfig, sample_frames

        for _ in sample_frames(clip, SamplingConfig(fps=4.0, max_side=400)):
            pass
        return [Answer(query, in_words(()), (), self.name) for query in queries]


def baseline_named(name: str) -> VideoModel | None:
    """The baseline of that name; None where the name is none of a baseline. Raises UnknownModel for an unknown one."""
    if not name.startswith(PREFIX):
        return None
    kind, _, letter = name.removeprefix(PREFIX).partition(":")
    if kind == "decode" and not letter:
        return Decoding(name)
    if kind == "constant" and (not letter or (len(letter) == 1 and letter.isascii() and letter.isupper())):
        return Baseline(name, _always(ord(letter or "A") - ord("A")))
    if kind not in _BASELINES or letter:
        known = ", ".join(PREFIX + each for each in sorted([*_BASELINES, "constant", "constant:C", "decode"]))
        raise UnknownModel(f"no baseline is called {name!r}", hint=known)
    chooses, finds = _BASELINES[kind]
    return Baseline(name, chooses, finds)


def _always(index: int) -> Choose:
    return lambda question, item: min(index, len(question.options) - 1)


def _right_option(question: MultipleChoice, item: Item | None) -> int:
    return int(_known(item).truth)


def _right_spans(part: Span, item: Item | None) -> list[Span]:
    return [Span(start, end) for start, end in _known(item).truth if start < end]


def _any_option(question: MultipleChoice, item: Item | None) -> int:
    return random.Random(_known(item).id).randrange(len(question.options))


def _any_span(part: Span, item: Item | None) -> list[Span]:
    draw = random.Random(_known(item).id)
    first, second = sorted(draw.uniform(part.start_seconds, part.end_seconds) for _ in range(2))
    return [Span(first, second)] if first < second else []


def _nearest_option(question: MultipleChoice, item: Item | None) -> int:
    """The option whose sentence vector is closest to that of the question; the first of equals."""
    asked, *options = _sentences().embed([question.question, *question.options])
    return int(max(range(len(options)), key=lambda index: float(options[index] @ asked)))


@lru_cache(maxsize=1)
def _sentences() -> "SentenceEncoder":
    from tvu.video_llm.sentence import SentenceEncoder

    return SentenceEncoder()


def _share(start: float, end: float) -> Find:
    """A part of the clip, in shares of it."""

    def find(part: Span, item: Item | None) -> list[Span]:
        return [Span(part.start_seconds + start * part.seconds, part.start_seconds + end * part.seconds)]

    return find


def _known(item: Item | None) -> Item:
    if item is None:
        raise UnknownModel("this baseline answers items of a benchmark only", hint="baseline:whole looks at any video")
    return item


_BASELINES: Mapping[str, tuple[Choose | None, Find | None]] = {
    "oracle": (_right_option, _right_spans),
    "random": (_any_option, _any_span),
    "text": (_nearest_option, None),
    "whole": (None, _share(0.0, 1.0)),
    "middle": (None, _share(0.25, 0.75)),
    "first": (None, _share(0.0, 1 / 3)),
}
