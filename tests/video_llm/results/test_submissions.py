import json

from tests.video_llm.results.some_rows import failed, row, text
from tvu.video_llm.benchmarks.predictions import Prediction, read_predictions
from tvu.video_llm.results.submissions import charades, qvhighlights

ROWS = [row("v/x_1.mp4", "a bus?", (10, 12), (3.25, 4)), failed(), row("v/y.mp4", "nothing?")]


def test_a_submission_to_qvhighlights_has_scored_windows_best_first(tmp_path):
    content = qvhighlights(ROWS)
    first, second = map(json.loads, text(content).splitlines())
    windows = [[10, 12, 0.9], [3.25, 4, 0.8]]
    assert first == {"qid": 0, "query": "a bus?", "vid": "x_1", "pred_relevant_windows": windows}
    assert (second["qid"], second["pred_relevant_windows"]) == (2, [])
    assert content.notes[1:] == ("query 1 is left out: the decoder -- failed",)
    (tmp_path / "s.jsonl").write_bytes(content.data)
    assert read_predictions(tmp_path / "s.jsonl") == [Prediction("0", windows), Prediction("2", [])]


def test_predictions_for_charades_have_every_query(tmp_path):
    content = charades(ROWS)
    told = json.loads(text(content))
    assert told["0"] == {"timestamp": [[10, 12], [3.25, 4]], "query": "a bus?", "vid": "x_1.mp4"}
    assert told["1"]["timestamp"] == told["2"]["timestamp"] == []
    assert content.notes[1:] == ("query 1 counts as a miss: the decoder -- failed",)
    (tmp_path / "s.json").write_bytes(content.data)
    assert [p.is_parsed for p in read_predictions(tmp_path / "s.json")] == [True, False, False]
