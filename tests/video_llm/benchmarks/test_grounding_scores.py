"""Predictions scored without a model: to the printed digit what the published scripts give."""

import gzip
import json
from pathlib import Path

import pytest

from tvu.video_llm.benchmarks import grounding
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.grounding_scores import (
    score_activitynet_captions,
    score_activitynet_rtl,
    score_charades_sta,
    score_charades_sta_clamped,
    score_nextgqa,
    score_qvhighlights,
    score_spans,
    score_timelens,
)
from tvu.video_llm.benchmarks.runs import carry_out
from tvu.video_llm.benchmarks.types import AskConfig
from tvu.video_llm.errors import BenchmarkError

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
REFERENCES = Path(__file__).parents[4] / "shared" / "data" / "eval"
QVHIGHLIGHTS = REFERENCES / "qvhighlights"
TRUTH = QVHIGHLIGHTS / "highlight_val_release.jsonl.gz"
CHARADES = REFERENCES / "charades_sta"

needs_references = pytest.mark.skipif(not TRUTH.is_file(), reason="the reference files are not beside this checkout")


def put(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def sample_lines() -> list[dict]:
    with gzip.open(QVHIGHLIGHTS / "sample_val_preds.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


@needs_references
def test_qvhighlights_gives_every_number_of_its_authors():
    numbers = score_qvhighlights(QVHIGHLIGHTS / "sample_val_preds.jsonl.gz", TRUTH).numbers
    official = json.loads((QVHIGHLIGHTS / "sample_val_preds_metrics_raw.json").read_text())
    expected = dict(official["brief"])
    for part, metrics in official.items():
        if part.startswith("HL-"):
            expected |= {f"{part}-{name.removeprefix('HL-')}": value for name, value in metrics.items()}
        elif part != "brief":
            for metric in ("R1", "mAP"):
                values = metrics[f"MR-{metric}"]
                expected |= {f"MR-{part}-{metric}@{t}": v for t, v in values.items() if t != "average"}
            expected[f"MR-{part}-mAP"] = metrics["MR-mAP"]["average"]
    assert len(expected) > 80
    assert {name: numbers.get(name) for name in expected} == expected


VARIANTS = {
    "reversed": (
        lambda r: {**r, "pred_relevant_windows": r["pred_relevant_windows"][::-1]},
        (4.90, 1.61, 32.19, 54.90),
    ),
    "first only": (
        lambda r: {**r, "pred_relevant_windows": r["pred_relevant_windows"][:1]},
        (53.94, 34.84, 27.22, 44.43),
    ),
    "whole": (lambda r: {**r, "pred_relevant_windows": [[0, 150, 1.0]]}, (8.90, 6.00, 5.55, 7.92)),
    "inverted": (
        lambda r: {**r, "pred_relevant_windows": [[b, a, s] for a, b, s in r["pred_relevant_windows"]]},
        (0.0, 0.0, 15.13, 15.13),
    ),
}


@needs_references
@pytest.mark.parametrize("name", VARIANTS)
def test_odd_windows_score_as_officially(sample_lines, tmp_path, name):
    change, expected = VARIANTS[name]
    numbers = score_qvhighlights(put(tmp_path / "p.jsonl", *map(change, sample_lines)), TRUTH).numbers
    keys = ("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mAP", "MR-full-mAP@0.5")
    assert tuple(numbers[key] for key in keys) == expected


@needs_references
@pytest.mark.parametrize(
    ("saliency", "expected"),
    [(lambda s: [0] * 75, (24.78, 11.04, 14.97)), (lambda s: s[:40], (56.39, 28.86, 43.16))],
    ids=["all zero", "cut short"],
)
def test_odd_saliency_scores_as_officially(sample_lines, tmp_path, saliency, expected):
    rows = [{"qid": r["qid"], "pred_saliency_scores": saliency(r["pred_saliency_scores"])} for r in sample_lines]
    numbers = score_qvhighlights(put(tmp_path / "p.jsonl", *rows), TRUTH).numbers
    keys = ("HL-min-Fair-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1")
    assert tuple(numbers[key] for key in keys) == expected
    assert "MR-full-mAP" not in numbers


@needs_references
def test_of_predictions_of_some_queries_only_those_are_scored_and_the_others_counted(sample_lines, tmp_path):
    summary = score_qvhighlights(put(tmp_path / "p.jsonl", *sample_lines[:1500]), TRUTH)
    keys = ("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mAP", "MR-full-mAP@0.5", "HL-min-Fair-mAP")
    assert tuple(summary.numbers[key] for key in keys) == (54.07, 35.00, 32.34, 55.05, 67.90)
    assert summary.numbers["n_without_prediction"] == 50
    assert summary.numbers["all/MR-full-R1@0.5"] == pytest.approx(54.07 * 1500 / 1550, abs=0.01)
    assert any("50 of 1550 items have no prediction" in note for note in summary.notes)


@needs_references
def test_highlights_of_vtg_llms_example_are_as_measured():
    numbers = score_qvhighlights(QVHIGHLIGHTS / "vhd_example_pred_file.json.gz", TRUTH).numbers
    levels = {"Fair": (28.80, 24.61), "Good": (22.80, 23.17), "VeryGood": (13.24, 18.87)}
    assert {n: (numbers[f"HL-min-{n}-mAP"], numbers[f"HL-min-{n}-Hit1"]) for n in levels} == levels


@needs_references
def test_charades_sta_of_vtg_llms_example_is_as_measured():
    files = (CHARADES / "tvg_example_pred_file.json", CHARADES / "tvg_example_gt_file.json.gz")
    numbers = score_charades_sta(*files).numbers
    assert [numbers[f"R1@{t}"] for t in ("0.0", 0.3, 0.5, 0.7)] == [44.0, 9.0, pytest.approx(3.4), pytest.approx(1.4)]
    assert [numbers[f"hits@{t}"] for t in ("0.0", 0.3, 0.5, 0.7)] == [220, 45, 17, 7]
    assert round(numbers["mIoU"], 4) == 6.2998
    assert (numbers["n_run"], numbers["n_unparsed"], numbers["parse_failure_rate"]) == (500, 280, 56)


MOMENTS = [
    {"qid": 1, "query": "a", "duration": 20, "vid": "a", "relevant_windows": [[0, 4]]},
    {"qid": 2, "query": "b", "duration": 20, "vid": "a", "relevant_windows": [[0, 10]]},
]


def test_any_moments_are_scored(tmp_path):
    pred = put(tmp_path / "p.jsonl", {"qid": 2, "pred_relevant_windows": [[0, 5, 0.9]]})
    numbers = score_spans(pred, put(tmp_path / "t.jsonl", *MOMENTS)).numbers
    assert (numbers["mIoU"], numbers["all/mIoU"]) == (50, 25)
    assert (numbers["mAP@0.5"], numbers["mAP@0.75"], numbers["mAP"]) == (100, 0, 10)


def test_of_a_query_that_comes_twice_windows_are_pooled_for_map_and_the_last_counts_for_recall(tmp_path):
    rows = [{"qid": 1, "pred_relevant_windows": [[0, 4, 0.9]]}, {"qid": 1, "pred_relevant_windows": [[9, 10, 0.1]]}]
    truth = put(tmp_path / "t.jsonl", {**MOMENTS[0], "relevant_clip_ids": [], "saliency_scores": []})
    numbers = score_qvhighlights(put(tmp_path / "p.jsonl", *rows), truth).numbers
    assert (numbers["MR-full-R1@0.5"], numbers["MR-full-mAP"]) == (0, 100)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    pred = put(tmp_path / "p.jsonl", {"qid": 7, "pred_relevant_windows": []})
    with pytest.raises(BenchmarkError, match="of queries like '7', and the truth has queries like '1'"):
        score_spans(pred, put(tmp_path / "t.jsonl", *MOMENTS))


def test_predictions_of_unknown_queries_are_left_out_and_counted(tmp_path):
    rows = [{"qid": qid, "pred_relevant_windows": [[0, 4]]} for qid in (1, 2, 8, 9)]
    summary = score_spans(put(tmp_path / "p.jsonl", *rows), put(tmp_path / "t.jsonl", *MOMENTS))
    assert any(note.startswith("2 predictions are of queries that the truth does not have") for note in summary.notes)


def test_predictions_without_windows_are_no_moments(tmp_path):
    pred = put(tmp_path / "p.jsonl", {"qid": 1, "pred_saliency_scores": [1]})
    with pytest.raises(BenchmarkError, match="query 1, has no 'pred_relevant_windows'"):
        score_spans(pred, put(tmp_path / "t.jsonl", *MOMENTS))


def test_charades_is_scored_against_both_its_truths(tmp_path):
    truth = put(tmp_path / "charades_sta_test.txt", "AB 10.0 30.0##person sits.")
    put(tmp_path / "Charades_v1_test.csv", "id,length", "AB,20.0")
    pred = put(tmp_path / "p.json", {"0": {"timestamp": [[10, 20]]}})
    assert score_charades_sta(pred, truth).numbers["mIoU"] == 50
    assert score_charades_sta_clamped(pred, truth).numbers["mIoU"] == 100


def test_sentences_of_activitynet_are_named_by_their_place_in_the_video(tmp_path):
    truth = put(tmp_path / "t.json", {"v_a": {"duration": 9, "timestamps": [[0, 4], [4, 8]], "sentences": ["x", "y"]}})
    pred = put(tmp_path / "p.json", {"v_a/1": {"timestamp": [[4, 8]]}, "v_a/0": {"timestamp": [[4, 8]]}})
    assert score_activitynet_captions(pred, truth).numbers["mIoU"] == 50


def test_text_of_activitynet_rtl_is_read_as_lita_reads_it(tmp_path):
    row = {"vid": "a", "duration": 20.0, "question": "When?", "answer": "<0.0> <5.0> So."}
    truth = put(tmp_path / "t.json", [{**row, "question_id": i} for i in range(3)])
    rows = [
        {"question_id": 0, "text": "<5.0> <0.0> because"},
        {"question_id": 1, "text": "I do not know"},  # the whole video
        {"question_id": 2, "timestamps": [[0, 2.5]]},
    ]
    numbers = score_activitynet_rtl(put(tmp_path / "p.jsonl", *rows), truth).numbers
    assert numbers["mIoU"] == pytest.approx(100 * (1 + 0.25 + 0.5) / 3)
    assert (numbers["P@0.5"], numbers["n_unparsed"]) == (pytest.approx(200 / 3), 1)
    with pytest.raises(BenchmarkError, match="has neither 'text' nor 'timestamps'"):
        score_activitynet_rtl(put(tmp_path / "p.jsonl", {"question_id": 0}), truth)


def test_scores_that_are_no_probabilities_have_no_calibration_error(tmp_path):
    truth = put(tmp_path / "t.jsonl", {"qid": 1, "query": "x", "duration": 9, "vid": "a", "relevant_windows": [[0, 4]]})
    for score in (4.2, -1.5):
        pred = put(tmp_path / "p.jsonl", {"qid": 1, "pred_relevant_windows": [[0, 4, score], [5, 6, 0.5]]})
        summary = score_spans(pred, truth)
        assert (summary.numbers["R1@0.7"], summary.numbers["ece"]) == (100, None)
        assert any("no calibration error" in note for note in summary.notes)


def test_lengths_are_told_apart_for_programs_too(tmp_path):
    row = {"query": "x", "duration": 90, "vid": "a"}
    rows = [{**row, "qid": 1, "relevant_windows": [[0, 10]]}, {**row, "qid": 2, "relevant_windows": [[0, 40]]}]
    pred = put(tmp_path / "p.jsonl", *({"qid": n, "pred_relevant_windows": [[0, 10]]} for n in (1, 2)))
    numbers = score_spans(pred, put(tmp_path / "t.jsonl", *rows)).numbers
    assert (numbers["length-short/R1@0.5"], numbers["length-long/R1@0.5"]) == (100, 0)
    assert numbers["length-long/queries"] == 1 and "length-middle/mIoU" not in numbers


@pytest.fixture
def nextgqa(tmp_path) -> Path:
    spans = {"11": {"duration": 35, "location": {"5": [[0.0, 10.0]], "6": [[4.0, 8.0], [20.0, 21.0]]}, "fps": 25}}
    questions = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4"
    rows = [f"11,9,1,1,why,c,{qid},CW,a,b,c,d,e" for qid in (5, 6)]
    put(tmp_path / "test.csv", questions, *rows)
    return put(tmp_path / "gsub_test.json", spans)


def test_nextgqa_takes_options_from_beside_or_from_the_same_file(nextgqa, tmp_path):
    spans = {"11_5": [0.0, 20.0], "11_6": [5.0, 7.0]}
    (tmp_path / "told").mkdir()
    alone = put(tmp_path / "told" / "spans.json", spans)
    summary = score_nextgqa(alone, nextgqa)
    assert (summary.numbers["mIoP"], summary.numbers["mIoU"]) == (75, 50)
    assert (summary.numbers["IoP@0.5"], summary.numbers["IoU@0.3"]) == (100, 100)
    assert summary.numbers["Acc@GQA"] is None
    assert any("only spans are scored" in note for note in summary.notes)
    put(tmp_path / "told" / "test-res.json", {"11_5": {"answer": 2, "prediction": 2}, "11_6": {"prediction": 0}})
    assert score_nextgqa(alone, nextgqa).numbers["Acc@GQA"] == 50
    both = {query: {"span": span, "prediction": 2} for query, span in spans.items()}
    assert score_nextgqa(put(tmp_path / "both.json", both), nextgqa).numbers["Acc@GQA"] == 100


def test_a_question_of_nextgqa_without_a_span_is_in_no_official_score_and_that_is_told(nextgqa, tmp_path):
    both = {"11_5": {"span": [0.0, 10.0], "prediction": 2}, "11_6": {"span": None, "prediction": 2}}
    summary = score_nextgqa(put(tmp_path / "p.json", both), nextgqa)
    assert (summary.numbers["Acc@GQA"], summary.numbers["Acc@GQA_of_all"]) == (100, 50)
    assert any("in no score but Acc@QA and Acc@GQA_of_all" in note for note in summary.notes)


def test_gaussian_masks_of_nextgqa_are_shares_of_the_video(nextgqa, tmp_path):
    duration = json.loads(nextgqa.read_text())["11"]["duration"]
    seconds = put(tmp_path / "spans.json", {"11_5": [5.0, 7.0]})
    shares = put(tmp_path / "test_ground_gs.json", {"11_5": [5.0 / duration, 7.0 / duration]})
    assert score_nextgqa(shares, nextgqa).numbers == score_nextgqa(seconds, nextgqa).numbers


def test_an_option_of_nextgqa_is_a_number(nextgqa, tmp_path):
    with pytest.raises(BenchmarkError, match="has the option 'C'"):
        score_nextgqa(put(tmp_path / "p.json", {"11_5": {"span": [0, 1], "prediction": "C"}}), nextgqa)


def test_results_of_timelens_are_found_by_video_query_and_span(tmp_path):
    entry = {"duration": 20, "spans": [[0, 4], [0.5, 8.5]], "queries": ["a man sits.", "he stands"]}
    truth = put(tmp_path / "charades-timelens.json", {"AB": entry})
    rows = [
        {"AB>>>a man sits>>>[0, 4]": {"timestamps": [[0.0, 4.0], [9, 10]], "answers": ""}},
        {"AB>>>he stands>>>(0.5, 8.5)": {"answers": "The event happens in 4.5 - 8.5 seconds."}},
    ]
    assert score_timelens(put(tmp_path / "p.jsonl", *rows), truth).numbers["mIoU"] == 75
    assert score_timelens(put(tmp_path / "p.json", {**rows[0], **rows[1]}), truth).numbers["mIoU"] == 75
    named = {"AB.mp4>>>a man sits>>>[0, 4]": rows[0]["AB>>>a man sits>>>[0, 4]"]}  # as its script and lmms-eval do
    named["videos/c/AB.mp4>>>he stands>>>[[0.5, 8.5]]"] = rows[1]["AB>>>he stands>>>(0.5, 8.5)"]
    assert score_timelens(put(tmp_path / "p.json", named), truth).numbers["mIoU"] == 75
    unread = {"AB>>>he stands>>>[0.5, 8.5]": {"answers": "never"}}
    assert score_timelens(put(tmp_path / "p.json", unread), truth).numbers["n_unparsed"] == 1


@pytest.mark.parametrize("key", ["AB", "AB>>>x", "AB>>>x>>>[1]", "AB>>>x>>>__import__('os')", "AB>>>x>>>[1, 'a']"])
def test_a_key_of_timelens_is_data_and_never_run(tmp_path, key):
    truth = put(tmp_path / "t.json", {"AB": {"duration": 20, "spans": [[0, 4]], "queries": ["x"]}})
    with pytest.raises(BenchmarkError, match="is no VIDEO>>>QUERY"):
        score_timelens(put(tmp_path / "p.json", {key: {"timestamps": []}}), truth)


def test_what_a_run_submits_scores_as_the_run_did(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").symlink_to(SAMPLE)
    truth = {"relevant_windows": [[2, 10]], "relevant_clip_ids": [1, 2], "saliency_scores": [[4, 4, 4], [3, 2, 4]]}
    rows = [{"qid": i, "query": "a card", "duration": 18, "vid": "a", **truth} for i in range(3)]
    data = put(tmp_path / "highlight_val_release.jsonl", *rows)
    model = baseline_named("baseline:middle")
    summary = carry_out(grounding.qvhighlights(), tmp_path, model, tmp_path / "run", AskConfig())
    scored = score_qvhighlights(tmp_path / "run" / "submission.jsonl", data)
    official = [name for name in summary.numbers if name.startswith(("MR-", "HL-"))]
    assert len(official) > 80
    assert [scored.numbers[name] for name in official] == [summary.numbers[name] for name in official]
