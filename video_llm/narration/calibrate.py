"""Fit what the picture and on-screen signals and their fusion know of probabilities:
`python -P -m tvu.video_llm.narration.calibrate [--aligner FILE] [--videos N] [--write]`.

Everything is fitted on generated data whose truth is known: feature videos of classes that the aligner was never told
of, and titles with the mistakes of recognisers. Half of it fits, the other half measures. What is fitted is written
into the package with --write. The joined videos that the aligner learns from are not used: half of what is absent from
them is chosen to be taken for what is shown, which texts that people write do not do.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.metrics import auroc_of
from tvu.temporal.types import Span
from tvu.video_llm.logistic import fit_logistic
from tvu.video_llm.narration import picture, screen
from tvu.video_llm.narration.fuse import FusionConfig, fused_lines
from tvu.video_llm.narration.picture import PictureCalibration, PictureMatcher, candidates_in, load_aligner
from tvu.video_llm.narration.types import AlignedLine, Line, Order, Script
from tvu.video_llm.scout.match import Sentences, Unit
from tvu.video_llm.training.aligner_videos import IndexedVideo

Array = NDArray[np.float64]

OUT = Path(__file__).with_name("calibration.json")
RIDGE = 1.0  # on standardised features
READ_WRONG = 0.06  # most of a title's letters that a reading gets wrong


def rounded_fit(x: Array, y: Array) -> tuple[float, tuple[float, ...]]:
    """Intercept and weights as they are written into the package."""
    intercept, *weights = (round(float(value), 4) for value in fit_logistic(x, y, ridge=RIDGE))
    return intercept, tuple(weights)


@dataclass(frozen=True)
class Truth:
    """One text about one video: the spans of each line, none for a line that is shown nowhere; what was told; and the
    probability of each line to be shown at all."""

    spans: tuple[tuple[Span, ...], ...]
    told: tuple[AlignedLine, ...]
    shown: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """recall: share of shown lines whose told middle is in a span of theirs; auroc: of the probability to be shown, for
    shown lines against others; error: mean distance of the confidence from the share that is right, in tenths of it."""

    recall: float
    auroc: float
    error: float
    lines: int

    def __str__(self) -> str:
        return (
            f"R@1 {100 * self.recall:5.1f} %   AUROC {100 * self.auroc:5.1f}   "
            f"calibration error {100 * self.error:4.1f}   ({self.lines} lines)"
        )


def measure(truths: Iterable[Truth]) -> Measured:
    """How good the told places and confidences are."""
    hits, present, absent, told = [], [], [], []
    for truth in truths:
        for spans, line, shown in zip(truth.spans, truth.told, truth.shown, strict=True):
            right = line.span is not None and any(middle(line.span) in span for span in spans)
            told.append((line.confidence, right if line.span is not None else bool(spans)))
            if spans:
                hits.append(right)
                present.append(shown)
            else:
                absent.append(shown)
    confidence, was = np.array(told, np.float64).T
    tenth = np.minimum((confidence * 10).astype(int), 9)
    error = sum(abs(float((confidence - was)[tenth == k].sum())) for k in range(10)) / len(told)
    return Measured(
        float(np.mean(hits)) if hits else 0.0,
        auroc_of(present, absent) if present and absent else 0.5,
        error,
        len(told),
    )


def middle(span: Span) -> float:
    """The time that is told of a span: its middle, seconds."""
    return (span.start_seconds + span.end_seconds) / 2


# --- the picture ----------------------------------------------------------------------------------------------


class Remembered:
    """Sentence vectors that are asked for again and again."""

    def __init__(self, sentences: Sentences) -> None:
        self._sentences = sentences
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the encoder's."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._sentences.embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def in_order(video: IndexedVideo) -> IndexedVideo:
    """The video with its lines told in the order of what they are about; those of what is not shown where they are."""
    keys = []
    last = 0.0
    for i, spans in enumerate(video.spans):
        last = spans[0].start_seconds if spans else (last if i else 0.0)
        keys.append(last)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return IndexedVideo(
        video.index,
        video.lines[order],
        tuple(video.spans[i] for i in order),
        tuple(video.texts[i] for i in order),
    )


def fit_picture(videos: Sequence[IndexedVideo], matcher: PictureMatcher) -> PictureCalibration:
    """Whether a line is shown, from its best candidate; and where, from all of them: right are those whose middle is
    where the line is shown."""
    rows, shown, choices = [], [], []
    for video in videos:
        views = matcher.views(video.index, video.texts)
        alike = matcher.likeness(video.index)
        for i, (zero_shot, trained, spans) in enumerate(zip(views.zero_shot, views.trained, video.spans, strict=True)):
            runs = picture.runs_of(zero_shot, trained, alike)
            rows.append(picture.features_of(views, i, runs))
            shown.append(float(bool(spans)))
            shots = [(video.index.shots[a].start_seconds, video.index.shots[b].end_seconds) for a, b, _ in runs]
            right = np.array([any(middle(Span(*shot)) in other for other in spans) for shot in shots])
            peaks = [peak for _, _, peak in runs]
            if right.any():
                choices.append((zero_shot[peaks], trained[peaks], right))
    presence = rounded_fit(np.array(rows), np.array(shown))
    tried = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0]
    scales = [(z, t) for z in tried for t in (tried if matcher.aligner is not None else [0.0])]

    def log_likelihood(scale: tuple[float, float]) -> float:
        calibration = PictureCalibration(*presence, *scale)
        return sum(float(np.log(calibration.where(z, t)[right].sum() + 1e-9)) for z, t, right in choices)

    return PictureCalibration(*presence, *max(scales, key=log_likelihood))


def truths_of(videos: Sequence[IndexedVideo], matcher: PictureMatcher, config: FusionConfig | None) -> list[Truth]:
    """The lines of each video placed by the picture alone: free where `config` is None, else in order."""
    truths = []
    for video in videos:
        script = Script(tuple(Line(text) for text in video.texts), "txt")
        candidates = candidates_in(script, video.index, matcher)
        seconds = video.index.shots[-1].end_seconds
        order: Order = "free" if config is None else "monotone"
        fused = fused_lines(script, {"visual": candidates}, order, seconds, config or FusionConfig())
        truths.append(Truth(video.spans, tuple(f.line for f in fused), tuple(f.shown for f in fused)))
    return truths


# --- the screen -----------------------------------------------------------------------------------------------

OPENINGS = ("Now we come to {}.", "The next step is {}", "{}, as you can see here.", "Let us talk about {}.")


def misread(text: str, rng: np.random.Generator) -> str:
    """The text as a recogniser might read it: some letters wrong, some spaces lost."""
    share = rng.uniform(0, READ_WRONG)
    letters = [
        (chr(int(rng.integers(97, 123))) if rng.random() < share and c != " " else c)
        for c in text
        if c != " " or rng.random() > 0.1
    ]
    return "".join(letters)


def titled(texts: Sequence[str], rng: np.random.Generator) -> tuple[list[Unit], list[str], list[int]]:
    """Titles that are shown, lines, and the title of each line (-1 for none)."""
    order = rng.permutation(len(texts)).tolist()
    shown, hidden = order[: len(order) * 2 // 3], order[len(order) * 2 // 3 :]
    units = [Unit(misread(texts[t], rng), Span(5.0 * n, 5.0 * n + 4)) for n, t in enumerate(shown)]
    lines, which = [], []
    for n, t in enumerate(shown):
        words = texts[t].split()
        spoken = rng.random()
        if spoken < 0.2:
            lines.append(str(rng.choice(OPENINGS)).format(texts[t].lower()))
        elif spoken < 0.35 and len(words) > 3:
            lines.append(" ".join(words[: len(words) * 2 // 3]))
        else:
            lines.append(texts[t])
        which.append(n)
    lines += [texts[t] for t in hidden]
    which += [-1] * len(hidden)
    return units, lines, which


def fit_screen(texts: Sequence[str], seed: int, rounds: int = 12) -> tuple[screen.ScreenCalibration, float, float]:
    """The calibration, and on texts that it did not see the share of titles found and the AUROC of the rest."""
    halves = texts[0::2], texts[1::2]
    rows, right = [], []
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        units, lines, which = titled(halves[0], rng)
        titles = screen.Titles(units)
        for line, title in zip(lines, which, strict=True):
            near = titles.near(line)
            if near:
                rows.append(titles.features(line, near))
                right += [float(n == title) for n in near]
    calibration = screen.ScreenCalibration(*rounded_fit(np.concatenate(rows), np.array(right)))
    found: list[bool] = []
    present: list[float] = []
    absent: list[float] = []
    for _ in range(rounds):
        units, lines, which = titled(halves[1], rng)
        titles = screen.Titles(units)
        for line, title in zip(lines, which, strict=True):
            near = titles.near(line)
            p = calibration.probability(titles.features(line, near)) if near else np.zeros(1)
            (present if title >= 0 else absent).append(float(p.max()))
            if title >= 0:
                found.append(bool(near) and near[int(p.argmax())] == title and p.max() >= 0.5)
    return calibration, float(np.mean(found)), auroc_of(present, absent)


# --- all of it ------------------------------------------------------------------------------------------------


SEEN_WHILE_SAID = 0.3  # share of what is said in instructional videos that can be seen at all (Han et al. 2022)


def fit_together(videos: Sequence[IndexedVideo], matcher: PictureMatcher, seed: int = 3) -> float:
    """How far pictures tell where a line is said: `FusionConfig.together` of greatest likelihood.

    A line that is shown is said at a random time while it is, and the lines that are shown nowhere count as much as
    they do among what people say.
    """
    rng = np.random.default_rng(seed)
    lifts: dict[bool, list[float]] = {True: [], False: []}
    for video in videos:
        script = Script(tuple(Line(text) for text in video.texts), "txt")
        seconds = video.index.shots[-1].end_seconds
        for candidates, spans in zip(candidates_in(script, video.index, matcher), video.spans, strict=True):
            span = spans[int(rng.integers(len(spans)))] if spans else Span(0.0, seconds)
            now = float(rng.uniform(span.start_seconds, span.end_seconds))
            lifts[bool(spans)].append(sum(c.score * seconds / c.span.seconds for c in candidates if now in c.span))
    shown, absent = (np.array(lifts[is_shown]) for is_shown in (True, False))
    tried = np.linspace(0.0, 0.95, 20)

    def log_likelihood(together: float) -> float:
        seen, unseen = (float(np.log(together * lift + 1 - together).mean()) for lift in (shown, absent))
        return SEEN_WHILE_SAID * seen + (1 - SEEN_WHILE_SAID) * unseen

    return round(float(max(tried.tolist(), key=log_likelihood)), 2)


def fit_sharpness(videos: Sequence[IndexedVideo], matcher: PictureMatcher) -> FusionConfig:
    """The sharpness whose confidences, in order, are nearest to the truth."""
    tried = [FusionConfig(sharpness=s) for s in (0.4, 0.55, 0.7, 0.85, 1.0)]
    return min(tried, key=lambda config: measure(truths_of(videos, matcher, config)).error)


def main() -> None:
    """Fit, measure on the other half, print, and write if asked to."""
    from tvu.video_llm.encode import Lite0Encoder
    from tvu.video_llm.scout.narrated import read_script
    from tvu.video_llm.scout.visual import class_glosses, usual_features
    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.video_llm.training.aligner import is_held_out
    from tvu.video_llm.training.aligner_videos import IndexedVideos, SceneConfig, class_texts
    from tvu.weights.load import located

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aligner", type=Path, help="weights other than those that ship")
    parser.add_argument("--videos", type=int, default=240, help="feature videos; half fit, half measure")
    parser.add_argument("--write", action="store_true", help="write the constants into the package")
    parser.add_argument("--out", type=Path, default=OUT, help="or into this file")
    options = parser.parse_args()
    encoder, sentences = Lite0Encoder(), SentenceEncoder()
    usual = usual_features(located(encoder.weights_name))
    remembered = Remembered(sentences)
    aligner = load_aligner(options.aligner) if options.aligner else picture.shipped_aligner()
    texts = class_texts(encoder.class_names, class_glosses(), sentences)
    held_out = np.flatnonzero(is_held_out(len(encoder.class_names))).astype(np.int64)
    source = IndexedVideos(encoder.classifier, texts, held_out, SceneConfig())
    rng = np.random.default_rng(11)
    videos = [in_order(source.draw(rng)) for _ in range(options.videos)]
    fitting, measuring = videos[0::2], videos[1::2]
    table: dict[str, object] = {}

    def matched(by: object, calibration: PictureCalibration | None) -> PictureMatcher:
        return PictureMatcher(encoder, remembered, usual, by, calibration=calibration)  # type: ignore[arg-type]

    best: PictureMatcher | None = None
    fitters: list[tuple[str, object]] = [("visual-zero-shot", None)] + ([("visual", aligner)] if aligner else [])
    for name, by in fitters:
        calibration = fit_picture(fitting, matched(by, PictureCalibration(0.0, (0.0,) * len(picture.FEATURES))))
        scales = {"zero_shot": calibration.zero_shot, "trained": calibration.trained}
        table[name] = _told(calibration, picture.FEATURES) | scales
        best = matched(by, calibration)
        print(f"{name:18} free      {measure(truths_of(measuring, best, None))}", flush=True)
    assert best is not None
    together = fit_together(fitting, best)
    fusion = replace(fit_sharpness(fitting[::2], best), together=together)
    print(f"{'':18} together  {together}")
    print(f"{'':18} in order  {measure(truths_of(measuring, best, fusion))}   sharpness {fusion.sharpness}")
    script = read_script()
    titles = [line.text for line in (*script.titles, *script.spoken)]
    written, found, ranked = fit_screen(titles, seed=5)
    print(f"{'screen-text':18} found {100 * found:.1f} %   AUROC {100 * ranked:.1f}")
    table |= {"screen-text": _told(written, screen.FEATURES), "fusion": asdict(fusion)}
    print(json.dumps(table, indent=2))
    if options.write:
        known = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
        options.out.write_text(json.dumps(known | table, indent=2) + "\n", "utf-8")


def _told(calibration: PictureCalibration | screen.ScreenCalibration, names: Sequence[str]) -> dict[str, object]:
    return {"intercept": calibration.intercept, "weights": dict(zip(names, calibration.weights, strict=True))}


if __name__ == "__main__":
    main()
