import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video_llm.results.some_rows import AWKWARD, about, awkward, failed, row, text
from tvu.temporal.types import Span
from tvu.video_llm.errors import ResultsError
from tvu.video_llm.results.labels import Label, read_labels
from tvu.video_llm.results.otio import otio
from tvu.video_llm.results.tables import csv_table, jsonl

ROWS = [row("a b.mp4", "a bus?", (10.013, 12.345), (1, 2.5)), awkward(), row("c.mp4", "nothing?"), failed("d.mp4")]
LABELS = [
    Label("a b.mp4", "a bus?", Span(10.013, 12.345), 0.9),
    Label("a b.mp4", "a bus?", Span(1, 2.5), 0.8),
    Label(awkward().video, AWKWARD, Span(1.5, 4), 0.873),
    Label("c.mp4", "nothing?", None),  # what failed says nothing, and is no label
]


def put(folder, name, content):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return file


def test_results_that_nobody_corrected_are_labels_without_a_verdict(tmp_path):
    assert read_labels(put(tmp_path, "r.csv", csv_table(ROWS).data)) == LABELS
    assert read_labels(put(tmp_path, "r.jsonl", jsonl(ROWS).data)) == LABELS


def test_labels_are_read_back_as_they_were_written(tmp_path):
    labels = [*LABELS, Label("e.mp4", "yes?", Span(0, 1), 1.0, True), Label("e.mp4", "no?", Span(0, 1), None, False)]
    assert read_labels(put(tmp_path, "l.jsonl", b"".join(label.line() for label in labels))) == labels
    listed = json.dumps([json.loads(label.line()) for label in labels])
    assert read_labels(put(tmp_path, "l.json", listed)) == labels


def test_a_table_may_be_corrected_in_every_way(tmp_path):
    cells = list(csv.reader(io.StringIO(csv_table(ROWS).data.decode(), newline="")))
    at = cells[0].index
    cells[1][at("end_seconds")] = "1:12.5"
    cells[1][at("verdict")] = "Accept"
    cells[3][at("verdict")] = "reject"
    del cells[2]
    cells.append(["new.mp4", "mine?", "00:00:01,500", "3"])  # a line that somebody wrote
    written = io.StringIO(newline="")
    csv.writer(written).writerows([[], *cells, ["", ""]])
    assert read_labels(put(tmp_path, "r.csv", written.getvalue())) == [
        Label("a b.mp4", "a bus?", Span(10.013, 72.5), 0.9, True),
        Label(awkward().video, AWKWARD, Span(1.5, 4), 0.873, False),
        Label("c.mp4", "nothing?", None),
        Label("new.mp4", "mine?", Span(1.5, 3)),
    ]


def test_a_table_may_come_from_a_spreadsheet_with_semicolons(tmp_path):
    table = "\ufeffEnd;Start;Query;Video;Score;Verdict\r\n2,5;1,25;was?;ä.mp4;0,5;rejected\r\n"
    assert read_labels(put(tmp_path, "r.csv", table)) == [Label("ä.mp4", "was?", Span(1.25, 2.5), 0.5, False)]


HEAD = "video,question,start_seconds,end_seconds,score,verdict\n"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("r.csv", HEAD + '"a\nb.mp4",q,1,2,,\na.mp4,q,1,x,,\n', r"line 4, has the time 'x' in end_seconds"),
        ("r.csv", HEAD + "a.mp4,q,2,1,,\n", "line 2: a span must end after it starts"),
        ("r.csv", HEAD + "a.mp4,q,2,,,\n", "line 2, has no end"),
        ("r.csv", HEAD + "a.mp4,,2,3,,\n", "line 2, has no question"),
        ("r.csv", HEAD + "a.mp4,q,2,3,1.5,\n", "line 2, has the score '1.5'"),
        ("r.csv", HEAD + "a.mp4,q,2,3,,maybe\n", "line 2, has the verdict 'maybe'"),
        ("r.csv", HEAD + "a.mp4,q,2,3,,,more\n", "line 2, has 7 cells for 6 columns"),
        ("r.csv", HEAD + 'a.mp4,"q,2,3', "line 2, is no CSV"),
        ("r.csv", "video,start,end\n", "line 1, names no column 'question'"),
        ("r.csv", "", "is empty"),
        ("r.csv", HEAD.encode() + b"\xe4.mp4,q,1,2,,\n", "line 2, is not UTF-8"),
        ("r.jsonl", '{"video": "a", "question": "q"}\n{"video": "a"', "line 2, is no JSON"),
        (
            "r.jsonl",
            '{"video": "a", "question": "q", "start_seconds": "soon", "end_seconds": 2}',
            "line 1, has the time",
        ),
        ("r.jsonl", '{"video": "a", "question": "q", "groundings": 3}', "line 1, has no list of moments"),
        ("r.json", '[{"question": "q"}]', "entry 1, has no video"),
        ("r.json", "{}", "is no list"),
        ("r.otio", "{\n}}", "line 2, is no JSON"),
        ("r.otio", "{}", "is no time line"),
        ("r.srt", "1", "no labels are read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path, name, content, told):
    with pytest.raises(ResultsError, match=told):
        read_labels(put(tmp_path, name, content))


def test_a_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(ResultsError, match="cannot be read"):
        read_labels(tmp_path / "r.csv")


def test_a_time_line_gives_exact_seconds_back(tmp_path):
    for rows in (ROWS[:1], ROWS[1:2]):
        labels = read_labels(put(tmp_path, "t.otio", otio(about(*rows)).data))
        wanted = [label for label in LABELS if label.video == rows[0].video]
        assert labels == sorted(wanted, key=lambda label: label.span)


def edited(*rows):
    """The time line of the rows, and the markers of its clip, to be changed."""
    timeline = json.loads(text(otio(about(*rows))))
    return timeline, timeline["tracks"]["children"][0]["children"][0]


def test_markers_may_be_moved_deleted_added_and_coloured(tmp_path):
    timeline, clip = edited(row("a.mp4", "a bus?", (1, 2), (10, 12), (20, 21), (30, 31), fps=25.0))
    moved, stretched, deleted, kept = clip["markers"]
    moved["marked_range"]["start_time"]["value"] += 50
    moved["color"] = "GREEN"
    stretched["marked_range"]["duration"]["value"] += 5
    stretched["color"] = "RED"
    kept["metadata"]["tvu"]["verdict"] = "accept"
    kept["name"] = "a red bus?"
    clip["markers"].remove(deleted)
    clip["markers"].append({**json.loads(json.dumps(deleted)), "metadata": {}, "name": "mine?", "color": None})
    assert read_labels(put(tmp_path, "t.otio", json.dumps(timeline))) == [
        Label("a.mp4", "a bus?", Span(3, 4), 0.9, True),
        Label("a.mp4", "a bus?", Span(10, 12.2), 0.8, False),
        Label("a.mp4", "a red bus?", Span(30, 31), 0.6, True),
        Label("a.mp4", "mine?", Span(20, 21)),
    ]


def test_a_clip_that_lost_our_fields_is_known_by_its_media(tmp_path):
    timeline, clip = edited(row("/v/a b.mp4", "a bus?", (1, 2), fps=25.0))
    clip["metadata"] = clip["markers"][0]["metadata"] = {}
    media = clip.pop("media_references")["DEFAULT_MEDIA"]
    media["available_range"]["start_time"]["value"] = 90_000.0  # a camera that names an hour
    clip["markers"][0]["marked_range"]["start_time"]["value"] += 90_000
    clip |= {"OTIO_SCHEMA": "Clip.1", "media_reference": media}
    assert read_labels(put(tmp_path, "t.otio", json.dumps(timeline))) == [Label("/v/a b.mp4", "a bus?", Span(1, 2))]


def test_a_marker_that_names_no_video_is_told(tmp_path):
    timeline, clip = edited(row("a.mp4", "a bus?", (1, 2)))
    timeline["tracks"]["markers"] = clip["markers"]
    with pytest.raises(ResultsError, match=r"marker 1 \('a bus\?'\), is on a stack"):
        read_labels(put(tmp_path, "t.otio", json.dumps(timeline)))
    timeline, clip = edited(row("a.mp4", "a bus?", (1, 2)))
    del clip["markers"][0]["marked_range"]
    with pytest.raises(ResultsError, match="marker 1, cannot be read"):
        read_labels(put(tmp_path, "t.otio", json.dumps(timeline)))


def test_what_opentimelineio_saved_again_is_read_the_same(tmp_path):
    opentimelineio = pytest.importorskip("opentimelineio")
    before = put(tmp_path, "t.otio", otio(about(ROWS[0])).data)
    opentimelineio.adapters.write_to_file(opentimelineio.adapters.read_from_file(str(before)), str(tmp_path / "u.otio"))
    assert read_labels(tmp_path / "u.otio") == read_labels(before)


@given(
    video=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    question=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    start=st.integers(0, 10**7),
    length=st.integers(1, 10**6),
)
def test_any_text_and_any_milliseconds_survive_a_table(tmp_path_factory, video, question, start, length):
    folder = tmp_path_factory.mktemp("labels")
    span = (start / 1000, (start + length) / 1000)
    rows = [row(video, question, span)]
    wanted = [Label(video, question, Span(*span), 0.9)]
    assert read_labels(put(folder, "r.csv", csv_table(rows).data)) == wanted
    assert read_labels(put(folder, "r.jsonl", jsonl(rows).data)) == wanted
