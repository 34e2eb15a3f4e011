"""What a run comes to, for people and for programs."""

import json

from tvu.video_llm.benchmarks.render import summary_json, summary_text, table_text
from tvu.video_llm.benchmarks.types import Summary, Table


def test_a_program_gets_every_number_under_its_name():
    summary = Summary({"R1@0.5": 12.5, "x/R1@0.5": None, "n": 3}, notes=("é",), details=frozenset({"n"}))
    assert summary_json("moments", summary) == (
        '{"benchmark": "moments", "R1@0.5": 12.5, "x/R1@0.5": null, "n": 3, "notes": ["é"]}'
    )
    assert json.loads(summary_json("moments", summary))["n"] == 3


def test_people_get_tables_first_then_what_they_do_not_show():
    table = Table("Tasks", ("task", "items", "accuracy"), (("AS", 8, 100.0), ("all", 145, 26.897)))
    summary = Summary({"accuracy": 26.9, "AS": 100.0, "x/AS": 1.0, "all/AS": 2.0, "none": None}, (table,), ("why",))
    text = summary_text(Summary(summary.numbers, summary.tables, summary.notes, frozenset({"AS"})))
    assert text.splitlines() == [
        "Tasks",
        "  task  items  accuracy",
        "  AS        8    100.00",
        "  all     145     26.90",
        "",
        "accuracy     26.90",
        "none             -",
        "",
        "note: why",
    ]


def test_small_numbers_keep_their_digits():
    text = table_text(Table("Calibration", ("", "ece"), (("a", 0.03125), ("b", None))))
    assert text.splitlines()[2:] == ["  a  0.0312", "  b       -"]


def test_half_a_surrogate_pair_in_a_name_can_be_printed():
    summary = Summary({}, notes=("1 videos are missing: \ud800.mp4",))
    assert summary_text(summary).encode() and json.loads(summary_json("m", summary))["notes"] == list(summary.notes)
