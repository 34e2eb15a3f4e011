"""Labels: what somebody made of results, read back from a table or a time line that was corrected by hand."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tvu.temporal.timecode import parse_timecode
from tvu.temporal.types import Span
from tvu.video_llm.errors import ResultsError
from tvu.video_llm.results.one_video import one_line
from tvu.video_llm.results.otio import ACCEPTED, METADATA, REJECTED
from tvu.video_llm.results.tables import as_line, json_lines, read_text

VERDICTS = {
    "": None,
    **dict.fromkeys(("accept", "accepted", "yes", "true", "1"), True),
    **dict.fromkeys(("reject", "rejected", "no", "false", "0"), False),
}


@dataclass(frozen=True)
class Label:
    """A moment as somebody left it.

    video:       as the results named it. question: the query.
    span:        file seconds; None says that the video has no such moment.
    score:       what the model gave it, where that is still told.
    is_accepted: the verdict of whoever looked, None where there is none.
    """

    video: str
    question: str
    span: Span | None
    score: float | None = None
    is_accepted: bool | None = None

    def line(self) -> bytes:
        """A line of JSON in UTF-8, which `read_labels` reads; what is not known is left out."""
        told: dict[str, Any] = {"video": self.video, "question": self.question}
        if self.span is not None:
            told |= {
                "start_seconds": round(self.span.start_seconds, 3),
                "end_seconds": round(self.span.end_seconds, 3),
            }
        if self.score is not None:
            told["score"] = round(self.score, 4)
        if self.is_accepted is not None:
            told["verdict"] = "accept" if self.is_accepted else "reject"
        return as_line(told)


def read_labels(path: Path) -> list[Label]:
    """The labels of a file, by its suffix:

    - `.csv`: the table of results. Times may be corrected (`83.5`, `1:23.5`), lines deleted or added, and `verdict`
      filled with accept or reject. Only `video`, `question` (or `query`, `text`) and the times are needed, in any
      order; semicolons, decimal commas and a byte order mark, as spreadsheets write them, are read too.
    - `.otio`: the time line of results. Markers may be moved, stretched, deleted or added on clips; a marker that was
      made green is accepted, a red one rejected, and so says `verdict` in its `tvu` metadata.
    - `.jsonl`: rows of results, or labels as `Label.line` writes them; `.json`: one list of the same.

    A line without times is a label without a span, unless its row failed: such rows say nothing and are left out.
    Raises ResultsError, naming the line or the marker.
    """
    readers: dict[str, Callable[[Path], Iterator[Label]]] = {
        ".csv": _of_csv,
        ".otio": _of_otio,
        ".jsonl": lambda path: _of_json(path, ((f"line {number}", told) for number, told in json_lines(path))),
        ".json": lambda path: _of_json(path, _entries(path)),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ResultsError(f"no labels are read from {path}", hint=f"give a file that ends in {', '.join(readers)}")
    return list(reader(path))


def _of_csv(path: Path) -> Iterator[Label]:
    text = read_text(path)
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] | None = None
    first = 1
    try:
        for cells in lines:
            where, first = f"line {first}", lines.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = [name.strip().lower() for name in cells]
                _check_columns(path, names)
                continue
            if len(cells) > len(names):
                raise ResultsError(f"{path}, {where}, has {len(cells)} cells for {len(names)} columns")
            label = _label(path, where, dict(zip(names, cells, strict=False)))
            if label is not None:
                yield label
    except csv.Error as error:
        raise ResultsError(f"{path}, line {lines.line_num}, is no CSV: {error}") from error
    if names is None:
        raise ResultsError(f"{path} is empty")


def _check_columns(path: Path, names: Sequence[str]) -> None:
    for choices in (("video",), _QUESTION, _START, _END):
        if not any(name in names for name in choices):
            hint = "the first line names the columns: video,question,start_seconds,end_seconds"
            raise ResultsError(f"{path}, line 1, names no column {choices[0]!r}", hint=hint)


_QUESTION = ("question", "query", "text")
_START, _END = ("start_seconds", "start"), ("end_seconds", "end")


def _of_json(path: Path, objects: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Label]:
    for where, told in objects:
        moments = told.get("groundings")
        if moments is not None and not (isinstance(moments, list) and all(isinstance(m, dict) for m in moments)):
            raise ResultsError(f"{path}, {where}, has no list of moments in 'groundings'")
        for moment in moments or [{}]:
            label = _label(path, where, {**told, **moment})
            if label is not None:
                yield label


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    listed = _json(path)
    if not isinstance(listed, list):
        raise ResultsError(f"{path} is no list of labels", hint="one object a line belongs into a .jsonl")
    for number, told in enumerate(listed, 1):
        if not isinstance(told, dict):
            raise ResultsError(f"{path}, entry {number}, is no JSON object but {told!r:.60}")
        yield f"entry {number}", told


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path}, line {error.lineno}, is no JSON: {error.msg}", hint="is it cut off?") from error
    except RecursionError as error:
        raise ResultsError(f"{path} is nested too deep") from error


def _label(path: Path, where: str, told: Mapping[str, Any]) -> Label | None:
    """The label that columns or fields tell; None of a row that failed. Raises ResultsError."""
    video, question = _text(told, ("video",)), _text(told, _QUESTION)
    if not video or not question:
        raise ResultsError(f"{path}, {where}, has no {'question' if video else 'video'}")
    start, end = _seconds(path, where, told, _START), _seconds(path, where, told, _END)
    if start is None and end is None and _text(told, ("error",)):
        return None
    score = _number(path, where, told)
    return Label(video, question, _span(path, where, start, end), score, _verdict(path, where, told.get("verdict")))


def _text(told: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        if told.get(name) is not None:
            return str(told[name])
    return ""


def _seconds(path: Path, where: str, told: Mapping[str, Any], names: Sequence[str]) -> float | None:
    text = _text(told, names).strip()
    if not text:
        return None
    try:
        return parse_timecode(text)
    except ValueError:
        hint = "write 83.5, 1:23.5 or 00:01:23,500"
        raise ResultsError(f"{path}, {where}, has the time {text!r:.40} in {names[0]}", hint=hint) from None


def _span(path: Path, where: str, start: float | None, end: float | None) -> Span | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise ResultsError(f"{path}, {where}, has no {'end' if end is None else 'start'}")
    try:
        return Span(start, end)
    except ValueError as error:
        raise ResultsError(f"{path}, {where}: {error}") from None


def _number(path: Path, where: str, told: Mapping[str, Any]) -> float | None:
    text = _text(told, ("score",)).strip().replace(",", ".")
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise ResultsError(f"{path}, {where}, has the score {text!r:.40}", hint="a score is from 0 to 1")
    return score


def _verdict(path: Path, where: str, value: object) -> bool | None:
    text = "" if value is None else str(value).strip().lower()
    if text not in VERDICTS:
        hint = "write accept, reject or nothing"
        raise ResultsError(f"{path}, {where}, has the verdict {str(value)!r:.40}", hint=hint)
    return VERDICTS[text]


def _of_otio(path: Path) -> Iterator[Label]:
    root = _json(path)
    if not isinstance(root, dict) or "OTIO_SCHEMA" not in root:
        raise ResultsError(f"{path} is no time line of OpenTimelineIO")
    number = 0
    for item in _items(root):
        for marker in item.get("markers") or ():
            number += 1
            where = f"marker {number}"
            try:
                yield _of_marker(path, where, item, marker)
            except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
                raise ResultsError(f"{path}, {where}, cannot be read: {error!r:.80}") from error


def _items(node: object) -> Iterator[dict[str, Any]]:
    """Everything in a time line that may have markers, from the outside in."""
    if isinstance(node, list):
        for each in node:
            yield from _items(each)
    elif isinstance(node, dict):
        if "markers" in node:
            yield node
        yield from _items([node[name] for name in ("tracks", "children") if name in node])


def _of_marker(path: Path, where: str, clip: Mapping[str, Any], marker: Mapping[str, Any]) -> Label:
    """The label of a marker on a clip; its own seconds where it still covers the frames that these were put on."""
    ours = (marker.get("metadata") or {}).get(METADATA) or {}
    question = str(marker.get("name") or ours.get("question") or "")
    where = f"{where} ({question!r:.40})"
    if not str(clip["OTIO_SCHEMA"]).startswith("Clip."):
        hint = "put it on the clip: a time line alone does not say which video it is about"
        raise ResultsError(f"{path}, {where}, is on a {str(clip['OTIO_SCHEMA']).split('.')[0].lower()}", hint=hint)
    media = _media(clip)
    video = str(
        ((clip.get("metadata") or {}).get(METADATA) or {}).get("video")
        or _path_of_url(str(media.get("target_url") or ""))
    )
    if not video or not question:
        raise ResultsError(f"{path}, {where}, has no {'name' if video else 'media: its clip tells no file'}")
    asked = str(ours.get("question") or "")
    if one_line(asked) == question:
        question = asked  # to the character, where the marker still has its name
    span = _moved(ours, marker["marked_range"], media.get("available_range"))
    verdict = _verdict(path, where, ours.get("verdict"))
    if verdict is None:
        verdict = {ACCEPTED: True, REJECTED: False}.get(str(marker.get("color")).upper())
    return Label(video, question, _span(path, where, *span), _number(path, where, ours), verdict)


def _moved(
    ours: Mapping[str, Any], marked: Mapping[str, Any], available: Mapping[str, Any] | None
) -> tuple[float, float]:
    """Seconds of a marked range from the start of the media; our exact ones where they still fall on its frames."""
    origin = _time(available["start_time"]) if available else 0.0  # files of cameras may begin at a time of day
    start = _time(marked["start_time"]) - origin
    end = start + _time(marked["duration"])
    half_a_frame = 0.5 / float(marked["start_time"]["rate"])
    told = ours.get("start_seconds"), ours.get("end_seconds")
    exact = [
        ours_seconds
        if isinstance(ours_seconds, int | float) and abs(ours_seconds - seconds) <= half_a_frame + 1e-6
        else round(seconds, 6)
        for ours_seconds, seconds in zip(told, (start, end), strict=True)
    ]
    return float(exact[0]), float(exact[1])


def _time(rational: Mapping[str, Any]) -> float:
    return float(rational["value"]) / float(rational["rate"])


def _media(clip: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a clip plays: of class Clip.2 the active one of several, of Clip.1 the only one."""
    several = clip.get("media_references") or {}
    return several.get(clip.get("active_media_reference_key")) or clip.get("media_reference") or {}


def _path_of_url(url: str) -> str:
    """The path of `file:///a%20b.mp4`, or of an address that is a path already."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else url
