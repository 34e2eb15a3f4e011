"""Tables: JSON Lines of whole rows, and CSV and Parquet with a line for each moment."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tvu.video_llm.errors import BackendError, ResultsError
from tvu.video_llm.results.one_video import Content
from tvu.video_llm.results.read import rows_in
from tvu.video_llm.results.rows import Row

COLUMNS = (
    *("video", "question", "start_seconds", "end_seconds", "score", "evidence", "phrase", "verdict"),
    *("duration_seconds", "fps", "answer", "model", "notes", "error"),
)
"""Of a table. `verdict` is empty: it is where somebody who looks writes `accept` or `reject`, see `read_labels`."""


def jsonl(rows: Sequence[Row]) -> Content:
    """A row a line, as `Row.as_json` has it; nothing is left out."""
    return Content(b"".join(as_line(row.as_json()) for row in rows))


def as_line(told: dict[str, Any]) -> bytes:
    """JSON in UTF-8 on one line. Bytes of a file name that are no characters become escapes, which JSON can hold."""
    return json.dumps(told, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def csv_table(rows: Sequence[Row]) -> Content:
    """RFC 4180 in UTF-8: a header, a line for each moment, and one without times for a row that has none."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in _lines(rows):
        line["notes"] = " ".join(line["notes"])
        writer.writerow(["" if line[name] is None else line[name] for name in COLUMNS])
    return Content(text.getvalue().encode("utf-8", "backslashreplace"))


def parquet(rows: Sequence[Row]) -> Content:
    """The columns of the CSV with their types, `notes` a list; times of a row without moments are null.

    Raises BackendError where pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet as files
    except ImportError as error:
        raise BackendError(
            "Parquet needs pyarrow, which is not installed", hint="pip install 'tvu[parquet]'"
        ) from error
    numbers = {"start_seconds", "end_seconds", "score", "duration_seconds", "fps"}
    types = {name: pyarrow.float64() if name in numbers else pyarrow.string() for name in COLUMNS}
    types["notes"] = pyarrow.list_(pyarrow.string())
    lines = [{name: _plain(value) for name, value in line.items()} for line in _lines(rows)]
    table = pyarrow.Table.from_pylist(lines, schema=pyarrow.schema(types.items()))
    sink = pyarrow.BufferOutputStream()
    files.write_table(table, sink, compression="zstd")
    return Content(sink.getvalue().to_pybytes())


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSON Lines file that tvu wrote, each query about each video once.

    In a ledger the last one counts: earlier ones are of a file that changed, or of a failure that was tried again. Rows
    without a key are of no ledger and all stay. Raises QueriesError, naming the line, where it cannot be read.
    """
    rows: dict[object, Row] = {}
    for number, row in enumerate(rows_in(path)):
        rows[(row.video, row.question) if row.key else number] = row
    return list(rows.values())


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with the numbers of their lines. Raises ResultsError, naming the line."""
    for number, line in enumerate(read_text(path).split("\n"), 1):  # not splitlines: texts may hold other line ends
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ResultsError(f"{path}, line {number}, is no JSON: {error}", hint="is it cut off?") from error
        if not isinstance(told, dict):
            raise ResultsError(f"{path}, line {number}, is no JSON object but {told!r:.60}")
        yield number, told


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises ResultsError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ResultsError(f"{path}, line {number}, is not UTF-8", hint="save it again as UTF-8") from error


def _lines(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """A dict of COLUMNS for each moment, or one with no times; the row's own fields repeated."""
    for row in rows:
        told = row.as_json()
        for moment in told["groundings"] or [{}]:
            line = dict.fromkeys(COLUMNS) | {"answer": "", "error": "", "model": "", "notes": []} | told | moment
            yield {name: line[name] for name in COLUMNS}


def _plain(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
