"""Feature videos: things, kinds of things and everyday scenes that come and go, as features of EfficientNet-Lite0.

A video is a row of stretches that each show something; a stretch is one shot or a few, or within one shot things come,
stay for a while in some part of the picture, and go. Words are chosen when it is known what all is shown, so that they
are true of their event and of no other.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tvu.temporal.types import Span
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND
from tvu.video_llm.training.feature_rendering import FeaturePlan, FeatureRenderer, Layer, Lite0Head, Shot
from tvu.video_llm.training.feature_statistics import load_feature_statistics
from tvu.video_llm.training.scenes import Event, Scene, Split, Wording
from tvu.video_llm.training.words import (
    PEOPLE,
    class_words,
    everyday_scenes,
    is_held_out,
    members_of_kinds,
    of_split,
    scene_wordings,
    with_article,
)

SAME_LOOK = 0.35  # correlation of classifier rows above which two classes may be one thing by two names
NEAR_LOOK = 0.12  # and above which they are easily confused
SHORT, LONG = (22.0, 0.55), (42.0, 0.3)  # videos: seconds, and the spread of their logarithm
ABSENT = 10  # things told to be absent, at most
SMALL_KIND = 3  # classes from which on a kind is shown by several of them
THING_LOGIT, SCENE_LOGIT, OTHER_LOGIT = 7.5, 5.0, 4.0  # by how much a logit is raised, over the whole frame
SPREAD = 0.4  # of the logarithm of that
MOST_DOUBT = 0.7  # how much of a thing may go to classes that it is taken for
LIKENESS = 0.1  # correlation of classifier rows by which a class is e times as likely to be taken for another
UNTOLD = 0.35  # of the shots of a scene but the first show nothing that tells it
MOST_WAVER = 1.0  # of how clearly something is seen between two cuts, as in `Layer`
CROWDING = 0.8  # how much of a small thing is made up for by its being clear: 1 is all

_HALVES = {  # top, left, bottom, right
    "on the left": (0.0, 0.0, 1.0, 0.5),
    "on the right": (0.0, 0.5, 1.0, 1.0),
    "at the top": (0.0, 0.0, 0.5, 1.0),
    "at the bottom": (0.5, 0.0, 1.0, 1.0),
}
_BLACK = (
    Wording("the screen", "be", "is", "being", "black"),
    Wording("the picture", "go", "goes", "going", "black"),
    Wording("a black screen", "be", "is", "being", "shown"),
    Wording("everything", "be", "is", "being", "dark"),
    Wording("nothing", "be", "is", "being", "to be seen"),
)
_WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Content:
    """What a stretch of a video may show.

    key: as of `Event`. classes: which may be seen of it, with weights; at_once: how many of them are, at most.
    texts: what it may be called, each with the classes of which that is true too.
    """

    key: str
    classes: tuple[int, ...]
    weights: tuple[float, ...]
    at_once: int
    texts: tuple[tuple[str, frozenset[int]], ...]

    @cached_property
    def true_of(self) -> frozenset[int]:
        """The classes of which one of its texts is true."""
        return frozenset(self.classes).union(*(classes for _, classes in self.texts))


def text_of(content: Content, taken: frozenset[int], split: Split, rng: np.random.Generator) -> tuple[Wording, ...]:
    """Ways to say that `content` is shown, none of them true of the classes `taken`; empty if there is none."""
    found: list[Wording] = []
    for text, classes in content.texts:
        if not classes & taken:
            found += scene_wordings(text, PEOPLE[rng.integers(len(PEOPLE))], split)
    return tuple(found)


# --- all that can be shown ----------------------------------------------------------------------------------


def contents_of(split: Split) -> tuple[list[Content], list[Content], list[Content]]:
    """Things, kinds and scenes, in the words of a split. Held-out scenes are scenes that training never shows."""
    kinds = members_of_kinds()
    things = []
    for index, words in enumerate(class_words()):
        names = of_split(words.names, split)
        if split == "train" and words.names[0] not in names:
            names = (words.names[0], *names)  # every class is known by its best name
        told = [(with_article(word), kinds[word.lower()]) for word in (*names, *words.kinds)]
        things.append(Content(f"class {index}", (index,), (1.0,), 1, tuple(told)))
    several = []
    for kind in sorted({kind for words in class_words() for kind in words.kinds}):
        members = tuple(sorted(kinds[kind.lower()]))
        named = ((with_article(kind), frozenset(members)),)
        if len(members) >= SMALL_KIND:
            several.append(Content(f"kind {kind}", members, (1.0,) * len(members), 1, named))
    scenes = []
    for scene in everyday_scenes():
        if is_held_out(scene.key) != (split == "held-out"):
            continue
        texts = tuple((phrase, frozenset(scene.classes) | _named_in(phrase)) for phrase in scene.phrases)
        scenes.append(Content(f"scene {scene.key}", scene.classes, scene.weights, 5, texts))
    return things, several, scenes


def _named_in(phrase: str) -> frozenset[int]:
    """Classes of the kinds that a phrase names, one or several of them: `birds` are all birds."""
    kinds = members_of_kinds()
    words = re.findall(r"[\w'-]+", phrase.lower())
    spoken = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + 3, len(words)) + 1)}
    spoken |= {re.sub(ending, instead, word) for word in spoken for ending, instead in ((r"s$", ""), (r"ies$", "y"))}
    return frozenset().union(*(kinds[word] for word in spoken if word in kinds))


# --- the world ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stretch:
    """Some time in which a video shows `content`, or nothing that has a name."""

    span: Span
    content: Content | None
    place: str = ""  # of _HALVES, "" for all over the picture
    is_visit: bool = False  # it comes and goes within a shot
    is_black: bool = False


class FeatureWorld:
    """Draws plans of feature videos and renders them.

    lite0_folder: holds Lite0's weights as `model.safetensors`; split: whose words and scenes are used.
    """

    def __init__(self, lite0_folder: Path, split: Split) -> None:
        self.folder = lite0_folder
        self._head = Lite0Head(lite0_folder, load_feature_statistics())
        self._renderer = FeatureRenderer(self._head)
        self._split: Split = split
        self._things, self._kinds, self._scenes = contents_of(split)
        rows = self._head.classifier[0].numpy()
        rows = rows - rows.mean(axis=0)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self._alike = rows @ rows.T
        self._same = [frozenset(np.flatnonzero(row > SAME_LOOK).tolist()) for row in self._alike]

    def render(self, plans: Sequence[FeaturePlan], device: torch.device | str, generator: torch.Generator) -> Tensor:
        """float16 `[B, T, 4, 1280]` on `device`, T the steps of the longest plan; zeros after the end of a plan.

        generator: of `device`; the same state gives the same features.
        """
        return self._renderer.render(plans, device, generator)

    def draw(self, rng: np.random.Generator) -> FeaturePlan:
        """The plan of one video."""
        seconds = self._seconds(rng)
        contents = self._contents(rng, int(rng.integers(1, 5 + int(seconds / 6))))
        stretches = self._stretches(rng, seconds, contents)
        shots = self._shots(rng, stretches, seconds)
        layers = [layer for stretch in stretches for layer in self._layers(rng, stretch, shots)]
        others = [layer for shot in shots if shot.light > 0 for layer in self._others(rng, shot)]
        unnamed = frozenset(c for layer in others for c in layer.classes)
        events, absent = self._events(rng, stretches, unnamed)
        seen = unnamed.union(*(layer.classes for layer in layers))
        absent += self._absent(rng, [s.content for s in stretches if s.content is not None], seen)
        scene = Scene(seconds, tuple(events), tuple(absent))
        layers += others
        return FeaturePlan(scene, tuple(shots), tuple(layers), float(rng.uniform(0.4, 0.85)))

    # --- what and when ---

    def _seconds(self, rng: np.random.Generator) -> float:
        usual, spread = LONG if rng.random() < 0.4 else SHORT
        seconds = float(np.clip(rng.lognormal(np.log(usual), spread), 4.0, 60.0))
        return round(seconds * STEPS_PER_SECOND) / STEPS_PER_SECOND

    def _contents(self, rng: np.random.Generator, count: int) -> list[Content]:
        """Things, kinds and scenes that are not true of each other."""
        chosen: list[Content] = []
        for _ in range(4 * count):
            pool = (self._things, self._kinds, self._scenes)[rng.choice(3, p=(0.45, 0.1, 0.45))]
            if chosen and rng.random() < 0.25 and len(chosen[0].classes) == 1:  # something easily confused with it
                near = np.flatnonzero(self._alike[chosen[0].classes[0]] > NEAR_LOOK)
                content = self._things[rng.choice(near)]
            else:
                content = pool[rng.integers(len(pool))]
            if all(self._are_apart(content, other) for other in chosen):
                chosen.append(content)
            if len(chosen) == count:
                break
        return chosen

    def _are_apart(self, one: Content, other: Content) -> bool:
        """Whether what is shown of one surely is not the other."""
        around = frozenset().union(*(self._same[c] for c in one.classes))
        return not around & frozenset(other.classes)

    def _stretches(self, rng: np.random.Generator, seconds: float, contents: list[Content]) -> list[_Stretch]:
        if rng.random() < 0.25:
            return self._visits(rng, seconds, contents)
        pace = rng.choice((2.5, 5.0, 8.0))
        edges = [0.0]
        while seconds - edges[-1] > 1.5 * pace or len(edges) == 1:
            edges.append(min(edges[-1] + max(0.75, float(rng.gamma(3.0, pace / 3.0))), seconds))
            if edges[-1] >= seconds or len(edges) > 20:
                break
        if edges[-1] < seconds:
            edges.append(seconds)
        stretches: list[_Stretch] = []
        left = list(contents)
        for start, end in itertools.pairwise(edges):
            content = None
            if rng.random() > 0.15:
                content = left.pop(0) if left and rng.random() < 0.75 else contents[rng.integers(len(contents))]
            is_black = content is None and rng.random() < 0.3
            stretches.append(_Stretch(Span(start, end), content, is_black=is_black))
            if content is not None and rng.random() < 0.15:  # and another thing for a part of it
                others = [c for c in contents if c is not content and len(c.classes) == 1]
                if others and end - start > 1.5:
                    stretches.append(self._visit(rng, others[rng.integers(len(others))], start, end))
        return stretches

    def _visits(self, rng: np.random.Generator, seconds: float, contents: list[Content]) -> list[_Stretch]:
        """One shot in which things come and go."""
        stretches = []
        backdrop = [c for c in contents if c.at_once > 1]
        if backdrop and rng.random() < 0.5:
            stretches.append(_Stretch(Span(0.0, seconds), backdrop[0]))
        else:
            stretches.append(_Stretch(Span(0.0, seconds), None))
        for content in contents:
            if content.at_once > 1:
                continue
            place = ""
            if rng.random() < 0.5:
                place = list(_HALVES)[rng.integers(len(_HALVES))]
            time = 0.0
            for _ in range(int(rng.choice((1, 1, 1, 2, 2, 3, 4)))):
                if seconds - time < 1.0:
                    break
                visit = self._visit(rng, content, time, seconds, place)
                stretches.append(visit)
                time = visit.span.end_seconds + 1.0
        return stretches

    def _visit(self, rng: np.random.Generator, content: Content, start: float, end: float, place: str = "") -> _Stretch:
        longest = end - start
        length = float(np.clip(rng.lognormal(np.log(2.5), 0.8), 0.3, 0.8 * longest))
        begin = float(rng.uniform(start, end - length))
        return _Stretch(Span(begin, begin + length), content, place, is_visit=True)

    # --- how it looks ---

    def _shots(self, rng: np.random.Generator, stretches: list[_Stretch], seconds: float) -> list[Shot]:
        shots: list[Shot] = []
        look = 0
        shaky = rng.lognormal(np.log(2.2), 0.6)
        dull = 1.0 if rng.random() < 0.7 else rng.uniform(0.5, 1.0)
        for stretch in stretches:
            if stretch.is_visit:
                continue
            start, end = stretch.span.start_seconds, stretch.span.end_seconds
            is_scene = stretch.content is not None and stretch.content.at_once > 1
            often = (0, 0, 1, 1, 2, 3) if is_scene else (0, 0, 0, 0, 1, 1, 2, 3)
            cuts = int(rng.choice(often)) if end - start > 2 and not stretch.is_black else 0
            inner = np.sort(rng.uniform(start, end, cuts))
            inner = inner[(inner - start >= 0.1) & (np.diff(inner, append=end) >= 0.1)]  # no shot is cut away
            edges = [start, *inner.tolist(), end]
            is_one_place = rng.random() < 0.6  # what is cut together looks alike, more or less
            for first, last in itertools.pairwise(edges):
                if last - first < 0.1:
                    continue
                shots.append(
                    Shot(
                        Span(first, last),
                        look,
                        fade=0.0 if first == 0 or rng.random() < 0.8 else float(rng.uniform(0.3, 1.5)),
                        pan=0.0 if rng.random() < 0.5 else float(rng.normal(0.0, 0.35)),
                        shake=shaky * float(rng.uniform(0.6, 1.4)),
                        contrast=dull * float(rng.uniform(0.8, 1.15)),
                        light=0.0 if stretch.is_black else 1.0 if rng.random() < 0.9 else float(rng.uniform(0.3, 1.0)),
                        likeness=float(rng.uniform(0.1, 0.85)),
                    )
                )
                look += not is_one_place
            look += is_one_place
        return shots

    def _layers(self, rng: np.random.Generator, stretch: _Stretch, shots: Sequence[Shot]) -> list[Layer]:
        """What is to be seen of it. In a stretch that begins and ends with a cut it is now clear, now hardly there, as
        what is filmed: only the cuts tell how long it lasts. What comes and goes within a shot is told by itself."""
        content, span = stretch.content, stretch.span
        if content is None:
            return []
        if content.at_once > 1:
            return self._scene_layers(rng, content, _parts(span, shots))
        if not stretch.is_visit:
            waver = self._waver(rng)
            return [self._thing(rng, content, part, waver=waver) for part in _parts(span, shots)]
        fade = min(float(rng.choice((0.0, 0.25, 0.5, 1.0))), span.seconds / 2)
        return [self._thing(rng, content, span, stretch.place, fade, waver=float(rng.uniform(0.0, 0.2)))]

    def _thing(
        self,
        rng: np.random.Generator,
        content: Content,
        span: Span,
        place: str = "",
        fade: float = 0.0,
        *,
        waver: float,
    ) -> Layer:
        box, drift = _WHOLE, (0.0, 0.0)
        if place:
            box = _HALVES[place]
        elif rng.random() < 0.6:
            box, drift = self._box(rng)
        strength = self._strength(rng, THING_LOGIT, box)
        return Layer(*self._mistaken(rng, int(rng.choice(content.classes)), strength), span, box, drift, fade, waver)

    def _scene_layers(self, rng: np.random.Generator, content: Content, parts: Sequence[Span]) -> list[Layer]:
        """Each part shows other things of it, or the same again."""
        weights = np.array(content.weights)
        waver = self._waver(rng)
        layers: list[Layer] = []
        chosen: list[int] = []
        for span in parts:
            if not chosen or rng.random() < 0.6:
                count = min(len(weights), int(rng.integers(1, content.at_once + 1)))
                chosen = rng.choice(len(weights), count, replace=False, p=weights / weights.sum()).tolist()
            if len(parts) > 1 and layers and rng.random() < UNTOLD:
                continue
            for i in chosen:
                box, drift = (_WHOLE, (0.0, 0.0)) if rng.random() < 0.5 else self._box(rng)
                strength = self._strength(rng, SCENE_LOGIT, box) / len(chosen) ** 0.35
                layers.append(Layer(*self._mistaken(rng, content.classes[i], strength), span, box, drift, waver=waver))
        return layers

    def _waver(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(0.0, MOST_WAVER)) if rng.random() < 0.8 else 0.0

    def _mistaken(
        self, rng: np.random.Generator, index: int, strength: float
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """A class and those it is taken for: what is filmed is seldom as clear as in the photographs of ImageNet."""
        near = np.flatnonzero(self._alike[index] > NEAR_LOOK)
        near = near[near != index]
        doubt = float(rng.uniform(0.0, MOST_DOUBT))
        if len(near) == 0:
            return (index,), (strength,)
        likeness = np.exp(self._alike[index, near] / LIKENESS)
        chosen = rng.choice(near, min(len(near), 4), replace=False, p=likeness / likeness.sum())
        shares = doubt * rng.dirichlet(np.ones(len(chosen)))
        return (index, *(int(c) for c in chosen)), (strength * (1 - doubt / 2), *(strength * shares).tolist())

    def _strength(self, rng: np.random.Generator, logit: float, box: tuple[float, float, float, float]) -> float:
        """By how much a thing in that part of the picture raises its logit there."""
        area = (box[2] - box[0]) * (box[3] - box[1])
        return float(logit * rng.lognormal(0.0, SPREAD) / area**CROWDING)

    def _others(self, rng: np.random.Generator, shot: Shot) -> list[Layer]:
        """What else is in a shot, of which nobody speaks."""
        layers = []
        for _ in range(int(rng.integers(0, 5))):
            box, drift = self._box(rng)
            strength = self._strength(rng, OTHER_LOGIT, box)
            layers.append(Layer((int(rng.integers(len(self._things))),), (strength,), shot.span, box, drift))
        return layers

    def _box(self, rng: np.random.Generator) -> tuple[tuple[float, float, float, float], tuple[float, float]]:
        """Where a thing is, and how far it moves while it is there."""
        height, width = rng.uniform(0.4, 0.9, 2)
        top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
        drift = (0.0, 0.0) if rng.random() < 0.6 else tuple((rng.uniform(-0.4, 0.4, 2)).tolist())
        return (float(top), float(left), float(top + height), float(left + width)), (drift[0], drift[1])

    # --- what is true ---

    def _events(
        self, rng: np.random.Generator, stretches: list[_Stretch], unnamed: frozenset[int]
    ) -> tuple[list[Event], list[Wording]]:
        """What happens, and what does not because it happens elsewhere in the picture."""
        shown_contents = list({s.content.key: s.content for s in stretches if s.content is not None}.values())
        classes = {c.key: frozenset(c.classes) for c in shown_contents}
        occurrences: dict[tuple[str, str], list[Span]] = {}
        for stretch in stretches:
            if stretch.content is not None:
                occurrences.setdefault((stretch.content.key, stretch.place), []).append(stretch.span)
        events: list[Event] = []
        absent: list[Wording] = []
        for content in shown_contents:
            shown = frozenset().union(*(classes[key] for key in classes if key != content.key))
            others = unnamed | (shown - classes[content.key])
            words = self._some(rng, text_of(content, others, self._split, rng))
            places = sorted({place for key, place in occurrences if key == content.key})
            spans = _joined([s for place in places for s in occurrences[content.key, place]])
            for span in spans if words else []:
                events.append(Event(span, words, content.key, "shown", {"place": places[0]} if places[0] else {}))
            if words and places and places[0]:
                here, elsewhere = _opposite(places[0])
                absent += [Wording(w.subject, "be", "is", "being", elsewhere) for w in words[:1]]
                placed = tuple(Wording(w.subject, "be", "is", "being", here) for w in words)
                events = [
                    Event(e.span, (*e.wordings, *placed), e.key, e.kind, e.facts) if e.key == content.key else e
                    for e in events
                ]
        dark = _joined([stretch.span for stretch in stretches if stretch.is_black])
        events += [Event(span, _BLACK, "black", "black") for span in dark]
        if not dark and rng.random() < 0.1:
            absent.append(_BLACK[0])
        events.sort(key=lambda event: event.span.start_seconds)
        return events, absent

    def _some(self, rng: np.random.Generator, words: Sequence[Wording]) -> tuple[Wording, ...]:
        """A few of many wordings."""
        chosen = rng.permutation(len(words))[:6]
        return tuple(words[i] for i in chosen)

    def _absent(
        self, rng: np.random.Generator, shown_contents: Sequence[Content], seen: frozenset[int]
    ) -> list[Wording]:
        """What is not there, the easily confused first. seen: classes that may be seen besides."""
        seen = seen.union(*(c.classes for c in shown_contents))
        seen = seen.union(*(self._same[c] for c in seen))
        near: list[Content] = []
        for content in shown_contents:
            around = frozenset(np.flatnonzero(self._alike[list(content.classes)].max(axis=0) > NEAR_LOOK).tolist())
            near += [self._things[i] for i in around]
            some = (self._scenes[i] for i in rng.integers(0, len(self._scenes), 30))
            near += [scene for scene in some if len(around & frozenset(scene.classes)) > 1]
        near = [near[i] for i in rng.permutation(len(near))[:20]]
        far = [*(self._scenes[i] for i in rng.integers(0, len(self._scenes), 6))]
        far += [self._things[i] for i in rng.integers(0, len(self._things), 4)]
        words: list[Wording] = []
        for candidates, count in ((near, ABSENT // 2), (far, ABSENT)):
            for content in candidates:
                if len(words) == count:
                    break
                if frozenset(content.classes) & seen:
                    continue
                told = text_of(content, seen, self._split, rng)
                if told:
                    words.append(told[rng.integers(len(told))])
        return words


def _parts(span: Span, shots: Sequence[Shot]) -> list[Span]:
    """A span as the shots cut it; whole where none lies in it."""
    found = []
    for shot in shots:
        start = max(shot.span.start_seconds, span.start_seconds)
        end = min(shot.span.end_seconds, span.end_seconds)
        if end - start >= 0.1:
            found.append(Span(start, end))
    return found or [span]


def _joined(spans: list[Span]) -> list[Span]:
    """Spans in order, those that touch made one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_seconds):
        if found and span.start_seconds <= found[-1].end_seconds + 1e-6:
            last = found.pop()
            span = Span(last.start_seconds, max(last.end_seconds, span.end_seconds))
        found.append(span)
    return found


def _opposite(place: str) -> tuple[str, str]:
    """A place and the one across from it."""
    places = list(_HALVES)
    return place, places[places.index(place) ^ 1]
