"""`tvu results` as a user runs it."""

import json

import pytest

from tests.video_llm.results.some_rows import failed, row
from tvu.video_llm.results.formats import FORMATS
from tvu.video_llm.results.tables import jsonl


@pytest.fixture
def found(tmp_path):
    """Rows of two videos, one of which failed."""
    rows = [row("a.mp4", "a bus?", (10, 12), (20, 21)), row("b.mp4", "a bus?", (1, 2)), failed("b.mp4", "a dog?")]
    (tmp_path / "rows.jsonl").write_bytes(jsonl(rows).data)
    return tmp_path / "rows.jsonl"


def test_formats_are_listed(tvu):
    told = tvu("results", "formats")
    assert (told.returncode, [line.split()[0] for line in told.stdout.splitlines()]) == (0, list(FORMATS))


def test_results_become_a_table(tvu, found, tmp_path):
    out = tmp_path / "rows.csv"
    told = tvu("results", "convert", found, "-o", out)
    assert (told.returncode, told.stdout) == (0, f"{out}\n")
    assert told.stderr == "1 of 3 rows have no answer, only an error\n"
    assert len(out.read_text().splitlines()) == 5
    again = tvu("results", "convert", found, "-o", out)
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert tvu("results", "convert", found, "-o", out, "--force").returncode == 0


def test_only_the_best_are_kept_where_that_is_asked(tvu, found, tmp_path):
    told = tvu("results", "convert", found, "-o", tmp_path / "cut.srt", "--top", 1, "--min-score", 0.85)
    files = [tmp_path / "cut" / "a.srt", tmp_path / "cut" / "b.srt"]
    assert (told.returncode, told.stdout.split()) == (0, list(map(str, files)))
    assert "note: b.srt: a dog?: the decoder -- failed" in told.stderr
    assert [file.read_text().count("-->") for file in files] == [1, 1]
    none = tvu("results", "convert", found, "-o", tmp_path / "none.vtt", "--min-score", 0.95)
    assert none.returncode == 1  # nothing found, as elsewhere


def test_a_format_can_be_named(tvu, found, tmp_path):
    told = tvu("results", "convert", found, "-o", tmp_path / "c.json", "--format", "charades")
    assert told.returncode == 0 and set(json.loads((tmp_path / "c.json").read_text())) == {"0", "1", "2"}
    unknown = tvu("results", "convert", found, "-o", tmp_path / "c.mov")
    assert (unknown.returncode, "hint: name one: jsonl, csv" in unknown.stderr) == (2, True)


def test_what_are_no_rows_is_told_with_the_line(tvu, tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    told = tvu("results", "convert", tmp_path / "rows.jsonl", "-o", tmp_path / "a.csv")
    assert (told.returncode, "line 1 is no result" in told.stderr) == (3, True)
    assert tvu("results", "convert", tmp_path / "none.jsonl", "-o", tmp_path / "a.csv").returncode == 3


def test_a_corrected_table_comes_back_as_labels(tvu, found, tmp_path):
    table, labels = tmp_path / "rows.csv", tmp_path / "labels.jsonl"
    tvu("results", "convert", found, "-o", table)
    text = table.read_text("utf-8")
    table.write_text(text.replace("a.mp4,a bus?,10.0,12.0,0.9,visual,looks like: bus,", "a.mp4,a bus?,9,12,,,,accept"))
    told = tvu("results", "import", table, "-o", labels)
    assert (told.returncode, told.stderr) == (0, "3 labels: 1 accepted, 0 rejected\n")
    assert json.loads(labels.read_text().splitlines()[0]) == {
        "video": "a.mp4",
        "question": "a bus?",
        "start_seconds": 9.0,
        "end_seconds": 12.0,
        "verdict": "accept",
    }
    assert tvu("results", "import", table, "-o", labels).returncode == 2
    assert tvu("results", "import", found.with_suffix(".md"), "-o", tmp_path / "x.jsonl").returncode == 3
