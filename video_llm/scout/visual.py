"""The visual channel: which shots look like what the question names.

A frame encoder gives every sampled frame a vector; a scorer turns a question into a score of every shot, in standard
deviations above what an unrelated question would get; a calibration turns scores into probabilities.
`ClassLogitScorer` reads the 1000 class logits of an ImageNet network through sentence embeddings of the class names,
`ClipScorer` compares pictures and sentences in one space.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.encode import Classifier, FrameEncoder
from tvu.video_llm.sample import SamplingConfig, Watch, watch
from tvu.video_llm.scout.query import Router, Sentences, asks_for_darkness, visual_content
from tvu.video_llm.scout.shots import ShotFinder
from tvu.video_llm.types import ScoreCurve, VideoClip

Array = NDArray[np.float64]

# --- the index of one video ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class VisualIndex:
    """What the visual channel keeps of one clip.

    frame_times: float64 `[T]` seconds, when each encoded frame appears; it stays until the next one.
    features: float `[T, C]`, of the frame encoder.
    shots: the shots of the clip, long ones in pieces, without gap or overlap.
    darkness: float64 `[S]`, share of nearly black pixels of each shot.
    """

    frame_times: Array
    features: NDArray[np.floating[Any]]
    shots: tuple[Span, ...]
    darkness: Array

    def __post_init__(self) -> None:
        if len(self.frame_times) == 0 or len(self.features) != len(self.frame_times):
            raise ValueError(f"{len(self.frame_times)} times for features {self.features.shape}")
        if len(self.shots) == 0 or len(self.darkness) != len(self.shots):
            raise ValueError(f"{len(self.darkness)} values of darkness for {len(self.shots)} shots")

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The index as plain arrays, for a cache."""
        edges = np.array([(s.start_seconds, s.end_seconds) for s in self.shots])
        return {
            "frame_times": self.frame_times,
            "features": self.features,
            "shots": edges,
            "darkness": self.darkness,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "VisualIndex":
        """The inverse of `to_arrays`; raises KeyError or ValueError where arrays are missing or do not fit."""
        shots = tuple(Span(float(a), float(b)) for a, b in arrays["shots"])
        return cls(np.asarray(arrays["frame_times"]), arrays["features"], shots, np.asarray(arrays["darkness"]))

    def frames_of(self, shot: int) -> tuple[slice, Array]:
        """The frames of one shot and for how many seconds each is on the screen in it; never empty.

        They are those that appear in the shot. The one before it stays on into the shot only where no other appears:
        else it was sampled just before the cut, and shows the wrong side of it.
        """
        span = self.shots[shot]
        first, last = np.searchsorted(self.frame_times, [span.start_seconds - 1e-6, span.end_seconds - 1e-6])
        if first == last:
            before = max(int(first) - 1, 0)
            return slice(before, before + 1), np.ones(1)
        ends = np.append(self.frame_times[first + 1 : last], span.end_seconds)
        return slice(int(first), int(last)), np.maximum(ends - self.frame_times[first:last], 1e-3)


SAME_PICTURE = 1.0  # mean difference in 0..255 of a coarse grid of pixels below which a frame is not encoded again
STRIDE = 8  # pixels, of that grid
BLACK = 50  # value below which a thumbnail's pixel counts as dark
LONG_SECONDS = 12.0  # a shot longer than this may well show several things, one after the other
PIECE_SECONDS = 3.0  # and a piece of it is at least this long
PIECE_FRAMES = 1000  # at about so many frames a place for a cut is looked for


class VisualIndexer:
    """Builds a `VisualIndex` from the steps of one pass over a clip, so that other channels can share the pass."""

    def __init__(self, clip: VideoClip, encoder: FrameEncoder) -> None:
        self._clip = clip
        self._encoder = encoder
        self._times: list[NDArray[np.float64]] = []
        self._features: list[NDArray[np.float32]] = []
        self._last: NDArray[np.int16] | None = None
        self._shots = ShotFinder()
        self._dark: list[Array] = []  # of the thumbnails, which are not kept: an hour of them would fill the memory
        self._dark_seconds: list[Array] = []

    def add(self, step: Watch) -> None:
        """Take in the next step of the pass."""
        self._shots.add(step.thumbnails, step.thumbnail_seconds)
        self._dark.append((step.thumbnails.max(axis=-1, initial=0) < BLACK).mean(axis=(1, 2)))
        self._dark_seconds.append(step.thumbnail_seconds)
        pixels, times = step.frames.pixels[0], step.frames.pts_seconds[0]
        if len(times) == 0:
            return
        coarse = pixels[:, :, ::STRIDE, ::STRIDE].astype(np.int16)
        is_new = np.array([self._changed(frame) for frame in coarse])
        if is_new.any():
            self._features.append(self._encoder.features(pixels[is_new]))
            self._times.append(times[is_new])

    def _changed(self, coarse: NDArray[np.int16]) -> bool:
        if self._last is not None and np.abs(coarse - self._last).mean() < SAME_PICTURE:
            return False
        self._last = coarse
        return True

    def finish(self) -> VisualIndex:
        """The index of all that was added. Raises ValueError if no frame was."""
        if not self._times:
            raise ValueError("an index needs frames")
        times, features = np.concatenate(self._times), np.concatenate(self._features)
        shots = [piece for shot in self._shots.finish(self._clip.span) for piece in in_pieces(shot, times, features)]
        dark = _darkness(np.concatenate(self._dark), np.concatenate(self._dark_seconds), shots)
        return VisualIndex(times, features, tuple(shots), dark)


def build_visual_index(clip: VideoClip, encoder: FrameEncoder, sampling: SamplingConfig | None = None) -> VisualIndex:
    """Watch `clip` once, encode the sampled frames that changed, and find its shots.

    Raises VideoError where the file cannot be decoded.
    """
    indexer = VisualIndexer(clip, encoder)
    for step in watch(clip, sampling or SamplingConfig()):
        indexer.add(step)
    return indexer.finish()


def in_pieces(shot: Span, times: Array, features: NDArray[np.floating[Any]]) -> list[Span]:
    """A long shot in pieces that each look alike, a short one as it is.

    The cut is where it leaves the least variance of the features within the two parts (Ward's criterion), and again
    in each part that is still long. A cut through one scene does no harm: pieces that answer a question alike are
    joined again in the answer.
    """
    if shot.seconds <= LONG_SECONDS:
        return [shot]
    inside = (times >= shot.start_seconds) & (times < shot.end_seconds)
    stride = max(1, np.count_nonzero(inside) // PIECE_FRAMES)
    when, what = times[inside][::stride], np.asarray(features[inside][::stride], np.float64)
    count = np.arange(1, len(when))  # frames before each possible cut, which is at the start of the next frame
    far = (when[1:] - shot.start_seconds >= PIECE_SECONDS) & (shot.end_seconds - when[1:] >= PIECE_SECONDS)
    if not far.any():
        return [shot]
    total = np.cumsum(what, axis=0)
    before, after = total[:-1] / count[:, None], (total[-1] - total[:-1]) / (len(when) - count)[:, None]
    gain = count * (len(when) - count) * ((before - after) ** 2).sum(axis=1)
    cut = float(when[1:][np.where(far, gain, -1.0).argmax()])
    parts = Span(shot.start_seconds, cut), Span(cut, shot.end_seconds)
    return [piece for part in parts for piece in in_pieces(part, times, features)]


def _darkness(dark: Array, seconds: Array, shots: Sequence[Span]) -> Array:
    """Means over the shots `[S]` of a share that thumbnails `[K]` have."""
    if len(seconds) == 0:
        return np.zeros(len(shots))
    starts = np.array([s.start_seconds for s in shots])
    shot = np.maximum(np.searchsorted(starts, seconds + 1e-6, side="right") - 1, 0)
    count = np.bincount(shot, minlength=len(shots))
    total = np.bincount(shot, weights=dark, minlength=len(shots))
    return np.where(count > 0, total / np.maximum(count, 1), dark.mean())


# --- scorers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """How well one question fits one video, in standard deviations above an unrelated question.

    shots: float64 `[S]`; frames: float64 `[T]`, for drawing; phrases: `[S]`, what each shot looks like;
    alike: float64 `[S, S]`, correlation of what each two shots look like.
    """

    shots: Array
    frames: Array
    phrases: tuple[str, ...]
    alike: Array


class Scorer(Protocol):
    """What turns a question into scores of shots."""

    name: str

    def score(self, index: VisualIndex, query: str) -> Scores:
        """Scores of every shot and frame of `index` for `query`."""
        ...

    def shot_vectors(self, index: VisualIndex) -> NDArray[np.float32]:
        """float32 `[S, D]`: what can be computed of the shots before there is a query. Their products with
        `query_weights` are the scores of the shots, so many videos are searched by one product.
        """
        ...

    def query_weights(self, query: str) -> NDArray[np.float32]:
        """float32 `[D]`, often mostly zeros."""
        ...


HESITATION_SECONDS = 0.5  # evidence of a shot this long counts half: a glimpse is not trusted like a view
DARK_WEIGHT = 3.0  # standard deviations that darkness, where asked for, can add or take
DARK_FLOOR = 0.01  # share of dark pixels that is as good as none


def _trust(index: VisualIndex) -> Array:
    """How much the evidence of each shot counts, by its length: float64 `[S]`, in (0, 1)."""
    seconds = np.array([shot.seconds for shot in index.shots])
    return seconds / (seconds + HESITATION_SECONDS)


def _relative_darkness(index: VisualIndex) -> Array:
    """How much darker than the mean shot each is, in [-1, 1]: float64 `[S]`."""
    return np.clip(np.log((index.darkness + DARK_FLOOR) / (index.darkness.mean() + DARK_FLOOR)), -1.0, 1.0)


def _standard(values: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """`[..., K]` with mean 0 and standard deviation 1 over its last axis, in its own dtype."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=-1, keepdims=True), 1e-9))


def _in_shots(index: VisualIndex, values: NDArray[np.floating[Any]]) -> Array:
    """Means over the time of each shot of what frames have: `[T, C]` to float64 `[S, C]`."""
    frames = [index.frames_of(s) for s in range(len(index.shots))]
    return np.stack([np.average(values[chosen], axis=0, weights=seconds) for chosen, seconds in frames])


CLOSE = 1.5  # standard deviations by which a class must be closer to a question than most, to speak for it


def class_weights(classes: Sequence[NDArray[np.float32]], vector: NDArray[np.float32]) -> Array:
    """float64 `[K]` of length 1: how much each class speaks for a question of sentence vector `[C]`.

    classes: `[K, C]` each, sentence vectors of the texts of every class, which count equally.
    """
    close = np.sum([_standard(np.asarray(texts @ vector, np.float64)) for texts in classes], axis=0)
    weights = np.maximum(_standard(close) - CLOSE, 0.0)
    return np.asarray(weights / max(float(np.linalg.norm(weights)), 1e-9))


class ClassLogitScorer:
    """Zero-shot through the classes of an ImageNet network.

    A question weighs the classes: its closeness in meaning to the text of each class, standardised over the classes,
    less `CLOSE`, negative ones dropped, scaled to unit length. A shot scores the classes: its mean logits less what
    is usual, standardised over the classes. Their product would be a standard normal variable if the two had nothing
    to do with each other.

    Two texts a class, its names and its names with the gloss of WordNet, count equally. What is usual is the mean
    over this video's shots and, as `PRIOR_SHOTS` more shots, over all pictures (see `usual_features`): alone the
    first would leave nothing of a video that shows one thing throughout, and the second would favour what the whole
    video shows.
    """

    name = "class-logit"
    PRIOR_SHOTS = 10.0

    def __init__(
        self,
        encoder: Classifier,
        sentences: Sentences,
        usual_features: NDArray[np.float32],
        cache: FeatureCache | None = None,
    ) -> None:
        """usual_features: float32 `[C]`, the mean features of pictures at large; cache: keeps the vectors of the
        classes.
        """
        self._encoder = encoder
        self._sentences = sentences
        self._usual = encoder.logits(usual_features[None])[0].astype(np.float64)
        self._classes = class_vectors(encoder.class_names, sentences, cache)
        self._last: tuple[VisualIndex, Array, NDArray[np.float32]] | None = None

    def score(self, index: VisualIndex, query: str) -> Scores:
        """Scores of every shot and frame of `index` for `query`."""
        if self._last is None or self._last[0] is not index:  # questions about one video come one after the other
            self._last = (index, *self._evidence(index))
        _, shots, frames = self._last
        weights = self.class_weights(query)
        dark = DARK_WEIGHT * _relative_darkness(index) if asks_for_darkness(query) else 0.0
        return Scores(
            _trust(index) * (shots @ weights + dark),
            np.asarray(frames @ weights, np.float64),
            tuple(self._phrase(e * weights) for e in shots),
            shots @ shots.T / shots.shape[1],
        )

    def shot_vectors(self, index: VisualIndex) -> NDArray[np.float32]:
        """What each shot says for the classes, and how dark it is: float32 `[S, K + 1]`."""
        chosen = (index.frames_of(s) for s in range(len(index.shots)))  # shot by shot: the logits of hours are too many
        logits = [
            np.average(self._encoder.logits(np.asarray(index.features[frames], np.float32)), axis=0, weights=seconds)
            for frames, seconds in chosen
        ]
        shots = np.stack(logits).astype(np.float64)
        vectors = np.column_stack([_standard(shots - self._usual_in(shots)), _relative_darkness(index)])
        return (_trust(index)[:, None] * vectors).astype(np.float32)

    def query_weights(self, query: str) -> NDArray[np.float32]:
        """The weights of the classes, and of darkness: float32 `[K + 1]`, nine of ten of them 0."""
        dark = DARK_WEIGHT if asks_for_darkness(query) else 0.0
        return np.append(self.class_weights(query), dark).astype(np.float32)

    def _evidence(self, index: VisualIndex) -> tuple[Array, NDArray[np.float32]]:
        """Standardised logits of the shots, float64 `[S, K]`, and of the frames, float32 `[T, K]`."""
        logits = self._encoder.logits(np.asarray(index.features, np.float32))
        shots = _in_shots(index, logits)
        usual = self._usual_in(shots)
        return _standard(shots - usual), np.asarray(_standard(logits - usual.astype(np.float32)), np.float32)

    def evidence_of(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each of some pictures of one video says for the classes, float32 `[T, K]`; features `[T, C]`."""
        logits = self._encoder.logits(features)
        return _standard(logits - self._usual_in(logits.astype(np.float64)).astype(np.float32))

    def _usual_in(self, shots: Array) -> Array:
        """Mean logits of a video, and of all pictures as if they were `PRIOR_SHOTS` of its shots: float64 `[K]`."""
        return np.asarray((shots.sum(axis=0) + self.PRIOR_SHOTS * self._usual) / (len(shots) + self.PRIOR_SHOTS))

    def class_weights(self, query: str) -> Array:
        """float64 `[K]` of length 1: how much each class speaks for `query`."""
        return self.weights_of(self._sentences.embed([visual_content(query)])[0])

    def weights_of(self, vector: NDArray[np.float32]) -> Array:
        """The same of a sentence vector `[C]`."""
        return class_weights(self._classes, vector)

    def _phrase(self, share: Array) -> str:
        best = [i for i in np.argsort(-share)[:3] if share[i] > 0]
        if not best:
            return ""
        return "looks like: " + ", ".join(self._encoder.class_names[i].split(",")[0] for i in best)


def usual_features(weights_folder: Path) -> NDArray[np.float32]:
    """The mean pooled features over the pictures that EfficientNet-Lite0 was trained on: float32 `[C]`.

    They need no pictures: before its last activation, min(max(x, 0), 6), the training of batch normalisation gave
    channel c the mean `bias[c]` and the standard deviation `|weight[c]|` over all pictures and places; taken as
    normal, the clipped mean has a closed form.
    """
    from safetensors import safe_open

    with safe_open(weights_folder / "model.safetensors", framework="numpy") as tensors:
        scale = np.maximum(np.abs(tensors.get_tensor("bn2.weight").astype(np.float64)), 1e-6)
        shift = tensors.get_tensor("bn2.bias").astype(np.float64)
    return (_mean_above(shift, scale, 0.0) - _mean_above(shift, scale, 6.0)).astype(np.float32)


def _mean_above(mean: Array, deviation: Array, floor: float) -> Array:
    """The mean of max(x - floor, 0) of a normal variable x."""
    from math import erf

    z = (mean - floor) / deviation
    above = np.array([0.5 * (1 + erf(x)) for x in z / np.sqrt(2)])
    return np.asarray((mean - floor) * above + deviation * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))


@cache
def class_glosses() -> tuple[str, ...]:
    """What WordNet says of each of the 1000 ImageNet classes."""
    text = resources.files(__package__).joinpath("imagenet_glosses.txt").read_text("utf-8")
    return tuple(text.splitlines())


def class_vectors(
    names: Sequence[str], sentences: Sentences, kept: FeatureCache | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sentence vectors `[K, C]` of the class names, and of the names with their glosses. They take seconds, so they
    are kept.
    """
    if len(names) != len(class_glosses()):
        raise ValueError(f"{len(names)} classes but {len(class_glosses())} glosses")
    plain = [f"a photo of {name}" for name in names]
    glossed = [f"a photo of {name}: {gloss}" for name, gloss in zip(names, class_glosses(), strict=True)]
    key = json.dumps(["class texts", getattr(sentences, "name", type(sentences).__name__), plain, glossed])
    entry = kept.load(key) if kept else None
    if entry is None:
        entry = CacheEntry({"plain": sentences.embed(plain), "glossed": sentences.embed(glossed)}, {})
        if kept:
            kept.store(key, entry)
    return np.asarray(entry.arrays["plain"], np.float32), np.asarray(entry.arrays["glossed"], np.float32)


class PicturesAndText(FrameEncoder, Protocol):
    """An encoder of one space for pictures and sentences: `tvu.video_llm.encode.OpenClipEncoder`."""

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 `[n, C]`, each row of length 1."""
        ...


class ClipScorer:
    """Zero-shot through a CLIP model: cosines of shots with the question, standardised by those with unrelated
    captions.
    """

    PROMPTS = ("{}", "a photo of {}", "a video of {}")

    def __init__(self, encoder: PicturesAndText, unrelated: Sequence[str] | None = None) -> None:
        """unrelated: captions of all kinds of pictures; by default the glosses of the ImageNet classes."""
        self.name = encoder.name
        self._encoder = encoder
        self._unrelated = encoder.embed_text(list(unrelated or class_glosses()[::5]))

    def score(self, index: VisualIndex, query: str) -> Scores:
        """Scores of every shot and frame of `index` for `query`."""
        text = self._text_of(query)
        frames = np.asarray(index.features, np.float64)
        shots = self._shots_of(index, frames)
        looks = _standard(shots @ self._unrelated.T)
        alike = looks @ looks.T / looks.shape[1]
        return Scores(_trust(index) * self._lift(shots, text), self._lift(frames, text), ("",) * len(shots), alike)

    def shot_vectors(self, index: VisualIndex) -> NDArray[np.float32]:
        """The shots in the space of the model, over the spread of the unrelated captions, and where these lie in the
        mean: float32 `[S, C + 1]`.
        """
        shots = self._shots_of(index, np.asarray(index.features, np.float64))
        mean, spread = self._unrelated_to(shots)
        vectors = np.column_stack([shots, -mean]) / spread[:, None]
        return (_trust(index)[:, None] * vectors).astype(np.float32)

    def query_weights(self, query: str) -> NDArray[np.float32]:
        """The question in the space of the model, and 1: float32 `[C + 1]`."""
        return np.append(self._text_of(query), 1.0).astype(np.float32)

    def _text_of(self, query: str) -> NDArray[np.float32]:
        content = visual_content(query)
        text = self._encoder.embed_text([p.format(content) for p in self.PROMPTS]).mean(axis=0)
        return np.asarray(text / np.linalg.norm(text), np.float32)

    def _shots_of(self, index: VisualIndex, frames: Array) -> Array:
        shots = _in_shots(index, frames)
        return np.asarray(shots / np.linalg.norm(shots, axis=1, keepdims=True))

    def _unrelated_to(self, pictures: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the cosines of each picture with the unrelated captions: `[P]` each."""
        others = pictures @ self._unrelated.T
        return others.mean(axis=1), np.maximum(others.std(axis=1), 1e-6)

    def _lift(self, pictures: Array, text: NDArray[np.float32]) -> Array:
        mean, spread = self._unrelated_to(pictures)
        return np.asarray((pictures @ text - mean) / spread)


# --- candidates ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VisualCalibration:
    """From scores to the probability that the span shows what was asked for: logistic in the score and in its gap to
    the best.

    Written by `python -P -m tvu.video_llm.scout.calibrate`.
    """

    intercept: float
    score: float
    gap: float

    def probability(self, score: Array | float, gap: Array | float) -> Array:
        """gap: by how much the score is below the best of the video. Both of one shape, which is that of the result."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.intercept + self.score * score + self.gap * gap, -30, 30))))


@cache
def calibration_of(scorer: str) -> VisualCalibration:
    """The calibration that ships for a scorer; every CLIP model shares one."""
    table = json.loads(resources.files(__package__).joinpath("visual_calibration.json").read_text("utf-8"))
    return VisualCalibration(**table["clip" if scorer.startswith("clip:") else scorer])


@dataclass(frozen=True)
class VisualCandidate:
    """One possible answer: when, how probable, what it looks like, and the numbers behind the probability."""

    span: Span
    probability: float
    phrase: str
    features: Mapping[str, float]


SAME_SCENE = 0.65  # neighbouring shots with at least this share of the best one's score belong to it
SAME_LOOK = 0.4  # and so do, with half of that share, those that look like it: at least this correlation


def score_visual(
    index: VisualIndex, query: str, scorer: Scorer, router: Router, calibration: VisualCalibration | None = None
) -> tuple[list[VisualCandidate], ScoreCurve]:
    """Candidates, most probable first, that cover the clip, and the curve of probabilities for drawing."""
    scores = scorer.score(index, query)
    calibration = calibration or calibration_of(scorer.name)
    pictures = router.channels(query).visual
    best = float(scores.shots.max())
    candidates = []
    for first, last, peak in _runs(scores.shots, scores.alike):
        top = float(scores.shots[peak])
        span = Span(index.shots[first].start_seconds, index.shots[last].end_seconds)
        probability = pictures * float(calibration.probability(top, best - top))
        features = {"score": top, "gap": best - top, "pictures": pictures}
        candidates.append(VisualCandidate(span, probability, scores.phrases[peak], features))
    curve = pictures * calibration.probability(scores.frames, np.maximum(best - scores.frames, 0.0))
    curve_of = ScoreCurve("visual", index.frame_times, curve.astype(np.float32))
    return sorted(candidates, key=lambda c: -c.probability), curve_of


def _runs(scores: Array, alike: Array) -> list[tuple[int, int, int]]:
    """First, last and best shot of each run: the best shot left takes in its neighbours, until none is left."""
    left = set(range(len(scores)))
    runs = []
    for peak in np.argsort(-scores, kind="stable").tolist():
        if peak not in left:
            continue
        least = np.where(alike[peak] >= SAME_LOOK, SAME_SCENE / 2, SAME_SCENE) * scores[peak]
        joins = (scores >= least) & (scores[peak] > 0)
        first = last = peak
        while first - 1 in left and joins[first - 1]:
            first -= 1
        while last + 1 in left and joins[last + 1]:
            last += 1
        left -= set(range(first, last + 1))
        runs.append((first, last, peak))
    return runs
