"""Dense captions against the truth, as the scripts of VTG-LLM and TimeSuite score them, after those of Vid2Seq."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.benchmarks.caption_data import (
    CaptionedVideo,
    TimedCaption,
    read_predicted_captions,
    read_true_captions,
)
from tvu.video_llm.benchmarks.cider import corpus_cider
from tvu.video_llm.benchmarks.meteor import PACKAGE, JavaTools, Meteor, find_java_tools
from tvu.video_llm.benchmarks.soda import soda_c
from tvu.video_llm.benchmarks.tokens import letters_only, plain_words
from tvu.video_llm.benchmarks.types import Summary, Table
from tvu.video_llm.errors import BenchmarkError

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
SPLITS = {"train": 1, "val": 2, "test": 3}
_UNMATCHED = "qxzjvkwqxzjvk"  # stands for the truth of a prediction that met none: no word, so it matches nothing


def score_youcook2(pred: Path, truth: Path) -> Summary:
    """Dense captions of YouCook2 as the published script scores them; see `score_captions` and `read_true_captions`.

    Of the truth's file name only the text before the first dot matters, and only for the name of SODA_c: `SODA_c_1` for
    `train`, `SODA_c_3` for `test`, and `SODA_c_2` for `val` and for every other name, with which the script stops.
    Raises BenchmarkError for files that are not in their format or do not belong together, and BackendError if Java is
    there and fails.
    """
    return score_captions(read_true_captions(truth), read_predicted_captions(pred), find_java_tools(), split_of(truth))


def score_activitynet_dense(pred: Path, truth: Path) -> Summary:
    """Dense captions of ActivityNet by the same script, against one set of references, like `score_youcook2`.

    The older script (densevid_eval) takes both sets: the better precision and recall of the two, and the pairs of both.
    """
    return score_youcook2(pred, truth)


def split_of(truth: Path) -> int:
    """The number of a split from the name of its file."""
    return SPLITS.get(truth.name.split(".")[0], SPLITS["val"])


def score_captions(
    truths: Sequence[CaptionedVideo],
    predictions: Mapping[str, Sequence[TimedCaption]],
    tools: JavaTools | None,
    split: int = SPLITS["val"],
) -> Summary:
    """All metrics, in percent and means over videos unless said otherwise, rounded to four decimals.

    predictions: of any of the videos; one without is a video with no captions.
    tools:       None leaves out METEOR and SODA_c, which is made of it, and counts words by `plain_words` in
                 `CIDER (plain tokens)`; everything else is exact without them.

    - `Precision@t`, `Recall@t`: predictions, truths, with an IoU above t with any of the others. `F1_Score`: of the two
      after averaging over t, for each video.
    - `CIDER`, `METEOR`: for each t of every pair with an IoU of at least t, and of every prediction without a pair with
      a word that nobody writes; the corpus is one video. Then the mean over t. The published script draws random words
      instead of that one, which match as little.
    - `SODA_c_2`: of split 2. Like the published script, METEOR takes the predictions as references there, and of more
      than ten in a video their scores stand in the order of their numbers as text (0, 1, 10, 11, 2).
    - `Para_CIDER`, `Para_METEOR`: a video is one text, the corpus all of them; like the published script, a video that
      is missing shifts every pair after it.
    - `n_preds`: predictions a video, no percentage.

    Raises BenchmarkError if the predictions are all of other videos.
    """
    if predictions and not any(video.id in predictions for video in truths):
        raise BenchmarkError(
            f"the predictions are for videos like {next(iter(predictions))!r}, the truth for {truths[0].id!r}",
            hint="predictions name videos exactly as the truth does, with the file ending if it has one",
        )
    with Meteor(tools) if tools else nullcontext() as meteor:  # it loads its table while words are told apart
        videos = _in_words(truths, predictions, tools)
        each = [_score_spans(video.iou) | _score_words(video, split, meteor) for video in videos]
        paragraphs = _score_paragraphs(truths, predictions, meteor)
    numbers: dict[str, float | int | None] = {
        _label(name, tools): round(100 * sum(of_one[name] for of_one in each) / len(each), 4) for name in each[0]
    }
    numbers |= {name: round(100 * value, 4) for name, value in paragraphs.items()}
    told = [predictions.get(video.id, ()) for video in truths]
    numbers["n_preds"] = round(sum(map(len, told)) / len(truths), 4)
    numbers["n_truths"] = round(sum(len(video.captions) for video in truths) / len(truths), 4)
    numbers["videos"] = len(truths)
    numbers["videos_missing"] = sum(video.id not in predictions for video in truths)
    rows = tuple((t, numbers[f"Precision@{t}"], numbers[f"Recall@{t}"]) for t in THRESHOLDS)
    table = Table("Spans", ("IoU above", "precision", "recall"), rows)
    return Summary(numbers, (table,), tuple(_notes(truths, predictions, tools)))


@dataclass(frozen=True)
class _Video:
    """iou: float64 `[G, P]`, of every true span with every predicted one. true, told: the words of their captions."""

    iou: NDArray[np.float64]
    true: Sequence[str]
    told: Sequence[str]

    def pairs(self, threshold: float) -> tuple[list[str], list[str]]:
        """References and captions of every pair that overlaps enough, and of every prediction that is in none."""
        references, captions = [], []
        for place, words in enumerate(self.told):
            met = np.flatnonzero(self.iou[:, place] >= threshold).tolist()
            references += [self.true[at] for at in met] or [_UNMATCHED]
            captions += [words] * max(1, len(met))
        return references, captions


def _in_words(
    truths: Sequence[CaptionedVideo], predictions: Mapping[str, Sequence[TimedCaption]], tools: JavaTools | None
) -> list[_Video]:
    told = [predictions.get(video.id, ()) for video in truths]
    true = [video.captions for video in truths]
    texts = [caption.text for of_one in (*told, *true) for caption in of_one]
    words = iter(tools.penn_words(texts) if tools else map(plain_words, texts))
    told_words = [list(islice(words, len(of_one))) for of_one in told]
    true_words = [list(islice(words, len(of_one))) for of_one in true]
    matrices = map(_iou_matrix, true, told)
    return [_Video(*of_one) for of_one in zip(matrices, true_words, told_words, strict=True)]


def _iou_matrix(true: Sequence[TimedCaption], told: Sequence[TimedCaption]) -> NDArray[np.float64]:
    """`[G, P]`, spans put in order first, by the shorter of hull and sum of lengths as the published script has it."""
    a, b = (np.sort(np.array([caption[:2] for caption in side]).reshape(-1, 2)) for side in (true, told))
    (start, end), (other_start, other_end) = a.T[:, :, None], b.T[:, None, :]
    both = np.maximum(0.0, np.minimum(end, other_end) - np.maximum(start, other_start))
    hull = np.maximum(end, other_end) - np.minimum(start, other_start)
    return both / (np.minimum(hull, end - start + other_end - other_start) + 1e-8)


def _score_spans(iou: NDArray[np.float64]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for threshold in THRESHOLDS:
        met = iou > threshold
        scores[f"Precision@{threshold}"] = float(met.any(0).mean()) if met.size else 0.0
        scores[f"Recall@{threshold}"] = float(met.any(1).mean())
    precision, recall = (
        sum(scores[f"{side}@{threshold}"] for threshold in THRESHOLDS) / len(THRESHOLDS)
        for side in ("Precision", "Recall")
    )
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return scores | {"Precision_Mean": precision, "Recall_Mean": recall, "F1_Score": f1}


def _score_words(video: _Video, split: int, meteor: Meteor | None) -> dict[str, float]:
    met = [video.pairs(threshold) for threshold in THRESHOLDS]
    cider = [corpus_cider(captions, [[reference] for reference in references]) for references, captions in met]
    scores = {"CIDER": sum(cider) / len(cider)}
    if meteor is not None:
        scores["METEOR"] = sum(meteor.score_all(references, captions) for references, captions in met) / len(met)
        scores[f"SODA_c_{split}"] = soda_c(video.iou, _similarities(video, meteor))
    return scores


def _similarities(video: _Video, meteor: Meteor) -> NDArray[np.float64]:
    """METEOR `[G, P]`, in the published order of predictions; 0 is left where the spans do not overlap."""
    order = sorted(range(len(video.told)), key=str)
    true, told = np.nonzero(video.iou)
    scores = np.zeros_like(video.iou)
    references, captions = [video.told[order[at]] for at in told], [video.true[at] for at in true.tolist()]
    scores[true, told] = meteor.score_each(references, captions)
    return scores


def _score_paragraphs(
    truths: Sequence[CaptionedVideo], predictions: Mapping[str, Sequence[TimedCaption]], meteor: Meteor | None
) -> dict[str, float]:
    told = [". ".join(c.text for c in predictions[video.id]) for video in truths if video.id in predictions]
    true = [" ".join(caption.text for caption in video.captions) for video in truths[: len(told)]]
    captions, references = list(map(letters_only, told)), list(map(letters_only, true))
    scores = {"Para_CIDER": corpus_cider(captions, [[reference] for reference in references])}
    return scores if meteor is None else scores | {"Para_METEOR": meteor.score_all(references, captions)}


def _label(name: str, tools: JavaTools | None) -> str:
    return "CIDER (plain tokens)" if name == "CIDER" and tools is None else name


def _notes(
    truths: Sequence[CaptionedVideo], predictions: Mapping[str, Sequence[TimedCaption]], tools: JavaTools | None
) -> Iterator[str]:
    missing = sum(video.id not in predictions for video in truths)
    if missing:
        yield (
            f"{missing} of {len(truths)} videos have no predictions and count as 0; Para_CIDER and Para_METEOR pair "
            "texts of different videos after the first of them, as the published script does"
        )
    if unknown := len(predictions.keys() - {video.id for video in truths}):
        yield f"{unknown} videos of the predictions are not in the truth and were left out"
    if tools is None:
        yield (
            "METEOR and SODA_c were left out, and CIDEr counts words by a plain rule, so it is not the published one: "
            f"the published scores need Java and the package {PACKAGE}"
        )
