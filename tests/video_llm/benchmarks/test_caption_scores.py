import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tvu.video_llm.benchmarks import caption_scores
from tvu.video_llm.benchmarks.caption_data import read_true_captions
from tvu.video_llm.benchmarks.caption_scores import score_activitynet_dense, score_youcook2
from tvu.video_llm.benchmarks.meteor import find_java_tools
from tvu.video_llm.errors import BenchmarkError

YOUCOOK2 = Path(__file__).parents[4] / "shared" / "data" / "eval" / "youcook2"
OFFICIAL = {
    "Precision@0.3": 33.4534, "Recall@0.3": 34.4566, "Precision@0.5": 13.1221, "Recall@0.5": 14.0588,
    "Precision@0.7": 3.3753, "Recall@0.7": 3.6095, "Precision@0.9": 0.2282, "Recall@0.9": 0.2871,
    "Precision_Mean": 12.5448, "Recall_Mean": 13.1030, "F1_Score": 11.9764, "n_preds": 7.7349,
}  # fmt: skip
OFFICIAL_WORDS = {"CIDER": 2.7036, "METEOR": 1.0437, "SODA_c_2": 0.8435}


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


def truth(folder: Path) -> Path:
    video = {"segments": [[0, 10], [10, 20]], "pure_cap": "chop the onions. fry them in oil"}
    other = {"segments": [[5, 9]], "pure_cap": "boil water"}
    return written(folder / "t.json", {"annotations": [{"image_id": "a", **video}, {"image_id": "b", **other}]})


def told(start: float, end: float, caption: str) -> dict[str, object]:
    return {"timestamp": [start, end], "caption": caption}


@pytest.fixture
def without_java(monkeypatch):
    monkeypatch.setattr(caption_scores, "find_java_tools", lambda: None)


@pytest.mark.skipif(not YOUCOOK2.is_dir(), reason="the evaluation data are not beside this checkout")
def test_spans_of_the_example_are_scored_as_published_without_java(without_java):
    pred, gt = YOUCOOK2 / "dvc_example_pred_file.json", YOUCOOK2 / "dvc_example_gt_file.json.gz"
    numbers = score_youcook2(pred, gt).numbers
    assert {name: numbers[name] for name in OFFICIAL} == OFFICIAL
    assert round(numbers["Para_CIDER"], 1) == 2.5
    assert numbers["CIDER (plain tokens)"] == pytest.approx(2.7036, abs=0.01)
    assert not {"CIDER", "METEOR", "SODA_c_2", "Para_METEOR"} & numbers.keys()


@pytest.mark.skipif(not YOUCOOK2.is_dir(), reason="the evaluation data are not beside this checkout")
@pytest.mark.skipif(find_java_tools() is None, reason="needs Java and pycocoevalcap")
def test_all_of_the_example_is_scored_as_published_with_java():
    pred, gt = YOUCOOK2 / "dvc_example_pred_file.json", YOUCOOK2 / "dvc_example_gt_file.json.gz"
    summary = score_youcook2(pred, gt)
    expected = OFFICIAL | OFFICIAL_WORDS
    assert {name: summary.numbers[name] for name in expected} == expected
    assert (round(summary.numbers["Para_CIDER"], 1), round(summary.numbers["Para_METEOR"], 1)) == (2.5, 9.3)
    assert summary.notes == ()


def test_a_perfect_answer_has_all_spans_and_the_f1_of_videos_is_averaged(tmp_path, without_java):
    a = [told(0, 10, "chop the onions."), told(10, 20, "fry them in oil.")]
    numbers = score_youcook2(written(tmp_path / "p.json", {"a": a}), truth(tmp_path)).numbers
    assert numbers["Precision_Mean"] == numbers["Recall_Mean"] == numbers["F1_Score"] == 50  # b has none
    assert (numbers["n_preds"], numbers["videos"], numbers["videos_missing"]) == (1, 2, 1)
    assert numbers["CIDER (plain tokens)"] == pytest.approx(
        (1000 * 3 / 4 + 1000) / 2 / 2
    )  # a 3-gram caption, a 4-gram one


def test_precision_and_f1_of_spans_by_hand(tmp_path, without_java):
    # IoU 0.6 and, put in order, just below 0.5 with the first truth, 0.4 with the second
    pred = {"a": [told(0, 6, "x"), told(16, 20, "y"), told(9, 4, "z")], "b": []}
    numbers = score_youcook2(written(tmp_path / "p.json", pred), truth(tmp_path)).numbers
    assert numbers["Precision@0.3"] == pytest.approx(100 / 2)
    assert numbers["Recall@0.5"] == pytest.approx(50 / 2)
    precision, recall = (1 + 1 / 3) / 4, (1 + 1 / 2) / 4
    assert numbers["F1_Score"] == pytest.approx(100 * 2 * precision * recall / (precision + recall) / 2, abs=1e-4)


def test_a_missing_video_is_told_and_so_is_an_unknown_one(tmp_path, without_java):
    pred = written(tmp_path / "p.json", {"a": [told(0, 9, "chop")], "c": []})
    notes = score_youcook2(pred, truth(tmp_path)).notes
    assert "1 of 2 videos have no predictions" in notes[0]
    assert "1 videos of the predictions are not in the truth" in notes[1]
    assert "Java" in notes[2]


def test_the_published_layouts_of_the_truth_are_the_same_truth(tmp_path):
    coco = {
        "annotations": [{"image_id": "v", "segments": [[0, 1], [2, 3]], "caption": "A man sits. No. He stands up."}]
    }
    events = [{"segment": [0, 1], "sentence": "A man sits."}, {"segment": [2, 3], "sentence": "He stands up."}]
    youcook2 = {"database": {"v": {"subset": "validation", "annotations": events}, "w": {"subset": "training"}}}
    activitynet = {"v": {"duration": 3, "timestamps": [[0, 1], [2, 3]], "sentences": ["A man sits.", "He stands up."]}}
    for number, content in enumerate((coco, youcook2, activitynet)):
        (video,) = read_true_captions(written(tmp_path / f"{number}.json", content))
        assert video.id == "v"
        assert video.captions == ((0, 1, "A man sits."), (2, 3, "He stands up."))


def test_a_gzipped_file_may_have_any_name(tmp_path, without_java):
    pred = tmp_path / "p.json"
    pred.write_bytes(gzip.compress(json.dumps({"a": [told(0, 10, "chop")]}).encode()))
    assert score_activitynet_dense(pred, truth(tmp_path)).numbers["Recall@0.9"] == 25


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON"),
        (b'{"a": [', "no JSON"),
        (gzip.compress(b"{}" * 99, mtime=0)[:-9], "cannot be read"),  # a name for it that is the same in every process
        (b"\xff\xfe{\x00", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"a": {"timestamp": [0, 1]}}', "no list of captions for 'a'"),
        (b'{"a": [{"timestamp": [0, 1]}]}', "without 'caption'"),
        (b'{"a": [{"timestamp": [0, NaN], "caption": ""}]}', "not \\[start, end\\]"),
        (b'{"a": [{"timestamp": [0, 1e400], "caption": ""}]}', "not \\[start, end\\]"),
        (b'{"a": [{"timestamp": "0 1", "caption": ""}]}', "not \\[start, end\\]"),
        (b'{"a": [{"timestamp": [0, 1], "caption": null}]}', "no text"),
        (b'{"a.mp4": []}', "'a.mp4', the truth for 'a'"),
    ],
)
def test_predictions_in_another_format_are_an_error_that_says_where(tmp_path, content, message):
    pred = tmp_path / "p.json"
    pred.write_bytes(content)
    with pytest.raises(BenchmarkError, match=message):
        score_youcook2(pred, truth(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": [{"image_id": "v", "segments": [[0, 1]], "pure_cap": "a. b"}]}, "1 segments and 2 captions"),
        ({"annotations": [{"image_id": "v", "segments": [], "caption": ""}]}, "no captions of 'v'"),
        ({"annotations": [{"segments": []}]}, "without 'image_id'"),
        ({"annotations": []}, "no videos"),
        ({"v": 3}, "without 'timestamps'"),
    ],
)
def test_a_truth_in_another_format_is_an_error_that_says_where(tmp_path, content, message):
    with pytest.raises(BenchmarkError, match=message):
        read_true_captions(written(tmp_path / "t.json", content))


def test_the_file_name_of_the_truth_tells_the_split_and_val_is_the_usual_one():
    assert caption_scores.split_of(Path("train.caption_coco_format.json")) == 1
    assert caption_scores.split_of(Path("dvc_example_gt_file.json.gz")) == 2


def test_soda_takes_scores_in_the_text_order_of_their_numbers_and_predictions_as_references():
    class Numbers:
        def score_each(self, references, captions):
            return [float(reference) for reference in references]

    video = caption_scores._Video(np.ones((1, 12)), ["truth"], list(map(str, range(12))))
    assert caption_scores._similarities(video, Numbers()).tolist() == [[0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]]
