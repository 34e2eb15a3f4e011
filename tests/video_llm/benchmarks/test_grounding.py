import json
from pathlib import Path

import pytest

from tvu.video_llm.benchmarks import grounding
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.types import AskConfig, Item, Json, Record, Response, Summary
from tvu.video_llm.errors import BenchmarkError

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
QVHIGHLIGHTS = (
    Path(__file__).parents[4] / "shared" / "data" / "eval" / "qvhighlights" / "highlight_val_release.jsonl.gz"
)


def moment(item_id: str, *windows: list[float], video: str = "a", duration: float = 20.0, group: str = "") -> Item:
    return Item(item_id, video, "a dog", list(windows), group, facts={"duration": duration})


def summed(benchmark, items: list[Item], predictions: dict[str, Json]) -> Summary:
    """Of a run that gave these predictions, written and read back; a status in the place of one is that status."""
    records = []
    for item in items:
        if item.id in predictions:
            prediction = predictions[item.id]
            response = Response(prediction) if isinstance(prediction, str) else Response("parsed", prediction)
            record = Record.of(item, response, benchmark.judge(item, response), 0.1)
            records.append(Record.from_json(json.loads(json.dumps(record.as_json()))))
    return benchmark.sum_up(items, records)


def test_the_first_span_is_scored_against_the_true_one_it_meets_best():
    item = moment("0", [0, 4], [10, 14])
    response = Response("parsed", [[10, 12, 0.3], [0, 4, 0.9]])
    assert grounding.moments().judge(item, response) == 0.5


def test_telling_nothing_is_right_where_nothing_answers():
    judge = grounding.moments().judge
    assert judge(moment("0"), Response("parsed", [])) == 1.0
    assert judge(moment("0"), Response("unparsed")) == 0.0
    assert judge(moment("0"), Response("parsed", [[1, 2, 0.5]])) == 0.0
    assert judge(moment("0", [1, 2]), Response("parsed", [])) == 0.0
    assert judge(moment("0", [1, 2]), Response("missing")) is None


def test_a_run_comes_to_recalls_and_what_they_leave_out():
    items = [moment("0", [0, 4]), moment("1", [0, 10]), moment("2", [5, 6]), moment("3")]
    predictions = {"0": [[0, 4, 1.0]], "1": [[0, 4, 0.6], [0, 9, 0.5]], "2": "unparsed", "3": []}
    numbers = summed(grounding.moments(), items, predictions).numbers
    assert (numbers["R1@0.3"], numbers["R1@0.5"]) == (pytest.approx(200 / 3), pytest.approx(100 / 3))
    assert (numbers["R5@0.7"], numbers["mIoU"]) == (pytest.approx(200 / 3), pytest.approx(140 / 3))
    assert (numbers["n_absent"], numbers["absent_right"], numbers["parse_failure_rate"]) == (1, 100, 25)
    assert (numbers["spans_told"], numbers["spans_true"]) == (0.75, 0.75)
    assert numbers["right_auroc"] == 1.0
    assert numbers["abstention_auroc"] == pytest.approx((1 + 1 + 0.5) / 3)


def test_items_that_were_not_run_are_counted_and_scored_both_ways():
    items = [moment("0", [0, 4]), moment("1", [0, 4], video="b"), moment("2", [0, 4]), moment("3", [0, 4])]
    summary = summed(grounding.moments(), items, {"0": [[0, 4, 1.0]], "1": "missing", "2": "undecodable"})
    numbers = summary.numbers
    assert (numbers["R1@0.7"], numbers["all/R1@0.7"]) == (100, 25)
    counted = [numbers[f"n_{name}"] for name in ("expected", "run", "missing", "undecodable", "not_asked")]
    assert counted == [4, 1, 1, 1, 1]
    assert any("missing or cannot be read: a, b" in note for note in summary.notes)


def test_nothing_run_is_no_score():
    numbers = summed(grounding.moments(), [moment("0", [0, 4])], {}).numbers
    assert (numbers["R1@0.5"], numbers["all/R1@0.5"], numbers["n_not_asked"]) == (None, 0.0, 1)


def test_scores_stand_beside_what_needs_no_model():
    tables = summed(grounding.moments(), [moment("0", [0, 16])], {"0": [[0, 16, 1.0]]}).tables
    blind = next(table for table in tables if "without a model" in table.title)
    assert [(row[0], row[2:6]) for row in blind.rows] == [
        ("whole video", (100, 100, 100, 80)),
        ("middle half", (100, 100, 0, 62.5)),
        ("first third", (100, 0, 0, 41.67)),
    ]


@pytest.mark.skipif(not QVHIGHLIGHTS.is_file(), reason="the reference files are not beside this checkout")
def test_answers_without_a_model_score_on_qvhighlights_as_was_measured():
    benchmark = grounding.qvhighlights()
    items = benchmark.read(QVHIGHLIGHTS)
    records = [Record.of(item, Response("parsed"), 0.0, 0.0) for item in items]
    blind = next(table for table in benchmark.sum_up(items, records).tables if "without a model" in table.title)
    expected = {
        "whole video": (20.1, 9.0, 6.1, 23.9),
        "middle half": (28.9, 12.3, 1.4, 21.1),
        "first third": (32.65, 13.9, 5.5, 20.4),  # 506 of 1,550; the sheet has 32.7
    }
    assert {row[0]: row[2:6] for row in blind.rows} == {k: pytest.approx(v, abs=0.05) for k, v in expected.items()}


def test_groups_are_scored_each():
    items = [moment("0", [0, 4], group="charades"), moment("1", [0, 4], group="activitynet")]
    numbers = summed(grounding.timelens(), items, {"0": [[0, 4]], "1": [[8, 9]]}).numbers
    assert (numbers["charades/mIoU"], numbers["activitynet/mIoU"], numbers["mIoU"]) == (100, 0, 50)


def test_questions_of_one_video_count_as_one_in_activitynet_rtl():
    items = [moment("0", [0, 4]), moment("1", [0, 4]), moment("2", [0, 10], video="b")]
    predictions = {"0": [[0, 4, 1.0]], "1": [[8, 9, 1.0]], "2": "unparsed"}  # the last counts as the whole video
    numbers = summed(grounding.activitynet_rtl(), items, predictions).numbers
    assert (numbers["mIoU"], numbers["P@0.5"]) == (50, 75)


def question(item_id: str, choice: int) -> Item:
    truth = {"choice": choice, "spans": [[4.0, 8.0], [12.0, 13.0]]}
    return Item(item_id, "a", "why", truth, "CW", options=("a", "b", "c"), facts={"duration": 20.0})


@pytest.mark.parametrize(
    ("choice", "span", "score"),
    [(1, [5, 7], 1.0), (0, [5, 7], 0.0), (1, [6, 11], 0.0), (1, [5, 5], 1.0), (1, [9, 9], 0.0), (None, [5, 7], 0.0)],
)
def test_an_answer_of_nextgqa_is_right_with_half_its_span_in_the_truth(choice, span, score):
    response = Response("parsed", {"choice": choice, "spans": [span]})
    assert grounding.nextgqa().judge(question("0", 1), response) == score


def test_questions_without_a_span_leave_the_denominator_of_nextgqa():
    items = [question("0", 1), question("1", 1), question("2", 1)]
    predictions = {"0": {"choice": 1, "spans": [[5, 7, 0.9]]}, "1": {"choice": 1, "spans": []}, "2": "unparsed"}
    numbers = summed(grounding.nextgqa(), items, predictions).numbers
    assert (numbers["Acc@GQA"], numbers["mIoP"], numbers["mIoU"]) == (100, 100, 50)
    assert numbers["Acc@QA"] == pytest.approx(200 / 3)


@pytest.mark.parametrize("name", ["moments", "qvhighlights", "activitynet_rtl", "nextgqa"])
def test_what_may_be_asked_for_is_told_and_all_else_refused(name):
    benchmark = getattr(grounding, name)()
    item = question("0", 1) if name == "nextgqa" else moment("0", [0, 4])
    model = baseline_named("baseline:oracle")
    for protocol in benchmark.protocols:
        assert benchmark.ask(item, SAMPLE, model, AskConfig(protocol)).status in ("parsed", "unparsed")
    for matching in benchmark.matchings:
        benchmark.ask(item, SAMPLE, model, AskConfig("official", matching))
    with pytest.raises((BenchmarkError, ValueError)):
        benchmark.ask(item, SAMPLE, model, AskConfig("unheard-of"))


@pytest.fixture
def data(tmp_path) -> Path:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").symlink_to(SAMPLE)
    return tmp_path


def write(path: Path, *rows: Json) -> None:
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")


def test_an_oracle_is_right_on_a_folder_of_data_and_half_the_video_is_not(data):
    row = {"query": "a card", "duration": 18, "vid": "a", "relevant_windows": [[2, 10]]}
    write(data / "any.jsonl", {**row, "qid": 1}, {**row, "qid": 2, "relevant_windows": []})
    benchmark = grounding.moments()
    scores = {}
    for name in ("oracle", "whole"):
        model = baseline_named(f"baseline:{name}")
        items = benchmark.read(data)
        told = [benchmark.ask(item, benchmark.video_of(item, data), model, AskConfig()) for item in items]
        scores[name] = [benchmark.judge(item, response) for item, response in zip(items, told, strict=True)]
    assert scores == {"oracle": [1.0, 1.0], "whole": [pytest.approx(8 / 18), 0.0]}


def test_of_several_files_of_moments_one_has_to_be_named(data):
    row = {"query": "a card", "duration": 18, "vid": "a", "relevant_windows": [[2, 10]]}
    for name in ("a.jsonl", "b.jsonl"):
        write(data / name, row)
    with pytest.raises(BenchmarkError, match="2 files"):
        grounding.moments().read(data)
    benchmark = grounding.moments()
    (item,) = benchmark.read(data / "b.jsonl")
    assert benchmark.video_of(item, data / "b.jsonl") == data / "videos" / "a.mp4"


def test_highlights_are_told_with_the_moments_of_the_same_look(data):
    row = {"qid": 1, "query": "a card", "duration": 18, "vid": "a", "relevant_windows": [[2, 10]]}
    write(data / "highlight_val_release.jsonl", {**row, "relevant_clip_ids": [1], "saliency_scores": [[4, 4, 4]]})
    benchmark = grounding.qvhighlights()
    (item,) = benchmark.read(data)
    response = benchmark.ask(item, benchmark.video_of(item, data), baseline_named("baseline:oracle"), AskConfig())
    assert response.prediction["pred_relevant_windows"] == [[2, 10, 1]]
    assert response.prediction["pred_saliency_scores"] == [0, 1, 1, 1, 1, 0, 0, 0, 0]


def test_spans_of_charades_are_cut_by_the_clock_of_the_video_where_no_file_tells_how_long_it_is(data):
    (data / "charades_sta_test.txt").write_text("a 2.0 99##a card.\nb 2.0 99##a card.\n")
    assert [item.truth for item in grounding.charades_sta().read(data)] == [[[2.0, 99.0]]] * 2
    assert [item.truth for item in grounding.charades_sta_clamped().read(data)] == [[[2.0, 18.0]], [[2.0, 99.0]]]
    write(data / "charades_test_release.jsonl", {"query": "x", "duration": 9, "vid": "a", "relevant_windows": [[2, 9]]})
    assert [item.truth for item in grounding.charades_sta_clamped().read(data)] == [[[2.0, 9.0]]]
