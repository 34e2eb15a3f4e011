"""Videos for the aligner: scenes of nameable things as EfficientNet-Lite0 would see them, as an index of features.

A scene is made of ImageNet classes, each a row of the network's classifier; what is around them is drawn so that
features have the spread of real ones. Its lines are said of the names of the class or its gloss. Nothing is downloaded,
and any number of videos comes out of one seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.scout.match import Sentences
from tvu.video_llm.scout.visual import VisualIndex

Floats = NDArray[np.float32]

FRAMES_PER_SECOND = 2
TEMPLATES = (
    "{}",
    "{}",
    "the {}",
    "two {}s",
    "When does the {} appear?",
    "when is the {} on screen",
    "Find the {}",
    "a woman holding a {}",
    "a man with a {}",
    "someone using a {}",
    "close-up of a {}",
    "the {} is shown here",
    "First we see the {}.",
    "Here is the {} again.",
    "a {} in the background",
    "an old {} outdoors",
    "people around a {}",
    "The camera moves to the {}.",
    "put the {} on the table",
    "take the {} and turn it around",
    "Which part shows the {}?",
    "the scene with the {}",
    "a {} moving slowly",
    "a {} in the street",
    "a {} in a room",
    "the small {} on the left",
)


@dataclass(frozen=True, eq=False)
class ClassTexts:
    """Lines that can be said of each of K classes.

    texts: `[K][R]`; vectors: float32 `[K, R, W]`, their sentence vectors; alike: float32 `[K, K]`, cosines of what the
    classes mean.
    """

    texts: tuple[tuple[str, ...], ...]
    vectors: Floats
    alike: Floats


def class_texts(
    names: Sequence[str], glosses: Sequence[str], sentences: Sentences, *, lines: int = 8, seed: int = 0
) -> ClassTexts:
    """`lines` lines for each class: names (every synonym has its turn) in templates, and its gloss as one of them."""
    rng = np.random.default_rng(seed)
    texts = []
    for name, gloss in zip(names, glosses, strict=True):
        synonyms = [part.strip() for part in name.split(",")]
        own = [
            TEMPLATES[t].format(synonyms[i % len(synonyms)])
            for i, t in enumerate(rng.permutation(len(TEMPLATES))[: lines - 1].tolist())
        ]
        texts.append((*own, gloss.split(";")[0]))
    flat = sentences.embed([line for own in texts for line in own])
    meanings = sentences.embed([f"a photo of {name}: {gloss}" for name, gloss in zip(names, glosses, strict=True)])
    return ClassTexts(tuple(texts), flat.reshape(len(names), lines, -1), np.asarray(meanings @ meanings.T, np.float32))


@dataclass(frozen=True, eq=False)
class IndexedVideo:
    """index: what an indexer would have kept of the video. lines: sentence vectors float32 `[S, W]`; spans: of each
    line, when it is shown, none where it is not; texts: the lines in words."""

    index: VisualIndex
    lines: Floats
    spans: tuple[tuple[Span, ...], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class SceneConfig:
    """How the videos look.

    scenes: fewest and most of a video. seconds: shortest and longest scene, log-uniform. lines: most of one thing.
    absent: share of the things spoken of that are shown nowhere, fewest and most. again: chance that a scene shows
    what an earlier one showed. unmentioned: chance that no line is about a scene. strength: weakest and strongest
    presence of the thing that is named; at 1 its class stands out by about four standard deviations.
    """

    scenes: tuple[int, int] = (3, 12)
    seconds: tuple[float, float] = (2.0, 12.0)
    lines: int = 4
    absent: tuple[float, float] = (0.1, 0.35)
    again: float = 0.15
    unmentioned: float = 0.15
    strength: tuple[float, float] = (0.15, 1.4)

    def __post_init__(self) -> None:
        if not 1 <= self.scenes[0] <= self.scenes[1] or not 0 < self.seconds[0] <= self.seconds[1] or self.lines < 1:
            raise ValueError("a video has a scene, of some seconds, and a line about it")


RELATED_SHARPNESS = 0.06  # of cosines between classes, when what stands beside a thing is drawn
TOO_CLOSE = 0.55  # a line is absent only where no scene shows a thing as close in meaning as this
LOOK_SHAPE = 0.35  # of the gamma distribution of pooled features: many near zero, few large
LOOK_MEAN = 0.25


class IndexedVideos:
    """Draws videos about some of the classes."""

    def __init__(
        self, classifier: Floats, texts: ClassTexts, classes: Sequence[int] | NDArray[np.int64], config: SceneConfig
    ) -> None:
        """classifier: float32 `[K, C]`, whose rows are the classes; classes: those that scenes and lines may name."""
        self._rows = classifier
        self._texts = texts
        self._classes = np.asarray(classes)
        self._config = config

    def draw(self, rng: np.random.Generator) -> IndexedVideo:
        """The next video of this generator."""
        config = self._config
        count = int(rng.integers(config.scenes[0], config.scenes[1] + 1))
        named: list[int] = []
        for _ in range(count):
            repeats = bool(named) and rng.random() < config.again
            named.append(int(rng.choice(named)) if repeats else int(rng.choice(self._classes)))
        silent = {c for c in named[1:] if rng.random() < config.unmentioned} - {named[0]}
        low, high = np.log(config.seconds)
        seconds = np.round(np.exp(rng.uniform(low, high, count)) * FRAMES_PER_SECOND) / FRAMES_PER_SECOND
        edges = np.concatenate([[0.0], np.cumsum(np.maximum(seconds, 1 / FRAMES_PER_SECOND))])
        index = self._index(named, edges, rng)
        per_class = self._texts.vectors.shape[1]
        lines = [
            (thing, int(r))
            for thing in dict.fromkeys(named)
            if thing not in silent
            for r in rng.permutation(per_class)[: rng.integers(1, config.lines + 1)]
        ]
        share = rng.uniform(*config.absent)
        wanted = max(1, round(len({thing for thing, _ in lines}) * share / (1 - share)))
        far = self._classes[(self._texts.alike[np.ix_(self._classes, np.array(named))] < TOO_CLOSE).all(axis=1)]
        lines += [  # in as many wordings as what is shown: else a line would be known to be absent by the text alone
            (int(thing), int(r))
            for thing in rng.choice(far, min(wanted, len(far)), replace=False)
            for r in rng.permutation(per_class)[: rng.integers(1, config.lines + 1)]
        ]
        order = rng.permutation(len(lines))
        spans = [
            tuple(Span(float(a), float(b)) for a, b, c in zip(edges, edges[1:], named, strict=False) if c == thing)
            for thing, _ in lines
        ]
        return IndexedVideo(
            index,
            np.stack([self._texts.vectors[lines[i]] for i in order]),
            tuple(spans[i] for i in order),
            tuple(self._texts.texts[lines[i][0]][lines[i][1]] for i in order),
        )

    def _index(self, named: Sequence[int], edges: NDArray[np.float64], rng: np.random.Generator) -> VisualIndex:
        width, count = self._rows.shape[1], len(named)
        style = np.exp(0.25 * rng.standard_normal(width, np.float32))  # what all of one video shares: light, lens
        looks = rng.standard_gamma(LOOK_SHAPE, (2, count, width), np.float32) * (LOOK_MEAN / LOOK_SHAPE)
        times, features = [], []
        for thing, start, end, look, other in zip(named, edges, edges[1:], *looks, strict=False):
            scene = look * style + self._presence(thing, rng) @ self._rows
            sway = rng.uniform(0.1, 0.5) * (other - LOOK_MEAN)  # how the picture changes within the scene
            steps = round((end - start) * FRAMES_PER_SECOND)
            since = np.arange(steps, dtype=np.float32)[:, None] / steps
            grain = 0.12 * rng.standard_normal((steps, width), np.float32) * (scene > 0.05)
            features.append(np.clip(scene + since * sway + grain, 0.0, 6.0).astype(np.float32))
            times.append(start + np.arange(steps) / FRAMES_PER_SECOND)
        shots = tuple(self._shots(edges, rng))
        return VisualIndex(np.concatenate(times), np.concatenate(features), shots, np.zeros(len(shots)))

    def _presence(self, thing: int, rng: np.random.Generator) -> Floats:
        """How strongly each class is in a scene that shows `thing`: itself, what belongs with it, and what does not."""
        strength = np.zeros(len(self._rows), np.float32)
        own = rng.uniform(*self._config.strength)
        strength[thing] += own * rng.uniform(0.4, 1.0)
        near = np.exp((self._texts.alike[thing].astype(np.float64) - 1) / RELATED_SHARPNESS)
        near[thing] = 0
        related = min(4, len(near) - 1)
        for other in rng.choice(len(near), related, p=near / near.sum(), replace=False):
            strength[other] += own * rng.uniform(0.0, 0.6)
        for other in rng.integers(len(self._rows), size=int(rng.integers(1, 6))):
            strength[other] += rng.uniform(0.0, 0.8)
        return strength

    def _shots(self, edges: NDArray[np.float64], rng: np.random.Generator) -> list[Span]:
        """Scenes as a finder of shots would give them: some are cut once more."""
        cuts: list[float] = [float(edges[0])]
        for start, end in pairwise(edges.tolist()):
            if end - start > 3 and rng.random() < 0.2:
                cuts.append(float(rng.uniform(start + 1, end - 1)))
            cuts.append(float(end))
        return [Span(a, b) for a, b in pairwise(cuts)]
