"""Files of predictions that others wrote."""

import gzip
import json
from pathlib import Path

import pytest

from tvu.video_llm.benchmarks.predictions import Prediction, read_predictions
from tvu.video_llm.errors import BenchmarkError

LINES = [
    {"qid": 1, "pred_relevant_windows": [[0, 4, 0.5], [8, 9, 0.1]], "pred_saliency_scores": [1, -0.5]},
    {"qid": "b", "pred_relevant_windows": []},
]


def put(folder: Path, text: str) -> Path:
    path = folder / "p.json"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("text", ["\n".join(map(json.dumps, LINES)), json.dumps(LINES), json.dumps(LINES, indent=1)])
def test_lines_and_a_list_are_the_same_predictions(tmp_path, text):
    expected = [Prediction("1", [[0, 4, 0.5], [8, 9, 0.1]], [1, -0.5]), Prediction("b", [])]
    assert read_predictions(put(tmp_path, text)) == expected
    (tmp_path / "p.json").write_bytes(gzip.compress(text.encode()))
    assert read_predictions(tmp_path / "p.json") == expected


def test_one_line_is_one_prediction(tmp_path):
    assert len(read_predictions(put(tmp_path, json.dumps(LINES[0])))) == 1


def test_an_empty_timestamp_is_text_without_a_time(tmp_path):
    told = read_predictions(put(tmp_path, json.dumps({"7": {"timestamp": [[1, 2]]}, "8": {"timestamp": []}})))
    assert [(each.query, each.windows, each.is_parsed) for each in told] == [("7", [[1, 2]], True), ("8", [], False)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"query": "a"}], "entry 0, has no 'qid'"),
        ([{"qid": 1}], "has neither"),
        ([{"qid": 1, "pred_relevant_windows": [[1]]}], r"has the window \[1\]"),
        ([{"qid": 1, "pred_relevant_windows": [[1, "2"]]}], "has the window"),
        ([{"qid": 1, "pred_relevant_windows": [[1, 2], [3, 4, 0.5]]}], "others without"),
        ([{"qid": 1, "pred_saliency_scores": [None]}], "no list of numbers"),
        ({"7": {"time": [1, 2]}}, "key '7', has no 'timestamp'"),
        ([], "has no predictions"),
        (7, "holds no predictions but 7"),
    ],
)
def test_what_is_wrong_and_where_is_told(tmp_path, content, message):
    with pytest.raises(BenchmarkError, match=message):
        read_predictions(put(tmp_path, json.dumps(content)))


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("{", "is no JSON"), ('{"qid":1}\n{', "is no JSON")])
def test_a_file_cut_off_is_told(tmp_path, text, message):
    with pytest.raises(BenchmarkError, match=message):
        read_predictions(put(tmp_path, text))


def test_not_a_number_is_no_time(tmp_path):
    with pytest.raises(BenchmarkError, match="has the window"):
        read_predictions(put(tmp_path, '[{"qid": 1, "pred_relevant_windows": [[NaN, 2]]}]'))
