"""The picture signal: where each line of a text is shown, from what the frames look like.

Two views of one index. Zero-shot: what each shot says for the ImageNet classes that a line is close to in meaning
(`scout`). Trained: our small NSVA, which sees all seconds of the video and all lines at once, so that neighbours in
time and rival lines count. Fitted on generated videos, a logistic regression says whether a line is shown at all, and
a softmax over its candidates where.

The published NSVA wants features of InternVideo, which no command of ours can make: `published_candidates` takes those
that the user has.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.encode import Classifier
from tvu.video_llm.narration.types import Candidate, Candidates, Order, Script
from tvu.video_llm.scout.match import Sentences
from tvu.video_llm.scout.query import asks_for_darkness, visual_content
from tvu.video_llm.scout.visual import (
    DARK_WEIGHT,
    SAME_LOOK,
    SAME_SCENE,
    ClassLogitScorer,
    VisualIndex,
    build_visual_index,
    class_vectors,
    usual_features,
)
from tvu.video_llm.types import VideoClip

if TYPE_CHECKING:
    from torch import Tensor

    from tvu.temporal.alignment.nsva import NsvaAligner

Array = NDArray[np.float64]

SHOWN = 16  # candidates kept of a line
SEEN_AT_BEST = 0.99  # no line is surer than this to be shown
TRAINED = 0.5  # of the aligner's logits beside zero-shot scores; held-out generated videos like it best
LEAST_PROBABILITY = 0.002  # below it a candidate is not told
FEATURES = ("zero_shot", "trained", "rival")  # of a line: its best candidate by both views, and by how much another
# line of the text fits that place better


# --- what is compared -----------------------------------------------------------------------------------------


def statement(text: str) -> str:
    """A line as the description of a picture: `the dough being kneaded` of "Now you see the dough being kneaded."."""
    return visual_content(" ".join(text.split()))


def seconds_of(index: VisualIndex) -> NDArray[np.float32]:
    """What each second looks like: the mean features of the frames on the screen in it, float32 `[T, C]`, T >= 1.

    The first second begins where the index does.
    """
    start, end = index.shots[0].start_seconds, index.shots[-1].end_seconds
    count = max(1, int(np.ceil(end - start - 0.25)))  # a rest shorter than a quarter is no second
    shown_from = np.maximum(index.frame_times - start, 0.0)
    shown_until = np.append(shown_from[1:], max(end - start, count))
    found = np.empty((count, index.features.shape[1]), np.float32)
    for second in range(count):
        first = max(0, int(np.searchsorted(shown_from, second, side="right")) - 1)
        last = max(first + 1, int(np.searchsorted(shown_from, second + 1, side="left")))
        shown = np.minimum(shown_until[first:last], second + 1) - np.maximum(shown_from[first:last], second)
        found[second] = np.average(index.features[first:last], axis=0, weights=np.maximum(shown, 1e-6))
    return found


class LooksInWords:
    """Pictures and lines in one space, that of sentences, which is where the trained aligner compares them.

    A picture is the sum of the meanings of the classes that it says something for, each as far as it stands out; both
    are told from the mean of all classes, for what all class texts share says nothing.
    """

    LEAST = 1.0  # standard deviations that a class must stand out by
    PRIOR_SECONDS = 20.0  # of all pictures at large, beside those of the video, in what is usual

    def __init__(
        self,
        encoder: Classifier,
        sentences: Sentences,
        usual: NDArray[np.float32],
        cache: FeatureCache | None = None,
    ) -> None:
        """usual: float32 `[C]`, the mean features of pictures at large."""
        plain, glossed = class_vectors(encoder.class_names, sentences, cache)
        meanings = (plain + glossed) / 2
        self._mean = meanings.mean(axis=0)
        self._meanings = meanings - self._mean
        self._encoder = encoder
        self._usual = encoder.logits(usual[None])[0]
        self._sentences = sentences

    @property
    def width(self) -> int:
        """C of both spaces."""
        return int(self._meanings.shape[1])

    def pictures(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 `[T, width]` of the features `[T, C]` of the seconds of one video."""
        logits = self._encoder.logits(features)
        usual = (logits.sum(axis=0) + self.PRIOR_SECONDS * self._usual) / (len(logits) + self.PRIOR_SECONDS)
        outstanding = logits - usual
        outstanding -= outstanding.mean(axis=1, keepdims=True)
        outstanding /= np.maximum(outstanding.std(axis=1, keepdims=True), 1e-6)
        return np.asarray(np.maximum(outstanding - self.LEAST, 0.0) @ self._meanings / 4, np.float32)

    def lines(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 `[S, width]` of texts."""
        return self.of_vectors(self._sentences.embed([statement(text) or "nothing" for text in texts]))

    def of_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same of texts whose sentence vectors `[S, width]` are known."""
        return np.asarray((vectors - self._mean) * (self.width**0.5 / 2), np.float32)


# --- probabilities --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PictureCalibration:
    """From scores to probabilities: logistic in FEATURES for "the line is shown", a softmax over its candidates of the
    weighted views for "there".

    Written by `python -P -m tvu.video_llm.narration.calibrate`.
    """

    intercept: float
    weights: tuple[float, ...]
    zero_shot: float = 1.0
    trained: float = 1.0

    def __post_init__(self) -> None:
        if len(self.weights) != len(FEATURES):
            raise ValueError(f"{len(self.weights)} weights for {len(FEATURES)} features")

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "PictureCalibration":
        """As `calibration.json` holds it."""
        weights = tuple(table["weights"][name] for name in FEATURES)
        return cls(table["intercept"], weights, table["zero_shot"], table["trained"])

    def shown(self, features: Array) -> Array:
        """Probability `[...]` that lines with features `[..., len(FEATURES)]` are shown."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.intercept + features @ np.asarray(self.weights), -30, 30))))

    def where(self, zero_shot: Array, trained: Array) -> Array:
        """Probabilities `[N]` of the N candidates of a line that is shown, from both views at their peaks."""
        logits = self.zero_shot * zero_shot + self.trained * trained
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())


@cache
def calibration_of(signal: str) -> dict[str, Any]:
    """The constants of one signal that ship with the package."""
    table = json.loads(resources.files(__package__).joinpath("calibration.json").read_text("utf-8"))
    return dict(table[signal])


@dataclass(frozen=True, eq=False)
class Views:
    """How well S lines fit K shots.

    zero_shot: float64 `[S, K]`, standard deviations above an unrelated line; trained: float64 `[S, K]`, logits of the
    aligner over those of the same line elsewhere, times `TRAINED`, zeros where there is none. So it tells where a line
    is shown: how likely lines are at all it learns from generated texts, and other texts are not like them.
    """

    zero_shot: Array
    trained: Array


class PictureMatcher:
    """Scores the lines of a text against the shots of a video; loads what it needs once.

    encoder: frames to features and ImageNet logits; aligner: ours, or None for zero-shot alone.
    """

    def __init__(
        self,
        encoder: Classifier,
        sentences: Sentences,
        usual: NDArray[np.float32],
        aligner: "NsvaAligner | None" = None,
        cache: FeatureCache | None = None,
        calibration: PictureCalibration | None = None,
    ) -> None:
        self.encoder = encoder
        self.aligner = aligner
        self._scorer = ClassLogitScorer(encoder, sentences, usual, cache)
        self.words = LooksInWords(encoder, sentences, usual, cache)
        self._calibration = calibration

    @classmethod
    def ours(cls, sentences: Sentences | None = None, cache: FeatureCache | None = None) -> "PictureMatcher":
        """EfficientNet-Lite0, MiniLM and the aligner that ships. Raises WeightsError where weights are missing."""
        from tvu.video_llm.encode import Lite0Encoder
        from tvu.video_llm.sentence import SentenceEncoder
        from tvu.weights.load import located

        encoder = Lite0Encoder()
        usual = usual_features(located(encoder.weights_name))
        return cls(encoder, sentences or SentenceEncoder(), usual, shipped_aligner(), cache)

    @cached_property
    def calibration(self) -> PictureCalibration:
        """That given, or that which ships for what this matcher uses."""
        if self._calibration is not None:
            return self._calibration
        return PictureCalibration.from_table(
            calibration_of("visual" if self.aligner is not None else "visual-zero-shot")
        )

    def views(self, index: VisualIndex, texts: Sequence[str]) -> Views:
        """What both views say of every line and shot."""
        shots = self._scorer.shot_vectors(index).astype(np.float64)  # [K, classes + 1]
        weights = np.stack([self._weights(text) for text in texts]).astype(np.float64)  # [S, classes + 1]
        zero_shot = weights @ shots.T
        if self.aligner is None:
            return Views(zero_shot, np.zeros_like(zero_shot))
        logits = align_seconds(self.aligner, self.words.pictures(seconds_of(index)), self.words.lines(texts))
        shots = _in_shots(index, logits)
        return Views(zero_shot, TRAINED * (shots - shots.mean(axis=1, keepdims=True)))

    def _weights(self, text: str) -> NDArray[np.float32]:
        content = statement(text)
        dark = DARK_WEIGHT if asks_for_darkness(content) else 0.0
        return np.append(self._scorer.class_weights(content), dark).astype(np.float32)

    def likeness(self, index: VisualIndex) -> NDArray[np.float32]:
        """float32 `[K, D]` whose products are the correlations of what each two shots look like."""
        shots = self._scorer.shot_vectors(index)[:, :-1]
        return np.asarray(shots / np.maximum(np.linalg.norm(shots, axis=1, keepdims=True), 1e-9), np.float32)


def picture_candidates(
    script: Script, clip: VideoClip, matcher: PictureMatcher, index: VisualIndex | None = None
) -> Candidates:
    """Where each line may be shown, most probable first; none for a line without words.

    index: what is known of the clip already; without it the clip is watched. Raises VideoError where it cannot be.
    """
    if index is None:
        index = build_visual_index(clip, matcher.encoder)
    return candidates_in(script, index, matcher)


def candidates_in(script: Script, index: VisualIndex, matcher: PictureMatcher) -> Candidates:
    """As `picture_candidates`, of an index that is known."""
    asked = [i for i, line in enumerate(script.lines) if any(c.isalnum() for c in line.text)]
    if not asked:
        return ((),) * len(script.lines)
    views = matcher.views(index, [script.lines[i].text for i in asked])
    alike = matcher.likeness(index)
    found: list[tuple[Candidate, ...]] = [()] * len(script.lines)
    for row, i in enumerate(asked):
        zero_shot, trained = views.zero_shot[row], views.trained[row]
        runs = runs_of(zero_shot, trained, alike)
        peaks = [peak for _, _, peak in runs]
        shown = matcher.calibration.shown(features_of(views, row, runs))
        p = SEEN_AT_BEST * shown * matcher.calibration.where(zero_shot[peaks], trained[peaks])
        told = [
            Candidate(Span(index.shots[first].start_seconds, index.shots[last].end_seconds), float(p[n]), "visual")
            for n, (first, last, _) in enumerate(runs)
            if p[n] >= LEAST_PROBABILITY
        ]
        found[i] = tuple(sorted(told, key=lambda c: -c.score))
    return tuple(found)


def runs_of(zero_shot: Array, trained: Array, alike: NDArray[np.float32]) -> list[tuple[int, int, int]]:
    """First, last and best shot of each candidate of one line, best first, `SHOWN` at most; all `[K]`, alike `[K, D]`.

    The best shot left takes in its neighbours that score nearly as high, or look like it and score half of that.
    """
    score = zero_shot + trained
    left = np.ones(len(score), bool)
    runs = []
    for peak in np.argsort(-score, kind="stable").tolist():
        if not left[peak]:
            continue
        least = np.where(alike @ alike[peak] >= SAME_LOOK, SAME_SCENE / 2, SAME_SCENE) * score[peak]
        joins = left & (score >= least) & (score[peak] > 0)
        first = last = peak
        while first > 0 and joins[first - 1]:
            first -= 1
        while last + 1 < len(score) and joins[last + 1]:
            last += 1
        left[first : last + 1] = False
        runs.append((first, last, peak))
        if len(runs) == SHOWN:
            break
    return runs


def features_of(views: Views, line: int, runs: Sequence[tuple[int, int, int]]) -> Array:
    """float64 `[len(FEATURES)]` of one line: both views at its best candidate, and how much better another line fits
    there; a text about a video says little of what it does not say something else about."""
    peak = runs[0][2]
    there = views.zero_shot[:, peak] + views.trained[:, peak]
    return np.array([views.zero_shot[line, peak], views.trained[line, peak], there.max() - there[line]])


def _in_shots(index: VisualIndex, logits: Array) -> Array:
    """Logits of seconds `[S, T]` as means over shots `[S, K]`; a second counts by how much of it the shot fills."""
    start = index.shots[0].start_seconds
    found = np.empty((len(logits), len(index.shots)))
    for k, shot in enumerate(index.shots):
        a, b = shot.start_seconds - start, shot.end_seconds - start
        first = min(int(a), logits.shape[1] - 1)
        last = max(first + 1, min(int(np.ceil(b)), logits.shape[1]))
        seconds = np.arange(first, last)
        inside = np.maximum(np.minimum(seconds + 1, b) - np.maximum(seconds, a), 1e-3) ** 2
        found[:, k] = np.average(logits[:, first:last], axis=1, weights=inside)
    return found


# --- the trained aligner --------------------------------------------------------------------------------------

SHIPPED = "aligner.safetensors"
LINES_AT_ONCE = 64  # that compete with each other; training saw fewer


def shipped_aligner() -> "NsvaAligner | None":
    """The aligner that comes with the package, on the CPU; None in a package without it."""
    file = resources.files("tvu.weights").joinpath("aligner").joinpath(SHIPPED)
    if not file.is_file():
        return None
    with resources.as_file(file) as path:
        return load_aligner(path)


def load_aligner(path: Path) -> "NsvaAligner":
    """An aligner that `tvu.video_llm.training.aligner` wrote, in float32, in evaluation mode.

    Raises WeightsError where the file is none.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    from tvu.temporal.alignment.nsva import NsvaAligner, NsvaConfig
    from tvu.weights.errors import WeightsError

    try:
        with safe_open(path, framework="numpy") as tensors:
            config = json.loads((tensors.metadata() or {})["config"])
        model = NsvaAligner(NsvaConfig(**config))
        missing, unexpected = model.load_state_dict(
            {name: tensor.float() for name, tensor in load_file(path).items()}, strict=False
        )
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path} holds no aligner of ours", hint="install tvu again") from error
    if unexpected or set(missing) - {"visual_pos_enc.pe"}:  # a fixed table, which needs no place in the file
        raise WeightsError(f"{path} lacks parts of an aligner", hint="install tvu again")
    return model.eval()


def align_seconds(aligner: "NsvaAligner", video: NDArray[np.float32], lines: NDArray[np.float32]) -> Array:
    """Logits float64 `[S, T]` of lines `[S, C]` and seconds `[T, C]`, lines told no order.

    Many lines are seen some at a time, dealt out evenly, so that neighbours do compete with distant ones.
    """
    import torch

    groups = max(1, -(-len(lines) // LINES_AT_ONCE))
    found = np.empty((len(lines), len(video)))
    with torch.inference_mode():
        seen = torch.from_numpy(video)[None]
        for group in range(groups):
            text = torch.from_numpy(np.ascontiguousarray(lines[group::groups]))[None]
            found[group::groups] = aligner.align(seen, text, ordered=False)[0].double().numpy()
    return found


# --- published weights ----------------------------------------------------------------------------------------


def published_candidates(video: "Tensor", text: "Tensor", aligner: "NsvaAligner", order: Order) -> Candidates:
    """Candidates by the published NSVA, from features that the user has; one a line, its second grown while it holds.

    video: `[T, 768]`, one vector a second from the start of the file, and text `[S, 768]`, one a line, both of
    InternVideo-MM-L14 as the official extraction writes them. order: `monotone` for `NSVA_narration.pth`, `free` for
    `NSVA_step.pth`. The score is the share of the line's probability inside, which is no calibrated probability.
    Raises ValueError where the features do not fit the weights.
    """
    import torch

    from tvu.temporal.alignment.decode import intervals_around_peak

    width = aligner.config.feature_width
    if video.ndim != 2 or text.ndim != 2 or video.shape[1] != width or text.shape[1] != width:
        raise ValueError(f"features are [T, {width}] and [S, {width}], not {list(video.shape)} and {list(text.shape)}")
    if len(video) == 0 or len(text) == 0:
        return ((),) * len(text)
    with torch.inference_mode():
        logits = aligner.align(video[None], text[None], ordered=order == "monotone")[0]
    starts = torch.arange(len(video), dtype=torch.float64)
    found = intervals_around_peak(logits, torch.stack((starts, starts + 1), dim=-1))
    rows = zip(found.seconds.tolist(), found.scores.tolist(), strict=True)
    return tuple((Candidate(Span(a, b), min(1.0, max(0.0, p)), "visual"),) for (a, b), p in rows)
