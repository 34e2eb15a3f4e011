"""Fit and measure the visual channel: `python -P -m tvu.video_llm.scout.calibrate NEEDLES_DIR [--preds FILE]
[--write]`.

NEEDLES_DIR holds `*_gt.json` and the videos they name. The calibration used on a clip's questions never saw that
clip, nor on an absent question that question; what ships is fitted on all of them and written into the package with
--write. `--preds` writes the held-out predictions, one JSON object a line, for the kit's `evaluate.py`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.metrics import auroc_of
from tvu.temporal.spans import iou
from tvu.temporal.types import Span
from tvu.video_llm.decode import open_video
from tvu.video_llm.encode import Lite0Encoder
from tvu.video_llm.logistic import fit_logistic
from tvu.video_llm.scout.query import Router
from tvu.video_llm.scout.visual import (
    ClassLogitScorer,
    VisualCalibration,
    VisualCandidate,
    build_visual_index,
    score_visual,
    usual_features,
)
from tvu.video_llm.sentence import SentenceEncoder
from tvu.weights.load import located

OUT = Path(__file__).with_name("visual_calibration.json")
FOLDS = 8
RIDGE = 1.0  # on standardised features; a handful of questions repeat many times
SHOWN = 4  # candidates of a question that the fit looks at
_RAW = VisualCalibration(0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Asked:
    """One question about one video with its candidates, best first; `spans` is empty where nothing answers it."""

    group: str  # the ground-truth file's name
    video: str
    query: str
    clip: str
    spans: tuple[Span, ...]
    candidates: tuple[VisualCandidate, ...]

    def is_right(self, candidate: VisualCandidate) -> bool:
        """Whether `candidate` overlaps an answer by half."""
        return any(iou(candidate.span, s) >= 0.5 for s in self.spans)


def ask_all(folder: Path) -> list[Asked]:
    """Every question of every ground-truth file in `folder`, with uncalibrated candidates."""
    encoder, sentences = Lite0Encoder(), SentenceEncoder()
    scorer = ClassLogitScorer(encoder, sentences, usual_features(located(encoder.weights_name)))
    router = Router(sentences)
    asked = []
    for truth in sorted(folder.glob("*_gt.json")):
        for video in json.loads(truth.read_text("utf-8"))["videos"]:
            index = build_visual_index(open_video(folder / video["file"]), encoder)
            for question in [*video["queries"], *video["absent"]]:
                spans = tuple(Span(*s) for s in question.get("spans", []))
                candidates, _ = score_visual(index, question["query"], scorer, router, _RAW)
                candidates.sort(key=lambda c: -c.features["score"])
                clip = question.get("clip", "")
                asked.append(Asked(truth.stem, video["file"], question["query"], clip, spans, tuple(candidates)))
    return asked


def fit(asked: Sequence[Asked]) -> VisualCalibration:
    """Logistic regression of "this candidate is right" on its score and gap, by Newton's method."""
    shown = [(a, c) for a in asked for c in a.candidates[:SHOWN]]
    x = np.array([[c.features["score"], c.features["gap"]] for _, c in shown])
    y = np.array([float(a.is_right(c)) for a, c in shown])
    return VisualCalibration(*(round(float(value), 4) for value in fit_logistic(x, y, ridge=RIDGE)))


def folds(asked: Sequence[Asked]) -> NDArray[np.int64]:
    """A fold for each question: that of its clip; an absent question that is another clip's goes with that clip."""
    clips = sorted({a.clip for a in asked if a.spans})
    home = {a.query: clips.index(a.clip) for a in asked if a.spans}
    strange = sorted({a.query for a in asked} - home.keys())
    home |= {query: i for i, query in enumerate(strange)}
    return np.array([home[a.query] % FOLDS for a in asked])


def main() -> None:
    """Fit, measure with every clip held out in turn, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("needles", type=Path)
    parser.add_argument("--preds", type=Path, help="write the held-out predictions here")
    parser.add_argument("--write", action="store_true", help="write the calibration into the package")
    options = parser.parse_args()
    asked = ask_all(options.needles)
    fold = folds(asked)
    held_out = [fit([a for a, f in zip(asked, fold, strict=True) if f != k]) for k in range(FOLDS)]
    rows, tops, right = [], [], []
    for a, k in zip(asked, fold, strict=True):
        scored = [
            (c.features["pictures"] * float(held_out[k].probability(c.features["score"], c.features["gap"])), c)
            for c in a.candidates
        ]
        scored.sort(key=lambda pair: -pair[0])
        tops.append(scored[0][0])
        right.append(a.is_right(scored[0][1]))
        spans = [
            {"start_seconds": c.span.start_seconds, "end_seconds": c.span.end_seconds, "score": p} for p, c in scored
        ]
        rows.append(json.dumps({"video": a.video, "query": a.query, "groundings": spans}))
    if options.preds:
        options.preds.write_text("\n".join(rows) + "\n", "utf-8")
    for name in (*sorted({a.group for a in asked}), "all"):
        chosen = [i for i, a in enumerate(asked) if name in (a.group, "all")]
        present = [i for i in chosen if asked[i].spans]
        absent = [i for i in chosen if not asked[i].spans]
        found = 100 * np.mean([right[i] for i in present])
        ranked = 100 * auroc_of([tops[i] for i in present], [tops[i] for i in absent])
        counts = f"({len(present)} present, {len(absent)} absent)"
        print(f"{name:8} R@1 IoU 0.5 {found:5.1f} %   abstention AUROC {ranked:5.1f}   {counts}")
    for low in np.arange(0, 1, 0.2):
        inside = [i for i, p in enumerate(tops) if low <= p < low + 0.2]
        if inside:
            share = 100 * np.mean([right[i] for i in inside])
            print(f"told {low:.1f}-{low + 0.2:.1f}: {len(inside):4d} answers, {share:5.1f} % right")
    calibration = fit(asked)
    print(f"fitted on all: {calibration}")
    if options.write:
        table = json.loads(OUT.read_text("utf-8")) if OUT.exists() else {}
        table[ClassLogitScorer.name] = asdict(calibration)
        OUT.write_text(json.dumps(table, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
