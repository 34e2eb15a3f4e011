"""Files of predicted moments scored against the official annotations, as the published scripts do."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tvu.temporal.time_tokens.harness_answers import timelens_span
from tvu.temporal.time_tokens.lita import STAMP, official_span
from tvu.video_llm.benchmarks import grounding
from tvu.video_llm.benchmarks.grounding import MomentRetrieval
from tvu.video_llm.benchmarks.grounding_summary import Numbers, percent
from tvu.video_llm.benchmarks.json_files import read_json
from tvu.video_llm.benchmarks.predictions import (
    Entries,
    Prediction,
    malformed,
    query_of,
    read_entries,
    read_predictions,
    windows_of,
)
from tvu.video_llm.benchmarks.types import Item, Json, Record, Response, Summary
from tvu.video_llm.benchmarks.video_files import stem_of
from tvu.video_llm.errors import BenchmarkError

UNTOLD = "have no prediction"

Predictions = Mapping[str, Json]
"""By the id of an item what was predicted, in the form of its benchmark; None for text without a time."""


def score_charades_sta(pred: Path, truth: Path) -> Summary:
    """Charades-STA with its spans as published: `R1@0.3` …, and `hits@0.0` …, how many queries reach an IoU.

    pred: see `read_predictions`. truth: the text file or TimeChat's JSON, whose queries are numbered from 0.
    Scores are of the queries that were predicted, like those of the published script with `--sample`; where some were
    not, those of all queries stand under `all/`. An empty prediction is a miss at any IoU. Raises BenchmarkError.
    """
    return _with_hits(_scored(grounding.charades_sta(), pred, truth))


def score_charades_sta_clamped(pred: Path, truth: Path) -> Summary:
    """The same against lighthouse's file, or spans that are cut at the durations told by a file beside the truth."""
    return _with_hits(_scored(grounding.charades_sta_clamped(), pred, truth))


def score_activitynet_captions(pred: Path, truth: Path) -> Summary:
    """ActivityNet Captions: queries are `VIDEO/NUMBER`, numbered from 0 in each video, or `qid` of lighthouse's file.

    pred: see `read_predictions`. Raises BenchmarkError.
    """
    return _scored(grounding.activitynet_captions(), pred, truth)


def score_spans(pred: Path, truth: Path) -> Summary:
    """Any truth in the form of QVHighlights; see `read_predictions`. Raises BenchmarkError."""
    return _scored(grounding.moments(), pred, truth)


def score_qvhighlights(pred: Path, truth: Path) -> Summary:
    """QVHighlights by its own metrics (`qvhighlights_scores`), of the queries that were predicted.

    That is what the official script does with `match_number=False`. Of a query that comes twice average precision takes
    all windows, everything else the last line, as there. Raises BenchmarkError.
    """
    told: dict[str, Json] = {}
    for each in read_predictions(pred):
        pooled = told.get(each.query, {}).get("pooled", [])
        fields = {"pred_relevant_windows": each.windows, "pred_saliency_scores": each.saliency}
        told[each.query] = {name: value for name, value in fields.items() if value is not None}
        told[each.query]["pooled"] = [*pooled, each.windows or []]
    summary = _summed(grounding.qvhighlights(), told, truth)
    return summary if any("pred_relevant_windows" in each for each in told.values()) else _of_highlights(summary)


def _of_highlights(summary: Summary) -> Summary:
    """Of a file that holds no moments."""
    numbers = {
        k: v for k, v in summary.numbers.items() if k.removeprefix("all/").startswith(("HL-", "n_")) and k != "n_absent"
    }
    tables = tuple(table for table in summary.tables if table.title.endswith("highlights"))
    note = "the file holds no windows: only highlights are scored"
    return replace(summary, numbers=numbers, tables=tables, notes=(*summary.notes[1:], note))


def score_activitynet_rtl(pred: Path, truth: Path) -> Summary:
    """ActivityNet-RTL: mIoU and P@0.5 per video, then over videos.

    pred: JSON Lines or a list of `{"question_id", "text"}`, text with its `<12.1> <30.5>` read as LITA does, or with
    `"timestamps": [[12.1, 30.5]]` instead. Text without two times is the whole video, as officially; LITA's own
    `answers.json` holds no times and cannot be scored. Raises BenchmarkError.
    """
    benchmark = grounding.activitynet_rtl()
    durations = {item.id: item.facts["duration"] for item in benchmark.read(truth)}
    told: dict[str, Json] = {}
    for where, row in _listed(pred, read_entries(pred, "question_id")):
        query = query_of(pred, where, row, "question_id")
        text = row.get("text")
        if "timestamps" in row:
            told[query] = windows_of(pred, where, row["timestamps"]) or None
        elif not isinstance(text, str):
            raise malformed(pred, where, "has neither 'text' nor 'timestamps'")
        elif len(STAMP.findall(text)) < 2 or query not in durations:
            told[query] = None
        else:
            told[query] = [list(official_span(text, durations[query])[1])]
    return _summed(benchmark, told, truth)


def score_nextgqa(pred: Path, truth: Path) -> Summary:
    """NExT-GQA: `Acc@GQA`, `mIoP`, `IoP@0.3` …, of the questions with a span, as the official script has them.

    pred: `{"VIDEO_QID": [start, end]}`, in seconds, or in shares of the video where the name of the file ends in
    `_gs.json`, as the authors' Gaussian masks give them, with the chosen options, `{"VIDEO_QID": {"prediction": 2}}`,
    in `test-res.json` beside it; or both in one, `{"VIDEO_QID": {"span": [start, end], "prediction": 2}}`. Without
    options the accuracies are None. truth: `gsub_test.json` or its folder, with `test.csv`. Raises BenchmarkError.
    """
    content = _object(pred)
    beside = pred.parent / "test-res.json"
    chosen = _object(beside) if beside.is_file() and beside != pred else {}
    benchmark = grounding.nextgqa()
    durations = {item.id: item.facts["duration"] for item in benchmark.read(truth)}
    are_shares = pred.name.removesuffix(".gz").endswith("_gs.json")
    told: dict[str, Json] = {}
    for query, value in content.items():
        where = f"key {query!r:.60}"
        one = value if isinstance(value, dict) else {"span": value}
        spans = windows_of(pred, where, [one["span"]]) if one.get("span") else []
        if are_shares:
            spans = [[round(share * durations.get(query, 0.0), 1) for share in span[:2]] for span in spans]
        other = chosen.get(query, {})
        choice = one.get("prediction", other.get("prediction") if isinstance(other, dict) else None)
        if choice is not None and (isinstance(choice, bool) or not isinstance(choice, int)):
            raise malformed(pred, where, f"has the option {choice!r:.20}, not its number from 0")
        told[query] = {"choice": choice, "spans": spans}
    summary = _summed(benchmark, told, truth)
    if any(each["choice"] is not None for each in told.values()):
        return summary
    numbers = {name: None if "Acc@" in name else value for name, value in summary.numbers.items()}
    note = "there are no options in the file, nor in a test-res.json beside it: only spans are scored"
    return replace(summary, numbers=numbers, notes=(*summary.notes, note))


def score_timelens(pred: Path, truth: Path) -> Summary:
    """TimeLens-Bench from its files of results: `{"VIDEO.mp4>>>QUERY>>>[start, end]": {"timestamps": [[…]]}}`.

    The file may be one object or one a line; a video is known by its name, with or without folder and ending.
    `answers`, text, is read as there where `timestamps` is missing; only the first span counts. truth: one of its
    annotations, or the folder of all. Raises BenchmarkError.
    """
    benchmark = grounding.timelens()
    ids = {(stem_of(item.video), item.question, tuple(item.truth[0])): item.id for item in benchmark.read(truth)}
    entries = read_entries(pred)
    rows = [("the file", entries)] if isinstance(entries, dict) else entries
    told: dict[str, Json] = {}
    for where, row in rows:
        if not isinstance(row, dict):
            raise malformed(pred, where, f"is no object: {row!r:.60}")
        for key, value in row.items():
            told[ids.get(_timelens_key(pred, key), key)] = _timelens_windows(pred, f"key {key!r:.60}", value)
    return _summed(benchmark, told, truth)


def _timelens_key(path: Path, key: str) -> tuple[str, str, tuple[float, ...]]:
    video, _, rest = key.partition(">>>")
    query, separator, told = rest.rpartition(">>>")
    try:
        span = ast.literal_eval(told)
        start, end = map(float, span[0] if len(span) == 1 else span)  # lmms-eval has it in a list
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        separator = ""
    if not separator:
        raise malformed(path, f"key {key!r:.60}", "is no VIDEO>>>QUERY>>>[start, end]")
    return stem_of(video), query, (start, end)


def _timelens_windows(path: Path, where: str, value: Json) -> Json:
    if isinstance(value, dict) and "timestamps" in value:
        return windows_of(path, where, value["timestamps"])[:1] or None
    if isinstance(value, dict) and isinstance(value.get("answers"), str):
        span = timelens_span(value["answers"])
        return [list(span)] if span else None
    raise malformed(path, where, f"has neither 'timestamps' nor 'answers': {value!r:.60}")


def _scored(benchmark: MomentRetrieval, pred: Path, truth: Path) -> Summary:
    """Windows of a file of predictions, of queries that come more than once the last."""
    return _summed(benchmark, {each.query: _windows(pred, each) for each in read_predictions(pred)}, truth)


def _windows(path: Path, prediction: Prediction) -> Json:
    if prediction.windows is None:
        raise malformed(path, f"query {prediction.query}", "has no 'pred_relevant_windows'")
    return prediction.windows if prediction.is_parsed else None


def _summed(benchmark: MomentRetrieval, told: Predictions, truth: Path) -> Summary:
    items = benchmark.read(truth)
    known = {item.id for item in items}
    if not known & told.keys():
        example = f"{next(iter(told), 'nothing')!r:.60}, and the truth has queries like {items[0].id!r:.60}"
        raise BenchmarkError(f"the predictions are of queries like {example}", hint="do the two files belong together?")
    records = [_record(benchmark, item, told[item.id]) for item in items if item.id in told]
    summary = benchmark.sum_up(items, records, absent=UNTOLD)
    strange = len(told.keys() - known)
    note = f"{strange} predictions are of queries that the truth does not have, and were left out"
    numbers = {("n_without_prediction" if k == "n_not_asked" else k): v for k, v in summary.numbers.items()}
    return replace(summary, numbers=numbers, notes=(*summary.notes, note) if strange else summary.notes)


def _record(benchmark: MomentRetrieval, item: Item, prediction: Json) -> Record:
    response = Response("unparsed" if prediction is None else "parsed", prediction)
    return Record.of(item, response, benchmark.judge(item, response), seconds=0.0)


def _with_hits(summary: Summary) -> Summary:
    """With the counts that the script of VTG-LLM prints; at an IoU of 0 every query that was understood is a hit."""
    run = int(summary.numbers["n_run"] or 0)
    understood = run - int(summary.numbers["n_unparsed"] or 0)
    hits: Numbers = {"R1@0.0": percent(understood, run), "hits@0.0": understood}
    for name, share in summary.numbers.items():
        if name.startswith("R1@") and share is not None:
            hits[f"hits@{name.removeprefix('R1@')}"] = round(share * run / 100)
    return replace(summary, numbers={**summary.numbers, **hits})


def _listed(path: Path, entries: Entries) -> Sequence[tuple[str, Json]]:
    if isinstance(entries, dict):
        raise BenchmarkError(f"{path} is one object, not a list or lines of them")
    return entries


def _object(path: Path) -> dict[str, Json]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path} is no JSON object of questions")
    return content
