"""Videos for the aligner that vary as real ones do: pieces that `FeatureWorld` draws, joined at random, and lines about
them whose truth is known.

Rendering features costs most, so a few hundred pieces are rendered once; joined in ever other ways, with ever other
lines, they make videos without end. Classes and scenes that are held out of training are shown, but nobody speaks of
them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND
from tvu.video_llm.narration.picture import statement
from tvu.video_llm.scout.match import Sentences
from tvu.video_llm.scout.visual import VisualIndex
from tvu.video_llm.training.aligner_videos import FRAMES_PER_SECOND, IndexedVideo
from tvu.video_llm.training.feature_rendering import FeaturePlan
from tvu.video_llm.training.feature_videos import NEAR_LOOK, SAME_LOOK, Content, FeatureWorld, contents_of
from tvu.video_llm.training.scenes import Split, Wording
from tvu.video_llm.training.words import PEOPLE, scene_wordings

Floats = NDArray[np.float32]

PIECES_OF_A_VIDEO = 6  # at most
LINES_OF_A_THING = 5  # at most, in other words each
MENTIONED = (0.4, 1.2)  # share of what is shown that a text is about, fewest and most: often all of it
ABSENT = (0.1, 0.35)  # share of what is spoken of that is shown nowhere, fewest and most
CONFUSED = 0.5  # of them are about something that is easily taken for what is shown
LONG_SHOT = 6.0  # seconds from which on a shot is looked at in pieces
SOFT_CUT = 0.5  # seconds of a dissolve that finders of shots overlook
TOGETHER = 32  # pieces rendered at once


@dataclass(frozen=True, eq=False)
class Piece:
    """What a piece of a video shows. times of its contents in seconds from its start.

    features: float16 `[T, C]`, `FRAMES_PER_SECOND`. shots: of the piece; dark: how dark each is, in [0, 1].
    shown: when each content is there, by its key; own: classes that are seen of it, mistaken ones too.
    seen: all classes that may be seen.
    """

    features: NDArray[np.float16]
    shots: tuple[Span, ...]
    dark: tuple[float, ...]
    shown: dict[str, tuple[Span, ...]]
    own: dict[str, frozenset[int]]
    seen: frozenset[int]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.features) / FRAMES_PER_SECOND


def draw_pieces(lite0_folder: Path, split: Split, count: int, seed: int) -> list[Piece]:
    """`count` pieces; the same seed draws the same."""
    world = FeatureWorld(lite0_folder, split)
    contents = {content.key: content for group in contents_of(split) for content in group}
    rng, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    pieces: list[Piece] = []
    while len(pieces) < count:
        plans = [world.draw(rng) for _ in range(min(TOGETHER, count - len(pieces)))]
        rendered = world.render(plans, "cpu", noise)
        for plan, cells in zip(plans, rendered, strict=True):
            frames = cells[: plan.steps : STEPS_PER_SECOND // FRAMES_PER_SECOND].float().mean(dim=1).half()
            pieces.append(_piece(plan, frames.numpy(), contents))
    return pieces


def _piece(plan: FeaturePlan, features: NDArray[np.float16], contents: dict[str, Content]) -> Piece:
    seconds = len(features) / FRAMES_PER_SECOND
    shown: dict[str, list[Span]] = {}
    for event in plan.scene.events:
        if event.key in contents and event.span.start_seconds < seconds:
            inside = Span(event.span.start_seconds, min(event.span.end_seconds, seconds))
            shown.setdefault(event.key, []).append(inside)
    own = {
        key: frozenset(
            c for layer in plan.layers if layer.classes[0] in contents[key].classes for c in layer.classes
        ).union(contents[key].classes)
        for key in shown
    }
    shots: list[Span] = []
    dark: list[float] = []
    for shot in plan.shots:
        start, end = shot.span.start_seconds, min(shot.span.end_seconds, seconds)
        if end - start < 1 / FRAMES_PER_SECOND:
            continue
        if shots and shot.fade > SOFT_CUT and shots[-1].seconds < LONG_SHOT:
            shots[-1] = Span(shots[-1].start_seconds, end)
            continue
        edges = np.linspace(start, end, 1 + max(1, round((end - start) / LONG_SHOT))).tolist()
        shots += [Span(a, b) for a, b in pairwise(edges)]
        dark += [1.0 - shot.light] * (len(shots) - len(dark))
    return Piece(
        features,
        tuple(shots) or (Span(0.0, seconds),),
        tuple(dark) or (0.0,),
        {key: tuple(spans) for key, spans in shown.items()},
        own,
        frozenset(c for layer in plan.layers for c in layer.classes),
    )


# --- lines ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Spoken:
    """A line, its sentence vector float32 `[W]`, and the classes of which it is true."""

    text: str
    vector: Floats
    true_of: frozenset[int]


def worded(wording: Wording, rng: np.random.Generator) -> str:
    """One of the ways in which people write down what is to be seen."""
    is_shown = wording.base in ("be", "appear", "turn")
    ways: Sequence[Callable[[], str]] = (
        lambda: wording.subject if is_shown else wording.noun,
        lambda: wording.subject if is_shown else f"{wording.subject} {wording.base} {wording.rest}".strip(),
        lambda: wording.statement,
        lambda: f"When {wording.asked}?",
        lambda: f"the scene with {wording.subject}" if is_shown else f"the part where {wording.statement}",
    )
    told = ways[int(rng.integers(len(ways)))]()
    return told[:1].upper() + told[1:]


def spoken_lines(split: Split, keys: Callable[[str], bool], sentences: Sentences, seed: int) -> dict[str, list[Spoken]]:
    """Lines about each content whose key is asked for, every text in two wordings."""
    rng = np.random.default_rng(seed)
    texts: list[tuple[str, str, frozenset[int]]] = []
    for group in contents_of(split):
        for content in group:
            for text, true_of in content.texts if keys(content.key) else ():
                wordings = scene_wordings(text, str(rng.choice(PEOPLE)), split)
                told = {worded(wordings[i], rng) for i in rng.integers(0, len(wordings), 2)}
                texts += [(content.key, line, true_of | frozenset(content.classes)) for line in sorted(told)]
    vectors = np.concatenate(
        [
            sentences.embed([statement(t) or "nothing" for _, t, _ in texts[i : i + 64]])
            for i in range(0, len(texts), 64)
        ]
    )
    found: dict[str, list[Spoken]] = {}
    for (key, line, true_of), vector in zip(texts, vectors, strict=True):
        found.setdefault(key, []).append(Spoken(line, vector, true_of))
    return found


def is_taught(key: str) -> bool:
    """Whether training may speak of a content; held-out scenes are not in the words of training anyway."""
    return not (key.startswith("class ") and is_kept_back(int(key.split()[1])))


def is_asked(key: str) -> bool:
    """Whether measuring may: what training never spoke of."""
    return key.startswith("scene ") or (key.startswith("class ") and is_kept_back(int(key.split()[1])))


def is_kept_back(index: int) -> bool:
    """Every fifth class is never spoken of in training."""
    return index % 5 == 3


# --- videos ---------------------------------------------------------------------------------------------------


class JoinedVideos:
    """Draws videos of pieces and lines."""

    def __init__(self, pieces: Sequence[Piece], lines: dict[str, list[Spoken]], classifier: Floats) -> None:
        """classifier: float32 `[K, C]`, whose rows say which classes look alike."""
        self._pieces = pieces
        self._lines = lines
        self._keys: dict[str, list[str]] = {}  # of each sort of content: class, kind or scene
        self._sort: dict[str, str] = {}  # of each line
        rows = classifier - classifier.mean(axis=0)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        alike = rows @ rows.T
        self._same = [frozenset(np.flatnonzero(row > SAME_LOOK).tolist()) for row in alike]
        self._near = [frozenset(np.flatnonzero(row > NEAR_LOOK).tolist()) for row in alike]
        self._about: dict[tuple[str, int], list[str]] = {}  # contents of a sort that each class may belong to
        for key, told in sorted(lines.items()):
            sort = key.split()[0]
            self._keys.setdefault(sort, []).append(key)
            self._sort |= dict.fromkeys((line.text for line in told), sort)
            for index in frozenset[int]().union(*(line.true_of for line in told)):
                self._about.setdefault((sort, index), []).append(key)

    def draw(self, rng: np.random.Generator) -> IndexedVideo:
        """The next video of this generator, with lines about it in random order; at least one is shown."""
        while True:
            count = int(rng.integers(1, PIECES_OF_A_VIDEO + 1))
            pieces = [self._pieces[i] for i in rng.integers(0, len(self._pieces), count)]
            shown = self._shown(pieces, rng)
            if shown:
                break
        share = rng.uniform(*ABSENT)
        things = len({spans for _, spans in shown})
        sorts = [self._sort[line.text] for line, _ in shown]
        absent = self._absent(pieces, sorts, max(1, round(things * share / (1 - share))), rng)
        lines = [*shown, *((line, ()) for line in absent)]
        lines = [lines[i] for i in rng.permutation(len(lines))]
        return IndexedVideo(
            _joined(pieces),
            np.stack([line.vector for line, _ in lines]),
            tuple(spans for _, spans in lines),
            tuple(line.text for line, _ in lines),
        )

    def _shown(self, pieces: Sequence[Piece], rng: np.random.Generator) -> list[tuple[Spoken, tuple[Span, ...]]]:
        """Lines that are true where their content is, and nowhere else."""
        starts = np.concatenate([[0.0], np.cumsum([piece.seconds for piece in pieces])])
        spans: dict[str, list[Span]] = {}
        for piece, start in zip(pieces, starts.tolist(), strict=False):
            for key, times in piece.shown.items():
                spans.setdefault(key, []).extend(Span(start + t.start_seconds, start + t.end_seconds) for t in times)
        found = []
        told_of = rng.uniform(*MENTIONED)
        for key in [key for key in spans if key in self._lines and rng.random() < told_of]:
            others = frozenset[int]().union(*(piece.seen - piece.own.get(key, frozenset()) for piece in pieces))
            told = [line for line in self._lines[key] if not line.true_of & others]
            wanted = int(rng.integers(1, LINES_OF_A_THING + 1))
            found += [(told[i], tuple(spans[key])) for i in rng.permutation(len(told))[:wanted]]
        return found

    def _absent(
        self, pieces: Sequence[Piece], sorts: Sequence[str], count: int, rng: np.random.Generator
    ) -> list[Spoken]:
        """Lines about `count` contents, true of nothing that may be seen, nor of what looks like it.

        They are of the sorts of what is shown, `sorts`, and come in as many wordings: else a line would be known to be
        absent by the text alone.
        """
        bare = frozenset[int]().union(*(piece.seen for piece in pieces), *(o for p in pieces for o in p.own.values()))
        seen = bare.union(*(self._same[c] for c in bare))
        near = sorted(frozenset[int]().union(*(self._near[c] for c in bare)) - seen)
        found: list[Spoken] = []
        chosen: set[str] = set()
        for _ in range(30 * count):
            if len(chosen) == count:
                break
            sort = sorts[int(rng.integers(len(sorts)))]
            keys = self._keys[sort]
            if near and rng.random() < CONFUSED:
                keys = self._about.get((sort, near[int(rng.integers(len(near)))]), [])
            if not keys:
                continue
            key = keys[int(rng.integers(len(keys)))]
            told = [line for line in self._lines[key] if not line.true_of & seen]
            if told and key not in chosen:
                chosen.add(key)
                found += [told[i] for i in rng.permutation(len(told))[: int(rng.integers(1, LINES_OF_A_THING + 1))]]
        return found


def _joined(pieces: Sequence[Piece]) -> VisualIndex:
    starts = np.concatenate([[0.0], np.cumsum([piece.seconds for piece in pieces])]).tolist()
    times = [start + np.arange(len(p.features)) / FRAMES_PER_SECOND for p, start in zip(pieces, starts, strict=False)]
    edges = [start + s.start_seconds for p, start in zip(pieces, starts, strict=False) for s in p.shots]
    edges[0] = 0.0
    ends = [*edges[1:], starts[-1]]
    shots = tuple(Span(a, b) for a, b in zip(edges, ends, strict=True))
    return VisualIndex(
        np.concatenate(times),
        np.concatenate([piece.features.astype(np.float32) for piece in pieces]),
        shots,
        np.array([dark for piece in pieces for dark in piece.dark]),
    )
