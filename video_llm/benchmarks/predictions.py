"""Files of predictions of moments and highlights, in the layouts that published evaluations read."""

import json
from pathlib import Path
from typing import NamedTuple

from tvu.video_llm.benchmarks.json_files import is_number, read_json_lines, read_text
from tvu.video_llm.benchmarks.types import Json
from tvu.video_llm.errors import BenchmarkError

Entries = dict[str, Json] | list[tuple[str, Json]]


class Prediction(NamedTuple):
    """What a file tells of one query.

    query:     its id, a number as text.
    windows:   `[start, end]` or `[start, end, score]`, in the order listed, seconds; None where the file has none.
    saliency:  a score for each clip; None where the file has none.
    is_parsed: not where a layout that holds parsed text has no window.
    """

    query: str
    windows: list[list[float]] | None = None
    saliency: list[float] | None = None
    is_parsed: bool = True


def read_predictions(path: Path) -> list[Prediction]:
    """All predictions of a file, in its order; queries may come more than once. Two layouts are told apart:

    - of QVHighlights, JSON Lines or one list: `{"qid", "pred_relevant_windows", "pred_saliency_scores"}`, of which one
      of the last two may be missing;
    - of TimeChat, an object: `{id: {"timestamp": [[start, end], …]}}`, where an empty list is text without a time.

    The file may be gzipped, whatever its name. Raises BenchmarkError for anything else, naming the line or the key.
    """
    entries = read_entries(path)
    if isinstance(entries, dict):
        predictions = [_of_timechat(path, query, value) for query, value in entries.items()]
    else:
        predictions = [_of_qvhighlights(path, where, row) for where, row in entries]
    if not predictions:
        raise BenchmarkError(f"{path} has no predictions")
    return predictions


def read_entries(path: Path, key: str = "qid") -> Entries:
    """What a JSON file holds: an object as it is, unless it has `key`; of a list or lines each with its place.

    Raises BenchmarkError.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return [(f"line {number}", row) for number, row in read_json_lines(path)]
        what = f"is no JSON: {error}" if text.strip() else "is empty"
        raise BenchmarkError(f"{path} {what}", hint="is it cut off?") from error
    if isinstance(content, list):
        return [(f"entry {number}", row) for number, row in enumerate(content)]
    if isinstance(content, dict):
        return [("line 1", content)] if key in content else content
    raise BenchmarkError(f"{path} holds no predictions but {content!r:.60}")


def windows_of(path: Path, where: str, value: Json) -> list[list[float]]:
    """Windows as a file has them: all with a score, or none. Raises BenchmarkError."""
    if not isinstance(value, list):
        raise malformed(path, where, f"has no list of windows but {value!r:.60}")
    for window in value:
        if not (isinstance(window, list) and len(window) >= 2 and all(map(is_number, window[:3]))):
            raise malformed(path, where, f"has the window {window!r:.60}, not [start, end] or [start, end, score]")
    if len({len(window) > 2 for window in value}) > 1:
        raise malformed(path, where, "has windows with a score and others without")
    return [[float(number) for number in window[:3]] for window in value]


def query_of(path: Path, where: str, row: Json, key: str = "qid") -> str:
    """The id of a query, a text or a whole number. Raises BenchmarkError."""
    query = row.get(key) if isinstance(row, dict) else None
    if isinstance(query, bool) or not isinstance(query, int | str):
        raise malformed(path, where, f"has no {key!r}: {row!r:.60}")
    return str(query)


def _of_qvhighlights(path: Path, where: str, row: Json) -> Prediction:
    query = query_of(path, where, row)
    windows, saliency = row.get("pred_relevant_windows"), row.get("pred_saliency_scores")
    if windows is None and saliency is None:
        raise malformed(path, where, "has neither 'pred_relevant_windows' nor 'pred_saliency_scores'")
    if saliency is not None and not (isinstance(saliency, list) and all(map(is_number, saliency))):
        raise malformed(path, where, f"has no list of numbers in 'pred_saliency_scores': {saliency!r:.60}")
    return Prediction(query, None if windows is None else windows_of(path, where, windows), saliency)


def _of_timechat(path: Path, query: str, value: Json) -> Prediction:
    if not (isinstance(value, dict) and "timestamp" in value):
        raise malformed(path, f"key {query!r:.60}", f"has no 'timestamp': {value!r:.60}")
    windows = windows_of(path, f"key {query!r:.60}", value["timestamp"])
    return Prediction(query, windows, is_parsed=bool(windows))


def malformed(path: Path, where: str, what: str) -> BenchmarkError:
    """The error about an entry of a file of predictions; `what` goes on from its place."""
    return BenchmarkError(f"{path}, {where}, {what}", hint="`tvu bench list NAME` tells what the file has to look like")
