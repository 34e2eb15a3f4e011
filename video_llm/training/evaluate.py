"""How well predictions on held-out scenes are: `python -P -m tvu.video_llm.training.evaluate held_out.jsonl`."""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvu.temporal.metrics import auroc, best_iou, expected_calibration_error, mean_iou, recall_at
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.matching import option_told
from tvu.video_llm.questions import NO, YES
from tvu.video_llm.training.tasks import Sample

if TYPE_CHECKING:  # brings torch, which scores do not need
    from tvu.video_llm.training.predict import Predicted

Spans = list[tuple[float, float]]
Scores = dict[str, dict[str, float]]

LEAST_IOU = (0.3, 0.5, 0.7)
_HEADER = {"n": "questions", "r1@0.3": "R@1 .3", "r1@0.5": "R@1 .5", "r1@0.7": "R@1 .7", "miou": "mIoU"}


def score(predicted: Sequence["Predicted"], codec: TimeCodec | None = None) -> Scores:
    """Scores of every source and of `all` of them, shares in [0, 1]; a score without a question is left out.

    r1@…, miou:    the first span of the head, of what happens; for what happens several times any of these is right.
    found:         share of the true spans of what happens several times that one of as many spans has at an IoU of 0.5.
    text_r1@0.5:   the first span that the text tells, as `codec` writes it (None: LITA's tokens).
    absence_auroc: of the head's probability, what happens against what does not; present_ece: its calibration error.
    presence, counting, choice: share of right answers, judged or in words; choice_chance, what_next_chance: of random
                   ones.
    order, what_next: the same, where an answer is right that is nearer to one that says what is true than to every
                   wrong one, word by word in their order: one can say it in many ways.
    reasoning:     share of texts whose first span has an IoU of 0.5 with a true one.
    captions:      F1 of the captions of a video, mean over videos: one is right that has an IoU of 0.5 with a true one
                   and at least half of its words in their order. captions_chance: of those of another video of this
                   source instead.
    """
    sources = sorted({each.source for each in predicted})
    groups = {source: [each for each in predicted if each.source == source] for source in sources}
    return {name: _scores(group, codec or LitaTimeTokens()) for name, group in {**groups, "all": predicted}.items()}


def _scores(group: Sequence["Predicted"], codec: TimeCodec) -> dict[str, float]:
    scores: dict[str, float] = {"n": len(group)}
    asked = [each for each in group if each.sample.kind in ("moment", "moments") and each.sample.spans]
    if asked:
        truths = [_plain(each.sample.spans) for each in asked]
        heads: list[Spans] = [[(start, end) for start, end, _ in each.spans] for each in asked]
        texts = [spans_told(each.text, each.seconds, codec) for each in asked]
        scores["n_moments"] = len(asked)
        scores |= {f"r1@{least}": recall_at(heads, truths, least) for least in LEAST_IOU}
        scores["miou"] = mean_iou(heads, truths)
        scores["text_r1@0.5"] = recall_at(texts, truths, 0.5)
        _share(scores, "found", [_found(head, true) for head, true in zip(heads, truths, strict=True) if len(true) > 1])
    weighed = [each for each in group if each.sample.kind in ("moment", "moments", "absent")]
    _absence(scores, "absence_auroc", weighed)
    _absence(scores, "presence_auroc", [each for each in group if each.sample.kind == "presence"])
    known = [each for each in group if each.sample.is_present is not None]
    if known:
        told = [bool(each.sample.is_present) for each in known]
        scores["present_ece"] = expected_calibration_error([each.present for each in known], told)
    _share(scores, "presence", [_yes_or_no(each.answer) == each.sample.answer for each in _of_kind(group, "presence")])
    counted = _of_kind(group, "counting")
    _share(scores, "counting", [_words(each.answer) == _words(each.sample.answer) for each in counted])
    for kind in ("order", "what_next"):
        _share(scores, kind, [says_what_is_true(each.answer, each.sample) for each in _of_kind(group, kind)])
    following = _of_kind(group, "what_next")
    _share(scores, "what_next_chance", [1 / (1 + len(each.sample.wrong)) for each in following])
    choices = _of_kind(group, "choice")
    _share(scores, "choice", [option_told(each.answer, each.sample.choices) == each.sample.correct for each in choices])
    _share(scores, "choice_chance", [1 / len(each.sample.choices) for each in choices])
    reasoned = [
        (spans_told(each.text, each.seconds, codec)[:1], _plain(each.sample.spans))
        for each in _of_kind(group, "reasoning")
    ]
    _share(scores, "reasoning", [bool(first) and best_iou(first[0], true) >= 0.5 for first, true in reasoned])
    captioned = _of_kind(group, "caption")
    true_captions = [captions_told(each.sample.answer, each.seconds, codec) for each in captioned]
    written = [captions_told(each.text, each.seconds, codec) for each in captioned]
    _share(scores, "captions", map(captions_f1, written, true_captions))
    _share(scores, "captions_chance", map(captions_f1, _of_others(captioned, written), true_captions))
    return scores


def _of_others(captioned: Sequence["Predicted"], written: Sequence[list["Caption"]]) -> Iterator[list["Caption"]]:
    """For each the captions of the next that is about another video of its source; its own where there is none."""
    for place, each in enumerate(captioned):
        turned = [*range(place + 1, len(captioned)), *range(place)]
        of_source = (i for i in turned if captioned[i].source == each.source)
        yield written[next((i for i in of_source if captioned[i].sample.answer != each.sample.answer), place)]


def captions_f1(told: Sequence["Caption"], true: Sequence["Caption"]) -> float:
    """Twice the captions that are right over all that are told and true; of one caption at most one is right."""
    left = list(true)
    for span, words in told:
        fits = [each for each in left if best_iou(span, [each[0]]) >= 0.5 and _nearness(words, each[1]) >= 0.5]
        if fits:
            left.remove(fits[0])
    return 2 * (len(true) - len(left)) / max(1, len(told) + len(true))


def says_what_is_true(text: str, sample: Sample) -> bool:
    """Whether a text is nearer to an answer that is right than to every one that is wrong; without wrong ones, whether
    it is the right one."""
    told = _words(text)
    right = max(_nearness(told, _words(each)) for each in (sample.answer, *sample.right))
    return right > max((_nearness(told, _words(each)) for each in sample.wrong), default=1 - 1e-9)


def _nearness(a: list[str], b: list[str]) -> float:
    """Twice the words that two texts share in the same order, over all of them, in [0, 1]."""
    return SequenceMatcher(None, a, b, autojunk=False).ratio()


def spans_told(text: str, seconds: float, codec: TimeCodec) -> Spans:
    """The spans that a text tells as a codec writes them, in order; what else the text says is passed over."""
    return [span for span, _, _ in _spans_in(text, seconds, codec)]


Caption = tuple[tuple[float, float], list[str]]
"""Start and end, of a video from 0 to 1, and the words."""


def captions_told(text: str, seconds: float, codec: TimeCodec) -> list[Caption]:
    """The captions that a text tells: two times, and the words up to the next."""
    found = _spans_in(text, seconds, codec)
    ends = [*(start for _, start, _ in found[1:]), len(text)][: len(found)]
    time = "|".join(map(re.escape, codec.added_tokens)) or r"\Z"
    return [
        ((span[0] / seconds, span[1] / seconds), _words(re.split(time, text[first:last], maxsplit=1)[0]))
        for (span, _, first), last in zip(found, ends, strict=True)
    ]


def _spans_in(text: str, seconds: float, codec: TimeCodec) -> list[tuple[tuple[float, float], int, int]]:
    """Spans, and where in the text each begins and ends."""
    if not codec.added_tokens:
        numbers = re.finditer(r"(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)", text)
        told = [((float(each[1]), float(each[2])), each.start(), each.end()) for each in numbers]
        return [each for each in told if each[0][0] < each[0][1] <= seconds + 1e-6]
    token = f"(?:{'|'.join(map(re.escape, codec.added_tokens))})"
    length = len(re.findall(token, codec.encode(0.0, seconds)))
    one = rf"{token}(?:\s*{token}){{{length - 1}}}"
    found = []
    for pair in re.finditer(rf"({one})\s*-?\s*({one})", text):
        try:
            start, end = (codec.decode(each, seconds) for each in pair.groups())
        except ValueError:  # a number of seconds that this video does not have
            continue
        if start < end:
            found.append(((start, end), pair.start(), pair.end()))
    return found


def table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Scores as text: a line for each, a column for each source; shares in per cent."""
    names = list(dict.fromkeys(name for column in scores.values() for name in column))
    left = max([*map(len, map(_label, names)), 8])
    widths = [max(8, len(source)) for source in scores]
    lines = [" ".join([" " * left, *(source.rjust(width) for source, width in zip(scores, widths, strict=True))])]
    for name in names:
        cells = [_cell(name, column.get(name)) for column in scores.values()]
        told = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append(" ".join([_label(name).ljust(left), *told]))
    return "\n".join(lines)


def read(path: Path) -> list["Predicted"]:
    """What `predict.keep` wrote."""
    from tvu.video_llm.training.predict import Predicted

    found = []
    for line in path.read_text("utf-8").splitlines():
        told: dict[str, Any] = json.loads(line)
        sample = told["sample"]
        spans = tuple(Span(**each) for each in sample["spans"])
        lists = {name: tuple(sample.get(name, ())) for name in ("choices", "right", "wrong")}
        sample = Sample(**{**sample, **lists, "spans": spans})
        found.append(Predicted(**{**told, "sample": sample, "spans": tuple(map(tuple, told["spans"]))}))
    return found


def _absence(scores: dict[str, float], name: str, group: Sequence["Predicted"]) -> None:
    labels = [bool(each.sample.is_present) for each in group]
    if True in labels and False in labels:
        scores[name] = auroc([each.present for each in group], labels)


def _share(scores: dict[str, float], name: str, values: Iterable[float]) -> None:
    told = list(values)
    if told:
        scores[name] = sum(told) / len(told)


def _of_kind(group: Sequence["Predicted"], kind: str) -> list["Predicted"]:
    return [each for each in group if each.sample.kind == kind]


def _found(head: Spans, true: Spans) -> float:
    return sum(best_iou(span, head[: len(true)]) >= 0.5 for span in true) / len(true)


def _plain(spans: Iterable[Span]) -> Spans:
    return [(span.start_seconds, span.end_seconds) for span in spans]


def _yes_or_no(text: str) -> str | None:
    return next((word for word in (YES, NO) if text.strip().lower().startswith(word.lower())), None)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _label(name: str) -> str:
    return _HEADER.get(name, name.replace("_", " "))


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name.startswith("n"):
        return f"{value:.0f}"
    return f"{value:.3f}" if name.endswith(("auroc", "ece")) else f"{100 * value:.1f}"


def main() -> None:
    """Print the table of a file of predictions."""
    parser = argparse.ArgumentParser(description="Scores of predictions on held-out scenes.")
    parser.add_argument("predictions", type=Path, help="held_out.jsonl of a training run")
    print(table(score(read(parser.parse_args().predictions))))


if __name__ == "__main__":
    main()
