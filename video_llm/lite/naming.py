"""What a model without a language model tells of a video: what its shots show, by name, and what people do in them.

Names are hedged bets (Deng et al. 2012): of the classes and of the kinds that these belong to, the one that says most
among those that are likelier than not. There the classifier is retrained and the threshold is searched; here it is the
softmax of Lite0 over its 1000 ImageNet classes, as it is, and a half. Where no name is likelier than not there is none.
Deeds are movements that the head was taught, where a body is seen to make them, and hedged in the same way: by what
those that look alike have in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.spans import clamp, non_maximum_suppression
from tvu.temporal.types import Span
from tvu.video_llm.captions import Captioned
from tvu.video_llm.training.motion_list import BY_NAME
from tvu.video_llm.training.words import class_words, does, members_of_kinds, with_article

LIKELY = 0.5  # as a name has to be at least
SURE = 0.8  # as the head has to be of a deed: the likeliest of a hundred is told, so chance alone gives high ones
TRUST = 0.77  # share of that which is told: then it is .68 in the mean, as much as was right on real clips (13 of 19)
BODY_SHARE = 0.7  # of the time of a deed a body is seen
ALL_ANIMAL = 0.9  # what looks like a body where an animal is as likely as this is the animal's
MAX_IOU = 0.3  # deeds that overlap more are one, seen twice
SOON = 0.5  # seconds: a deed that goes on so soon has not ended
WHO = "somebody"
NAMES = "told are things that have a name among 1000 classes, and what arms and bodies do; nothing else has words here"

DEEDS: Mapping[str, tuple[str, ...]] = {
    "raise a hand": ("wave", "raise an arm", "point", "salute", "bend sideways"),
    "raise both hands": (
        *("wave both", "raise both arms", "spread arms", "circle arms", "stretch", "press overhead"),
        *("shoot a basketball", "jumping jacks"),
    ),
    "hold a hand to their face": ("drink", "eat", "phone", "scratch", "cover face", "brush teeth", "comb"),
    "bend down": (
        *("bend over", "reach down", "bow", "pick up", "put down", "tie shoes", "dig", "squat", "crouch down"),
        "kneel down",
    ),
    "be on hands and feet": (
        *("downward dog", "go into downward dog", "plank", "go into a plank", "come down to a plank", "press-up"),
        *("push up to a plank", "lower to the floor", "all fours", "go on all fours", "raise a leg on hands"),
        *("bridge", "crawl"),
    ),
    "do something with both hands": (
        *("clap", "stir", "cut", "knead", "shuffle", "type", "write", "wipe", "hammer", "wash hands", "curl", "read"),
    ),
    "swing something": ("swing a club", "swing a racket"),
    "be on the floor": (
        *("sit on the floor", "lie down", "lie on the belly", "sit up", "sit-up", "raise a leg lying"),
        *("child's pose", "cobra", "fall"),
    ),
}
"""What a deed is called, and the movements that it may be: those of one line look alike to the head on real people, as
drinking, telephoning and brushing one's teeth do. What only a course of time tells apart (walking, jumping) and what
hangs on a thing that nobody looks for (a guitar) is left out: it was wrong each time that it was told."""


@dataclass(frozen=True)
class Looks:
    """What a clip, or a window of one, looks like, shot by shot.

    edges: float64 `[N + 1]` file seconds of N shots; chances: float32 `[N, 1000]`, how likely each class is in the mean
    of a shot, zeros where there is no picture; has_body: bool `[T]` of its steps, which start at float64 `[T]` file
    seconds.
    """

    edges: NDArray[np.float64]
    chances: NDArray[np.float32]
    has_body: NDArray[np.bool_]
    starts: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.chances) + 1 or len(self.has_body) != len(self.starts):
            raise ValueError("a shot lies between two edges, and a step has a start")

    def body_share(self, span: Span) -> float:
        """How much of a span a body is seen in."""
        inside = (self.starts >= span.start_seconds - 0.125) & (self.starts < span.end_seconds)
        return float(self.has_body[inside].mean()) if inside.any() else 0.0

    def animal_chance(self, span: Span) -> float:
        """How likely an animal is where a body is seen, in the mean over that part of a span."""
        inside = (self.starts >= span.start_seconds - 0.125) & (self.starts < span.end_seconds) & self.has_body
        shots = np.searchsorted(self.edges, self.starts[inside], side="right") - 1
        animals = self.chances[:, sorted(members_of_kinds()["animal"])].sum(1)
        return float(animals[shots.clip(0, len(animals) - 1)].mean()) if inside.any() else 0.0

    def part(self, own: Span) -> "Looks":
        """What lies in a part of it."""
        keep = (self.edges[1:] > own.start_seconds) & (self.edges[:-1] < own.end_seconds)
        edges = np.append(self.edges[:-1][keep], self.edges[1:][keep][-1:]).clip(own.start_seconds, own.end_seconds)
        steps = (self.starts >= own.start_seconds) & (self.starts < own.end_seconds)
        return Looks(edges, self.chances[keep], self.has_body[steps], self.starts[steps])

    @classmethod
    def joined(cls, parts: Sequence["Looks"]) -> "Looks":
        """One after the other, each of which begins where the one before it ends."""
        return cls(
            np.concatenate([parts[0].edges[:1], *(part.edges[1:] for part in parts)]),
            np.concatenate([part.chances for part in parts]),
            np.concatenate([part.has_body for part in parts]),
            np.concatenate([part.starts for part in parts]),
        )

    @property
    def may_show_deeds(self) -> bool:
        """Whether a body is seen for a second or so."""
        longest = (
            np.convolve(self.has_body, np.ones(4), "valid") if len(self.has_body) >= 4 else self.has_body.sum() * 4
        )
        return bool(np.max(longest, initial=0.0) >= 4 * BODY_SHARE)


@cache
def _nouns() -> tuple[tuple[str, tuple[int, ...]], ...]:
    """All names with the classes that they are true of, those of fewest first; of equal ones a class before a kind."""
    found: dict[str, tuple[int, ...]] = {}
    for index, words in enumerate(class_words()):
        found[words.names[0]] = (*found.get(words.names[0], ()), index)  # a crane is a bird and a machine
    for words in class_words():
        for kind in words.kinds:
            found.setdefault(kind, tuple(sorted(members_of_kinds()[kind.lower()])))
    return tuple(sorted(found.items(), key=lambda each: len(each[1])))


def name_of(chances: NDArray[np.float32]) -> tuple[str, float] | None:
    """What a picture shows, with its article, and how likely that is; chances float32 `[1000]`. None where nothing is
    likelier than not."""
    for noun, members in _nouns():
        chance = float(chances[list(members)].sum())
        if chance >= LIKELY:
            return with_article(noun), min(chance, 1.0)
    return None


def things_in(looks: Looks) -> list[Captioned]:
    """What each shot shows; neighbours that show the same are one."""
    found: list[Captioned] = []
    for start, end, chances in zip(looks.edges, looks.edges[1:], looks.chances, strict=False):
        named = name_of(chances) if end > start else None
        if named is not None:
            found.append(Captioned(Span(float(start), float(end)), named[0], named[1]))
    return joined(found)


def joined(told: Sequence[Captioned]) -> list[Captioned]:
    """Captions in order of time, of which neighbours that meet and say the same are one."""
    found: list[Captioned] = []
    for each in told:
        last = found[-1] if found else None
        if last is not None and last.text == each.text and each.span.start_seconds - last.span.end_seconds < 1e-6:
            found[-1] = _both(last, each)
        else:
            found.append(each)
    return found


def _both(one: Captioned, next_: Captioned) -> Captioned:
    """Two that meet; as likely as the mean over their time."""
    a, b = one.span.seconds, next_.span.seconds
    score = (a * (one.score or 0.0) + b * (next_.score or 0.0)) / (a + b)
    return Captioned(Span(one.span.start_seconds, next_.span.end_seconds), one.text, score)


@cache
def statements() -> tuple[tuple[str, str], ...]:
    """What the head is asked, and what is told where it finds that: (`somebody drinks`, `somebody holds a hand to their
    face`)."""
    found = []
    for deed, names in DEEDS.items():
        for name in names:
            phrase = next(phrase for phrase in BY_NAME[name].phrases if "{side}" not in phrase)
            found.append((does(WHO, phrase.format(poss="their")).statement, does(WHO, deed).statement))
    return tuple(found)


def deeds_in(looks: Looks, told: Sequence[Sequence[tuple[float, float, float]]]) -> list[Captioned]:
    """What people do, in order of time.

    told: for each of `statements` the spans that the head has, (start, end, probability) in file seconds.
    """
    whole = Span(float(looks.edges[0]), float(looks.edges[-1]))
    found = []
    for (_, text), spans in zip(statements(), told, strict=True):
        for start, end, score in spans:
            span = clamp(Span(start, end), whole) if end > start and score >= SURE else None
            if span is None or looks.body_share(span) < BODY_SHARE or looks.animal_chance(span) >= ALL_ANIMAL:
                continue
            found.append(Captioned(span, text, TRUST * score))
    scores = [each.score or 0.0 for each in found]
    kept = [found[i] for i in non_maximum_suppression([each.span for each in found], scores, MAX_IOU)]
    return _going_on(sorted(kept, key=lambda each: each.span))


def _going_on(told: Sequence[Captioned]) -> list[Captioned]:
    """Captions by their starts, of which those that say the same and overlap, or follow soon, are one: as likely as the
    likeliest."""
    found: list[Captioned] = []
    for each in told:
        last = next((k for k in range(len(found) - 1, -1, -1) if found[k].text == each.text), None)
        if last is None or each.span.start_seconds - found[last].span.end_seconds > SOON:
            found.append(each)
            continue
        before = found[last]
        span = Span(before.span.start_seconds, max(before.span.end_seconds, each.span.end_seconds))
        found[last] = Captioned(span, each.text, max(before.score or 0.0, each.score or 0.0))
    return found
