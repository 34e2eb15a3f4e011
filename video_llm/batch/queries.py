"""What is asked: the same of every video, or of each what a file says."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from tvu.video_llm.errors import QueriesError
from tvu.video_llm.media.address import parse_address


@dataclass(frozen=True)
class Query:
    """Something to look for. video: the name of the one video that it is about; empty: of every video."""

    text: str
    video: str = ""


def read_queries(path: Path) -> list[Query]:
    """The queries of a file, in its order, each once:

    - `.txt`: one a line; lines that begin with # are skipped;
    - `.csv`, `.tsv`: a column `query` (or `question`, `text`), and a column `video` where they are of one video only;
    - `.jsonl`: lines `{"query": …}`, with `"video"`, or `"vid"` as in QVHighlights, where they are of one video only.

    Raises QueriesError, which names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise QueriesError(f"{path} cannot be read: {error.strerror}", hint="name a file of queries") from error
    except UnicodeDecodeError as error:
        raise QueriesError(f"{path} is no text in UTF-8", hint="save it as UTF-8") from error
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        found = _of_table(path, text, "\t" if ending == ".tsv" else ",")
    elif ending in (".jsonl", ".ndjson"):
        found = [_of_row(path, n, _parsed(path, n, line)) for n, line in _numbered(text)]
    else:
        found = [Query(line) for _, line in _numbered(text) if not line.startswith("#")]
    if not found:
        raise QueriesError(f"{path} holds no queries", hint="one a line, or a column or field `query`")
    return list(dict.fromkeys(found))


def queries_about(queries: Sequence[Query], address: str) -> list[str]:
    """Those that are about the video at `address`.

    A query's `video` may be the address, its path, the end of that path (`folder/a.mp4`, `a.mp4`), or its name without
    ending.
    """
    return [query.text for query in queries if not query.video or _is_named(query.video, address)]


def unused(queries: Sequence[Query], addresses: Iterable[str]) -> list[str]:
    """Names of videos that queries are about and that are none of `addresses`, each once."""
    places = list(addresses)
    names = dict.fromkeys(query.video for query in queries if query.video)
    return [name for name in names if not any(_is_named(name, address) for address in places)]


def _is_named(name: str, address: str) -> bool:
    if name == address:
        return True
    path = PurePath(parse_address(address).path)
    told = PurePath(name).parts
    return bool(told) and (path.parts[-len(told) :] == told or (len(told) == 1 and path.stem == name))


def _of_table(path: Path, text: str, delimiter: str) -> list[Query]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [_of_row(path, rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise QueriesError(f"{path} is no table: {error}") from error


def _of_row(path: Path, line: int, row: Any) -> Query:
    told = row if isinstance(row, dict) else {}
    text = next((told[key] for key in ("query", "question", "text") if isinstance(told.get(key), str)), "").strip()
    if not text:
        raise QueriesError(f"{path}, line {line} has no query", hint="a column or field `query`")
    video = next((told[key] for key in ("video", "vid") if isinstance(told.get(key), str)), "")
    return Query(text, video.strip())


def _parsed(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QueriesError(f"{path}, line {line} is no JSON: {error}") from error


def _numbered(text: str) -> list[tuple[int, str]]:
    return [(n, line.strip()) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
