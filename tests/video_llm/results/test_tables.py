import csv
import io
import json
import sys

import pytest

from tests.video_llm.results.some_rows import AWKWARD, awkward, failed, row, text
from tvu.video_llm.errors import BackendError, QueriesError
from tvu.video_llm.results.tables import COLUMNS, csv_table, jsonl, parquet, read_rows

ROWS = [row("a.mp4", "when?", (10, 12), (3.25, 4)), awkward(), row("b.mp4", "nothing?"), failed()]


def test_json_lines_give_the_same_rows_back(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(jsonl(ROWS).data)
    assert [each.line() for each in read_rows(file)] == [each.line() for each in ROWS]
    assert b"\r" not in file.read_bytes() and file.read_bytes().endswith(b"\n")


def test_a_file_name_that_is_no_text_survives_json_lines(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(jsonl([row("a\udcff.mp4")]).data)
    assert read_rows(tmp_path / "rows.jsonl")[0].video == "a\udcff.mp4"


def test_of_a_query_in_a_ledger_the_last_row_counts(tmp_path):
    lines = [failed(), row("c.mp4", "x"), row("a b.mp4", "when?", (1, 2))]
    keyed = [{**each.as_json(), "key": f"of content {number}"} for number, each in enumerate(lines)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(each)}\n\n" for each in keyed))
    first, second = read_rows(tmp_path / "rows.jsonl")
    assert (first.error, len(first.groundings), second.video) == ("", 1, "c.mp4")


@pytest.mark.parametrize("line", ['{"video": "a.mp4", "questi', '{"video": "a.mp4"}', "[]", '"\xff"'])
def test_what_is_no_row_is_told_with_its_line(tmp_path, line):
    (tmp_path / "rows.jsonl").write_bytes(jsonl(ROWS[:1]).data + line.encode("latin-1"))
    with pytest.raises(QueriesError, match="line 2"):
        read_rows(tmp_path / "rows.jsonl")


def test_a_csv_has_a_line_a_moment_and_one_for_what_has_none():
    data = csv_table(ROWS).data
    told = list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))
    assert tuple(told[0]) == COLUMNS
    assert [(each["video"], each["start_seconds"], each["end_seconds"]) for each in told] == [
        ("a.mp4", "10.0", "12.0"),
        ("a.mp4", "3.25", "4.0"),
        (ROWS[1].video, "1.5", "4.0"),
        ("b.mp4", "", ""),
        ("a b.mp4", "", ""),
    ]
    assert (told[2]["question"], told[2]["phrase"], told[2]["notes"]) == (AWKWARD, AWKWARD, "no sound")
    assert told[4]["error"] == "the decoder -- failed"
    assert {each["verdict"] for each in told} == {""}


def test_a_csv_follows_rfc_4180():
    data = csv_table([row("a.mp4", 'say "no", now', (1, 2))]).data
    assert data.startswith(b"video,question,start_seconds")  # no byte order mark
    assert data.endswith(b"\r\n") and data.count(b"\n") == data.count(b"\r\n") == 2
    assert b'a.mp4,"say ""no"", now",1.0,2.0,0.9,' in data


def test_parquet_has_the_same_columns_with_their_types():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    table = files.read_table(pyarrow.BufferReader(parquet(ROWS).data))
    assert tuple(table.column_names) == COLUMNS
    assert table.schema.field("start_seconds").type == pyarrow.float64()
    told = table.to_pylist()
    assert [each["start_seconds"] for each in told] == [10, 3.25, 1.5, None, None]
    assert (told[2]["question"], told[2]["notes"], told[2]["score"]) == (AWKWARD, ["no sound"], 0.873)
    assert told[4]["error"] == "the decoder -- failed"
    empty = files.read_table(pyarrow.BufferReader(parquet([]).data))
    assert (empty.num_rows, tuple(empty.column_names)) == (0, COLUMNS)


def test_without_pyarrow_parquet_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendError) as raised:
        parquet(ROWS)
    assert raised.value.hint == "pip install 'tvu[parquet]'"


def test_no_rows_are_a_header_or_nothing():
    assert text(jsonl([])) == ""
    assert text(csv_table([])).splitlines() == [",".join(COLUMNS)]
