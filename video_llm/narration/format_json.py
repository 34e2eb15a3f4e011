"""JSON of lines: ours, WhisperX's and its relatives', HTM-Align's and HT-Step's, and plain lists.

What is read from a dialect that has times is written back as that document, with other times.
"""

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tvu.temporal.types import Span
from tvu.video_llm.errors import ScriptError
from tvu.video_llm.narration.types import AlignedLine, Alignment, Line, Script

OURS = "tvu_version"  # which no other dialect has
_TEXTS = ("text", "sentence", "line", "title", "caption", "headline", "step")
_STARTS, _ENDS = ("start_seconds", "start", "begin", "from"), ("end_seconds", "end", "to")
_LISTS = ("segments", "fragments", "sentences", "captions", "steps", "cues")


def is_json(text: str) -> bool:
    """Whether it can be nothing else: it begins as JSON does, and reads as JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def read_json(text: str, name: str, video: Path | None) -> Script:
    """The lines of a document of any dialect.

    name: of the file, for errors. video: whose lines are wanted, of a file about several. Raises ScriptError.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ScriptError(f"{name}, line {error.lineno}, is no JSON: {error.msg}", hint="is it cut off?") from error
    except RecursionError as error:
        raise ScriptError(f"{name} is nested too deep", hint=_DIALECTS) from error
    try:
        script = _script(document, name, video)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as error:
        raise ScriptError(f"{name} has lines in a form that is not known: {error!r:.80}", hint=_DIALECTS) from error
    if script is None:
        raise ScriptError(f"{name} is JSON, and no lines are found in it", hint=_DIALECTS)
    return script


_DIALECTS = (
    "a list of texts or of {text, start, end}, a document of `tvu align --json` or of WhisperX, HTM-Align or HT-Step"
)


def rewrite_json(alignment: Alignment) -> str | None:
    """The document as it was read, with the times of the alignment; None for a dialect that has no place for them."""
    dialect = alignment.script.header.get("dialect")
    if dialect not in ("objects", "htm-align", "columns"):
        return None
    document = copy.deepcopy(alignment.script.header["document"])
    for line, aligned in zip(alignment.script.lines, alignment.lines, strict=True):
        if alignment.kept:
            continue
        _rewrite[dialect](document, line.extra["at"], aligned)
    if dialect == "objects" and not alignment.kept:
        _rebuild_word_segments(document)
    return dumps(document)


def our_json(alignment: Alignment, version: str) -> str:
    """Our document: what was aligned to what, and every line with its times, or null where it is not in the video."""
    script = alignment.script
    lines = []
    for line, aligned in zip(script.lines, alignment.lines, strict=True):
        span = line.span if alignment.kept else aligned.span
        lines.append(
            {
                "text": line.text,
                "start_seconds": None if span is None else _rounded(span.start_seconds),
                "end_seconds": None if span is None else _rounded(span.end_seconds),
                "confidence": round(aligned.confidence, 4),
                "evidence": list(aligned.evidence),
                "file_start_seconds": line.start_seconds,
                "file_end_seconds": line.end_seconds,
                "extra": dict(line.extra),
            }
        )
    document = {
        "video": alignment.video,
        "duration_seconds": _rounded(alignment.duration_seconds),
        "signals": list(alignment.signals),
        "kept": alignment.kept,
        "notes": list(alignment.notes),
        "format": script.format,
        "language": script.language,
        "header": dict(script.header),
        "lines": lines,
        OURS: version,
    }
    return dumps(document)


def dumps(document: Any) -> str:
    """JSON in UTF-8, escaped where a text holds what UTF-8 cannot say."""
    told = json.dumps(document, ensure_ascii=False, indent=1)
    try:
        told.encode("utf-8")
    except UnicodeEncodeError:
        told = json.dumps(document, indent=1)
    return told + "\n"


# --- reading ---


def _script(document: Any, name: str, video: Path | None) -> Script | None:
    if isinstance(document, dict) and OURS in document and isinstance(document.get("lines"), list):
        return _ours(document)
    if isinstance(document, list):
        return _listed(document, document, ())
    if not isinstance(document, dict):
        return None
    for key in _LISTS:
        if isinstance(document.get(key), list):
            return _listed(document, document[key], (key,))
    if _is_columns(document):
        return _columns(document, document, ())
    return _of_video(document, name, video)


def _ours(document: Mapping[str, Any]) -> Script:
    lines = []
    notes = list(document.get("notes") or ())
    for told in document["lines"]:
        if not isinstance(told["text"], str):
            raise TypeError("a text is no string")
        start, end = told.get("start_seconds"), told.get("end_seconds")
        lines.append(Line(told["text"], _number(start), _number(end), dict(told.get("extra") or {})))
    header = dict(document.get("header") or {})
    header["notes"] = [note for note in header.get("notes", ()) if note not in notes]
    return Script(tuple(lines), str(document.get("format") or "json"), header, document.get("language"))


def _listed(document: Any, listed: Sequence[Any], where: tuple[str, ...]) -> Script | None:
    if not listed:
        return None
    language = document.get("language") if isinstance(document, dict) else None
    language = language if isinstance(language, str) else None
    if all(isinstance(each, str) for each in listed):
        return Script(tuple(Line(text) for text in listed), "json", {"dialect": "texts", "notes": []}, language)
    lines = []
    dropped = 0
    for at, each in enumerate(listed):
        text = next((each[key] for key in _TEXTS if isinstance(each.get(key), str)), None)
        if text is None and isinstance(each.get("lines"), list):
            text = " ".join(each["lines"])
        if text is None:
            raise KeyError("text")
        start, end = _field(each, _STARTS), _field(each, _ENDS)
        dropped += any(each.get(key) is not None and _number(each[key]) is None for key in (*_STARTS, *_ENDS))
        lines.append(Line(text.strip(), start, end, {"at": [*where, at]}))
    notes = [f"{dropped} times are no numbers, and were taken for none"] if dropped else []
    header = {"dialect": "objects", "document": document, "notes": notes}
    return Script(tuple(lines), "json", header, language)


def _is_columns(document: Any) -> bool:
    """`{"text": […], "start": […], "end": […]}`, as narrations of HowTo100M come."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("text"), list)
        and all(isinstance(text, str) for text in document["text"])
    )


def _columns(document: Any, columns: Mapping[str, Any], where: tuple[str, ...]) -> Script:
    texts = columns["text"]
    starts, ends = (columns.get(key) or [None] * len(texts) for key in ("start", "end"))
    lines = tuple(
        Line(text.strip(), _number(start), _number(end), {"at": [*where, at]})
        for at, (text, start, end) in enumerate(zip(texts, starts, ends, strict=True))
    )
    return Script(lines, "json", {"dialect": "columns", "document": document, "notes": []})


def _of_video(document: Mapping[str, Any], name: str, video: Path | None) -> Script | None:
    """Of a document `{video: lines}` the lines of one video: the only one, or the one that is asked for."""
    videos = {key: told for key, told in document.items() if _looks_aligned(told)}
    if not videos:
        return None
    wanted = [key for key in videos if video is not None and key in (video.stem, video.name)]
    if not wanted and len(videos) > 1:
        some = ", ".join(repr(key) for key in list(videos)[:3])
        raise ScriptError(
            f"{name} is about {len(videos)} videos, none of them {str(video and video.stem)!r}",
            hint=f"it has {some}, …: name the video like one of them",
        )
    key = wanted[0] if wanted else next(iter(videos))
    told = videos[key]
    if isinstance(told, dict) and "step_headline" in told:
        lines = tuple(Line(text.strip()) for text in told["step_headline"])
        return Script(lines, "json", {"dialect": "ht-step", "video": key, "list": "steps", "notes": []})
    if _is_columns(told):
        return _columns(document, told, (key,))
    if isinstance(told[0], str):
        return Script(tuple(Line(text.strip()) for text in told), "json", {"dialect": "texts", "notes": []})
    if isinstance(told[0], dict):
        return _listed(document, told, (key,))
    entries = [Line(text.strip(), _number(s), _number(e), {"at": [key, at]}) for at, (_, s, e, text) in enumerate(told)]
    return Script(tuple(entries), "json", {"dialect": "htm-align", "document": document, "notes": []})


def _looks_aligned(told: Any) -> bool:
    if isinstance(told, dict):
        steps = told.get("step_headline")
        return (isinstance(steps, list) and all(isinstance(text, str) for text in steps)) or _is_columns(told)
    if not isinstance(told, list) or not told:
        return False
    if all(isinstance(entry, str) for entry in told):
        return True
    if all(isinstance(entry, dict) for entry in told):
        return True
    return all(isinstance(entry, list) and len(entry) == 4 and isinstance(entry[3], str) for entry in told)


def _field(each: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((_number(each[name]) for name in names if each.get(name) is not None), None)


def _number(value: Any) -> float | None:
    """A finite number of seconds, perhaps as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# --- writing ---


def _rewrite_object(document: Any, at: Sequence[str | int], aligned: AlignedLine) -> None:
    entry = _at(document, at)
    start = next((name for name in _STARTS if name in entry), "start")
    end = next((name for name in _ENDS if name in entry), "end")
    old = _number(entry.get(start)), _number(entry.get(end))
    span = aligned.span
    as_text = isinstance(entry.get(start), str)
    told = [None, None] if span is None else [_rounded(span.start_seconds), _rounded(span.end_seconds)]
    entry[start], entry[end] = [f"{value:.3f}" if as_text and value is not None else value for value in told]
    entry["confidence"] = round(aligned.confidence, 4)
    words = entry.get("words")
    if isinstance(words, list):
        for word in (word for word in words if isinstance(word, dict)):
            for name in {*_STARTS, *_ENDS} & set(word):
                word[name] = _carried(_number(word[name]), old, span)


def _carried(seconds: float | None, old: tuple[float | None, float | None], span: Span | None) -> float | None:
    """A time within the old span of a line, in its new one."""
    if seconds is None or span is None or old[0] is None or old[1] is None:
        return None
    length = old[1] - old[0]
    stretch = span.seconds / length if length > 0 else 1.0
    return _rounded(span.start_seconds + (seconds - old[0]) * stretch)


def _rewrite_entry(document: Any, at: Sequence[str | int], aligned: AlignedLine) -> None:
    entry = _at(document, at)
    span = aligned.span
    entry[0] = int(span is not None)
    entry[1:3] = [0.0, 0.0] if span is None else [_rounded(span.start_seconds), _rounded(span.end_seconds)]


def _rewrite_column(document: Any, at: Sequence[str | int], aligned: AlignedLine) -> None:
    columns, row = _at(document, at[:-1]), at[-1]
    span = aligned.span
    for key in ("start", "end"):
        columns.setdefault(key, [None] * len(columns["text"]))
    columns["start"][row] = None if span is None else _rounded(span.start_seconds)
    columns["end"][row] = None if span is None else _rounded(span.end_seconds)


_rewrite: Mapping[str, Callable[[Any, Sequence[str | int], AlignedLine], None]] = {
    "objects": _rewrite_object,
    "htm-align": _rewrite_entry,
    "columns": _rewrite_column,
}


def _rebuild_word_segments(document: Any) -> None:
    """WhisperX tells the words of all segments once more, in one list."""
    if not isinstance(document, dict) or not isinstance(document.get("word_segments"), list):
        return
    words = [word for segment in document.get("segments", ()) for word in segment.get("words", ())]
    if len(words) == len(document["word_segments"]):
        document["word_segments"] = copy.deepcopy(words)


def _at(document: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        document = document[key]
    return document


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
