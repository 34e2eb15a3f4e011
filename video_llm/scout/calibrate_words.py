"""Fit and measure the two channels of words: `python -P -m tvu.video_llm.scout.calibrate_words NEEDLES_DIR [--work
DIR] [--write]`.

NEEDLES_DIR holds silent real videos (*.mp4). Each gets a narration and titles from one half of the script, everything
is transcribed and
read as in use, and the logistic regression fitted on one half is measured on the other: no sentence, title or
question is in both. What
ships is fitted on both halves together and written into the package with --write. `--work` keeps the videos and what
was heard and read.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.spans import iou
from tvu.temporal.types import Span
from tvu.video_llm.logistic import fit_logistic, fit_signed, signs_of
from tvu.video_llm.scout.match import (
    FEATURES,
    SPEAK_AGAINST,
    SPEAK_FOR,
    Sentences,
    WordCalibration,
    WordIndex,
    features_of,
)
from tvu.video_llm.scout.narrated import Placed, Script
from tvu.video_llm.types import Evidence

ABSENT_PER_VIDEO = 8  # of each kind: asked of another half's videos, about pictures, about the other channel
OUT = Path(__file__).with_name("words_calibration.json")


@dataclass(frozen=True)
class Asked:
    """One question about one video; `answers` is empty where nothing in this channel answers it."""

    query: str
    answers: tuple[Span, ...]


@dataclass(frozen=True)
class Case:
    """One video as a channel sees it, and what is asked of it, with the features `[U, len(FEATURES)]` of each
    question."""

    index: WordIndex
    asked: tuple[Asked, ...]
    features: tuple[NDArray[np.float64], ...]

    @classmethod
    def of(cls, index: WordIndex, asked: tuple[Asked, ...], sentences: Sentences) -> "Case":
        """The case with its features computed."""
        return cls(index, asked, tuple(features_of(index, a.query, sentences) for a in asked))


def questions(
    placed: Sequence[Placed], own: Sequence[str], script: Script, other: Sequence[str], rng: np.random.Generator
) -> tuple[Asked, ...]:
    """Every question that a placed line answers, and as many that nothing answers.

    own: unanswerable questions that address this channel; other: questions that the other channel answers.
    """
    spans: dict[str, tuple[Span, ...]] = {}
    for p in placed:
        for question in p.line.questions:
            spans[question] = (*spans.get(question, ()), p.span)
    elsewhere = [q for q in own if q not in spans]
    absent = [
        str(q)
        for pool in (elsewhere, script.visual, other)
        for q in rng.choice(pool, min(ABSENT_PER_VIDEO, len(pool)), replace=False)
    ]
    return tuple(Asked(q, s) for q, s in spans.items()) + tuple(Asked(q, ()) for q in absent)


@dataclass(frozen=True)
class Measured:
    """Of one channel on questions it was not fitted on: shares in [0, 1]; `errors` are calibration measures of the
    top candidate."""

    questions: int
    absent: int
    recall: dict[float, float]
    mean_iou: float
    auroc: float
    brier: float
    calibration_error: float
    found: float
    false_alarms: float

    def __str__(self) -> str:
        recall = "/".join(f"{100 * r:.1f}" for r in self.recall.values())
        return (
            f"{self.questions} questions: R@1 .3/.5/.7 {recall}, mIoU {100 * self.mean_iou:.1f}, "
            f"above 0.5 {100 * self.found:.1f} %; {self.absent} absent: above 0.5 {100 * self.false_alarms:.1f} %, "
            f"AUROC {100 * self.auroc:.1f}; Brier {self.brier:.3f}, ECE {self.calibration_error:.3f}"
        )


def fit(cases: Sequence[Case]) -> WordCalibration:
    """A logistic regression over all candidates, then rescaled so that the best candidate of a question has the right
    probability."""
    asked = [
        (x, np.array([_best_iou(u.span, a.answers) >= 0.5 for u in case.index.units], float))
        for case in cases
        if case.index.units
        for a, x in zip(case.asked, case.features, strict=True)
    ]
    coefficients = fit_signed(
        np.concatenate([x for x, _ in asked]),
        np.concatenate([y for _, y in asked]),
        signs_of(FEATURES, SPEAK_FOR, SPEAK_AGAINST),
    )
    tops = []
    for x, y in asked:
        logit = x @ coefficients[1:] + coefficients[0]
        best = int(logit.argmax())
        tops.append((logit[best], y[best]))
    logits, right = np.array(tops).T
    shift, scale = fit_logistic(logits[:, None], right, ridge=1e-3)
    return WordCalibration(float(scale * coefficients[0] + shift), tuple((scale * coefficients[1:]).tolist()))


def _best_iou(span: Span, answers: Sequence[Span]) -> float:
    return max((iou(span, a) for a in answers), default=0.0)


def measure(cases: Sequence[Case], calibration: WordCalibration) -> Measured:
    """How a calibration does on `cases`."""
    present, overlaps, absent, right = [], [], [], []
    for case in cases:
        for asked, features in zip(case.asked, case.features, strict=True):
            p = calibration.probability(features)
            best = int(p.argmax()) if len(p) else -1
            overlap = _best_iou(case.index.units[best].span, asked.answers) if len(p) else 0.0
            score = float(p[best]) if len(p) else 0.0
            if asked.answers:
                present.append(score)
                overlaps.append(overlap)
            else:
                absent.append(score)
            right.append((score, float(overlap >= 0.5)))
    a, b, o = np.array(present), np.array(absent), np.array(overlaps)
    score, truth = np.array(right).T
    bins = np.minimum((score * 10).astype(int), 9)
    ece = sum(abs(score[bins == k].mean() - truth[bins == k].mean()) * (bins == k).mean() for k in set(bins.tolist()))
    return Measured(
        len(a),
        len(b),
        {t: float((o >= t).mean()) for t in (0.3, 0.5, 0.7)},
        float(o.mean()),
        float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean()),
        float(((score - truth) ** 2).mean()),
        float(ece),
        float((a >= 0.5).mean()),
        float((b >= 0.5).mean()),
    )


def heard_and_read(path: Path, sentences: Sentences) -> tuple[WordIndex, WordIndex]:
    """The speech and the screen text of a video, as in use."""
    from tvu.video_llm.decode import open_video
    from tvu.video_llm.media.sound import sound_windows
    from tvu.video_llm.sample import SamplingConfig, sample_frames
    from tvu.video_llm.scout.screen_text import index_screen_text, read_screen_text
    from tvu.video_llm.scout.speech import Transcript, index_speech, transcribe
    from tvu.weights.load import located

    clip = open_video(path)
    model = located("whisper-tiny.en")
    transcript = Transcript.joined([transcribe(sound, model) for sound in sound_windows(clip)])
    read = read_screen_text(sample_frames(clip, SamplingConfig(fps=4.0, max_side=400)))
    return index_speech(transcript, sentences), index_screen_text(read, sentences)


def build_cases(
    sources: Sequence[Path], script: Script, work: Path, sentences: Sentences, *, seed: int
) -> dict[Evidence, list[Case]]:
    """Narrate and title each source from `script`, recognise both, and ask each channel its questions and what it
    cannot answer."""
    from tvu.video_llm.scout.narrated import build_narrated

    rng = np.random.default_rng(seed)
    spoken = [q for line in script.spoken for q in line.questions]
    titled = [q for line in script.titles for q in line.questions]
    cases: dict[Evidence, list[Case]] = {"speech": [], "screen-text": []}
    for made in build_narrated(sources, script, work, seed=seed):
        speech, read = heard_and_read(made.path, sentences)
        pools = {
            "speech": [*spoken, *script.absent_speech * 3],  # so that each kind of absence is asked about as often
            "screen-text": [*titled, *script.absent_titles * 3],
        }
        cases["speech"].append(Case.of(speech, questions(made.spoken, pools["speech"], script, titled, rng), sentences))
        cases["screen-text"].append(
            Case.of(read, questions(made.titles, pools["screen-text"], script, spoken, rng), sentences)
        )
        print(f"{made.path.name}: {len(made.spoken)} sentences, {len(made.titles)} titles", file=sys.stderr)
    return cases


def main() -> None:
    """Build, fit, measure, print; write with --write."""
    from tvu.video_llm.scout.narrated import read_script
    from tvu.video_llm.sentence import SentenceEncoder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("needles", type=Path, metavar="NEEDLES_DIR")
    parser.add_argument("--work", type=Path, help="keep the videos here")
    parser.add_argument("--videos", type=int, default=12, help="for each half of the script (12)")
    parser.add_argument("--write", action="store_true", help=f"write {OUT.name}")
    options = parser.parse_args()
    found = sorted(options.needles.glob("*.mp4"))
    if not found:
        parser.error(f"no *.mp4 in {options.needles}")
    sources = [found[i % len(found)] for i in range(options.videos)]
    sentences = SentenceEncoder()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        halves = [build_cases(sources, read_script().half(h), work, sentences, seed=h) for h in (0, 1)]
    table = {}
    channels: tuple[Evidence, ...] = ("speech", "screen-text")
    for channel in channels:
        print(channel)
        for fitted, held_out in ((0, 1), (1, 0)):
            calibration = fit(halves[fitted][channel])
            print(f"  fitted on half {fitted}: {measure(halves[held_out][channel], calibration)}")
        calibration = fit(halves[0][channel] + halves[1][channel])
        weights = {name: round(w, 4) for name, w in zip(FEATURES, calibration.weights, strict=True)}
        table[channel] = {"intercept": round(calibration.intercept, 4), "weights": weights}
        print(f"  fitted on both: {table[channel]}")
    if options.write:
        OUT.write_text(json.dumps(table, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
