import json
from pathlib import Path

import pytest

from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.alignment import crosstask, ht_step, htm_align
from tvu.video_llm.benchmarks.alignment_data import read_cross_task
from tvu.video_llm.benchmarks.alignment_scores import score_crosstask, score_htm_align
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.types import AskConfig, Benchmark, Record, Response
from tvu.video_llm.errors import BenchmarkError
from tvu.video_llm.narration.model import Place
from tvu.video_llm.types import Answer, Grounding, VideoClip

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
NARRATION = {
    "v": [[1, 3.4, 5.2, "add oil"], [0, 6, 7, "hello"], [1, 8.2, 8.7, "stir"], [1, 10, 12, "serve"]],
    "w": [[0, 0, 1, "welcome"]],
}


class Finder:
    """A model that finds what it was told to find."""

    name = "finder"

    def __init__(self, spans: dict[str, tuple[float, float]]) -> None:
        self.spans, self.times_asked = spans, 0

    def find(self, clip: VideoClip, queries: list[str]) -> list[Answer]:
        self.times_asked += 1
        found = [(Grounding(Span(*self.spans[q]), 0.9, "visual"),) if q in self.spans else () for q in queries]
        return [Answer(query, "", groundings, self.name) for query, groundings in zip(queries, found, strict=True)]


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


def htm(folder: Path, prediction: object):
    return score_htm_align(written(folder / "p.json", prediction), written(folder / "htm_align.json", NARRATION))


def run(benchmark: Benchmark, data: Path, model: Finder) -> tuple[list, list[Record]]:
    items = benchmark.read(data)
    records = [Record.of(item, benchmark.ask(item, SAMPLE, model, AskConfig()), None, 1.0) for item in items]
    return items, [Record.from_json(json.loads(json.dumps(record.as_json()))) for record in records]


def test_the_two_conventions_differ_where_a_second_lies_beside_the_interval(tmp_path):
    numbers = htm(tmp_path, {"v": [3, 0, 8, 12], "w": [0]}).numbers
    assert numbers["R1-TAN"] == 100  # 3 is in [3, 6], 8 in [8, 9]
    assert numbers["R1-NSVA"] == pytest.approx(100 / 3, abs=1e-4)  # neither 3 in [3.4, 5.2] nor 8 in [8.2, 8.7]
    assert numbers["AUC"] is None


def test_alignability_is_told_apart_over_all_sentences(tmp_path):
    prediction = {"v": {"seconds": [4, 1, 8, 11], "alignability": [0.9, 0.3, 0.8, 0.2]}}
    prediction["w"] = {"seconds": [0], "alignability": [0.1]}
    assert htm(tmp_path, prediction).numbers["AUC"] == pytest.approx(100 * 5 / 6, abs=1e-4)  # only 0.2 < 0.3 is wrong


def test_a_sentence_without_a_second_and_a_missing_video_are_wrong(tmp_path):
    summary = htm(tmp_path, {"v": [4, None, None, 11]})
    assert summary.numbers["R1-TAN"] == pytest.approx(200 / 3, abs=1e-4)
    assert (summary.numbers["alignable"], summary.numbers["videos_missing"]) == (3, 1)
    assert any("NSVA's script drops them" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        ({"v": [1, 2]}, "4 sentences, and 2 seconds"),
        ({"v": ["a", 1, 2, 3]}, "neither a number nor null"),
        ({"v": {"seconds": [1, 2, 3, 4], "alignability": [1]}}, "alignability"),
        ({"v": 3}, "no list for 'v'"),
        ({"x": [1]}, "not those of the truth"),
        ([], "no JSON object"),
    ],
)
def test_alignments_in_another_format_are_an_error_that_says_where(tmp_path, prediction, message):
    with pytest.raises(BenchmarkError, match=message):
        htm(tmp_path, prediction)


def test_all_sentences_of_a_video_are_asked_for_at_once_and_get_the_middle_second(tmp_path):
    written(tmp_path / "htm_align.json", NARRATION)
    model = Finder({"add oil": (3.0, 5.5), "serve": (20, 30)})
    items, records = run(htm_align(), tmp_path, model)
    assert records[0].prediction == {"seconds": [4, None, None, 25], "alignability": [0.9, 0.0, 0.0, 0.9]}
    assert model.times_asked == 2
    numbers = htm_align().sum_up(items, records).numbers
    assert numbers["R1-NSVA"] == pytest.approx(100 / 3, abs=1e-4)
    assert numbers["AUC"] == pytest.approx(100 * (2 / 3 + 1 / 3 / 2), abs=1e-4)
    assert htm_align().sum_up(items, records[:1]).numbers["videos_not_run"] == 1


def test_headlines_of_steps_are_submitted_as_one_second_each(tmp_path):
    data = written(tmp_path / "ht_step.json", {"v": {"step_headline": ["fry", "eat"]}, "w": {"step_headline": ["cut"]}})
    items, records = run(ht_step(), data, Finder({"eat": (2, 5)}))
    (text,) = ht_step().submission(items, records[:1]).values()
    assert json.loads(text) == {"v": [0, 3], "w": [0]}
    assert "hidden" in ht_step().sum_up(items, records).notes[0]


@pytest.fixture
def cross_task(tmp_path) -> Path:
    tasks = ["23", "Make Jam", "http://x", "3", "wash fruit,boil,fill jar", "", "40", "Build", "http://y", "1", "saw"]
    (tmp_path / "tasks_primary.txt").write_text("\n".join(tasks) + "\n", "utf-8")
    (tmp_path / "annotations").mkdir()
    for name, rows in (
        ("23_a_b", "1,2.5,4.2\n3,10,12\n1,20.0,21.5\n"),
        ("23_c", "2,0.0,5.0\n"),
        ("40_d", "1,7,9\n"),
        ("99_e", "1,0,1\n"),  # no primary task
    ):
        (tmp_path / "annotations" / f"{name}.csv").write_text(rows, "utf-8")
    return tmp_path


def test_average_recall_is_the_mean_over_tasks_of_steps_found(tmp_path, cross_task):
    prediction = {"23_a_b": {"1": 20.9, "2": 3, "3": 12}, "23_c": [None, 4.99], "40_d": {"1": 7}}
    summary = score_crosstask(written(tmp_path / "p.json", prediction), cross_task)
    # task 23: step 1 the second time that it occurs, step 3 a second too late, step 2 of the other video
    assert summary.numbers["average_recall"] == pytest.approx((100 * 2 / 3 + 100) / 2, abs=1e-4)
    assert (summary.numbers["tasks"], summary.numbers["steps"]) == (2, 4)
    assert "18 primary tasks" in summary.notes[0]


def test_a_step_that_takes_no_second_does_not_occur(tmp_path, cross_task):
    (cross_task / "annotations" / "23_c.csv").write_text("2,0.0,5.0\n1,3,3\n", "utf-8")
    summary = score_crosstask(written(tmp_path / "p.json", {"23_c": [3, 4], "40_d": [7]}), cross_task)
    assert summary.numbers["steps"] == 4


def test_steps_of_missing_videos_are_not_found(tmp_path, cross_task):
    summary = score_crosstask(written(tmp_path / "p.json", {"40_d": [7]}), cross_task)
    assert (summary.numbers["average_recall"], summary.numbers["videos_missing"]) == (50, 2)


def test_a_list_of_validation_videos_chooses(cross_task):
    (cross_task / "videos_val.csv").write_text("23,c,http://\n99,e,http://\n", "utf-8")
    assert [video.id for video in read_cross_task(cross_task)] == ["23_c"]


def test_the_oracle_is_told_when_each_sentence_and_step_is_shown(tmp_path, cross_task):
    written(tmp_path / "htm_align.json", {"v": NARRATION["v"]})
    for benchmark, name in ((htm_align(), "R1-TAN"), (crosstask(), "average_recall")):
        for model, least in (("oracle", 100), ("random", 0)):
            items, records = run(benchmark, tmp_path, baseline_named(f"baseline:{model}"))
            assert benchmark.sum_up(items, records).numbers[name] >= least


def test_videos_of_headlines_that_were_lost_are_told(tmp_path):
    written(tmp_path / "ht_step.json", {"v": {"step_headline": ["eat"]}})
    items = ht_step().read(tmp_path)
    records = [Record.of(item, Response("missing", error="v is not there"), None, 0.0) for item in items]
    summary = ht_step().sum_up(items, records)
    assert summary.numbers["videos_lost"] == 1
    assert "1 videos are missing" in summary.notes[-1]


def test_steps_that_occur_are_asked_for_and_scored(cross_task):
    items, records = run(crosstask(), cross_task, Finder({"boil": (0, 3), "wash fruit": (2, 4), "saw": (0, 1)}))
    assert items[0].facts["sentences"] == ["wash fruit", "fill jar"]
    assert crosstask().video_of(items[0], cross_task).name == "a_b.mp4"
    assert crosstask().sum_up(items, records).numbers["average_recall"] == pytest.approx(100 / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tasks_primary.txt", "23\nMake Jam\nhttp\n2\nwash\n", "no five lines"),
        ("annotations/23_c.csv", "9,0,1\n", "no step of 3"),
        ("annotations/23_c.csv", "1,0\n", "fewer than 3 columns"),
        ("annotations/23_c.csv", "a,b,c\n", "not step,start,end"),
        ("annotations/23_c.csv", "1,0,nan\n", "no time"),
        ("annotations/23_c.csv", "1" * 200_000, "no CSV"),
        ("videos_val.csv", "99,e,x\n", "no annotations"),
    ],
)
def test_steps_in_another_format_are_an_error_that_says_where(cross_task, file, content, message):
    (cross_task / file).write_text(content, "utf-8")
    with pytest.raises(BenchmarkError, match=message):
        read_cross_task(cross_task)


@pytest.mark.parametrize("prediction", [{"23_c": {"0": 3}}, {"23_c": {"1": "x"}}, {"23_c": 3}, {"23_c": {"²": 1}}])
def test_seconds_of_steps_in_another_format_are_an_error(tmp_path, cross_task, prediction):
    with pytest.raises(BenchmarkError, match="23_c"):
        score_crosstask(written(tmp_path / "p.json", prediction), cross_task)


class Placer(Finder):
    """A model that places all texts together, in the order that it is told."""

    def place(self, clip: VideoClip, texts: list[str], order: str) -> list[Place]:
        self.order = order
        return [
            Place(sum(self.spans[t]) / 2 if t in self.spans else None, 0.9 if t in self.spans else 0.2) for t in texts
        ]


def test_an_aligner_places_all_sentences_together(tmp_path):
    written(tmp_path / "htm_align.json", {"v": NARRATION["v"]})
    model = Placer({"add oil": (3, 5), "stir": (8, 9), "serve": (30, 40)})
    items, records = run(htm_align(), tmp_path, model)
    assert (model.order, model.times_asked) == ("monotone", 0)
    assert records[0].prediction == {"seconds": [4, None, 8, 35], "alignability": [0.9, 0.2, 0.9, 0.9]}
    numbers = htm_align().sum_up(items, records).numbers
    assert (numbers["R1-TAN"], numbers["R1-NSVA"]) == (pytest.approx(66.6667), pytest.approx(33.3333))
    assert numbers["AUC"] == 100


def test_an_aligner_is_told_that_steps_have_no_order(tmp_path):
    written(tmp_path / "ht_step.json", {"v": {"step_headline": ["stir", "serve"]}})
    model = Placer({"stir": (3, 5)})
    _, records = run(ht_step(), tmp_path, model)
    assert model.order == "free" and records[0].prediction["seconds"] == [4, None]
