"""Two runs, item by item."""

from pathlib import Path

import pytest

from tvu.video_llm.benchmarks.compare import compare, sign_test
from tvu.video_llm.benchmarks.run_folder import Lock, opened
from tvu.video_llm.benchmarks.types import Item, Record, Response
from tvu.video_llm.errors import BenchmarkError


def written(folder: Path, scores: dict[str, float | None], benchmark: str = "moments", model: str = "m") -> Path:
    """A run with these scores by `GROUP/NUMBER`."""
    lock = Lock("0", benchmark, "", model, {}, "pyav", "tvu", None, None, None, 0, (0, 1))
    with opened(folder, lock, folder) as run:
        for name, score in scores.items():
            item = Item(name, "a", "q", [], name.split("/")[0])
            run.append(Record.of(item, Response("parsed"), score, 0.0))
    return folder


def test_the_difference_is_taken_item_by_item(tmp_path):
    a = written(tmp_path / "a", {"x/0": 0.0, "x/1": 0.5, "x/2": 1.0})
    b = written(tmp_path / "b", {"x/2": 1.0, "x/0": 1.0, "x/1": 0.25}, model="n")
    numbers = compare(a, b).numbers
    assert (numbers["mean_a"], numbers["mean_b"], numbers["difference"]) == (50, 75, 25)
    assert (numbers["better"], numbers["worse"], numbers["same"], numbers["items"]) == (1, 1, 1, 3)
    assert numbers["low"] <= 25 <= numbers["high"]


def test_a_run_is_no_better_than_itself(tmp_path):
    a = written(tmp_path / "a", {f"x/{i}": i / 9 for i in range(10)})
    numbers = compare(a, a).numbers
    assert (numbers["difference"], numbers["low"], numbers["high"], numbers["p"]) == (0, 0, 0, 1)


def test_groups_are_compared_each(tmp_path):
    a = written(tmp_path / "a", {"x/0": 0.0, "y/0": 1.0})
    b = written(tmp_path / "b", {"x/0": 1.0, "y/0": 1.0})
    summary = compare(a, b)
    assert (summary.numbers["x/difference"], summary.numbers["y/difference"]) == (100, 0)
    assert [row[0] for row in summary.tables[0].rows] == ["all", "x", "y"]


def test_what_only_one_run_has_a_score_of_is_left_out_and_counted(tmp_path):
    a = written(tmp_path / "a", {"x/0": 0.0, "x/1": None, "x/2": 1.0})
    b = written(tmp_path / "b", {"x/0": 1.0, "x/1": 1.0})
    summary = compare(a, b)
    assert summary.numbers["items"] == 1
    assert any(note.startswith("2 scores are of items") for note in summary.notes)


def test_what_else_differs_is_told(tmp_path):
    a, b = written(tmp_path / "a", {"x/0": 0.0}), written(tmp_path / "b", {"x/0": 1.0}, model="n")
    assert "model: m in A, n in B" in compare(a, b).notes


def test_runs_without_anything_in_common_are_refused(tmp_path):
    a = written(tmp_path / "a", {"x/0": 0.0})
    with pytest.raises(BenchmarkError, match="no scores of the same items"):
        compare(a, written(tmp_path / "b", {"x/1": 0.0}))
    with pytest.raises(BenchmarkError, match=r"is a run of moments and .* one of mvbench"):
        compare(a, written(tmp_path / "c", {"x/0": 0.0}, "mvbench"))
    with pytest.raises(BenchmarkError, match="is no folder of a run"):
        compare(a, tmp_path)


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1), (3, 3, 1), (5, 0, 2 / 32), (0, 5, 2 / 32), (1, 9, 22 / 1024)]
)
def test_the_sign_test_is_exact(better, worse, p):
    assert sign_test(better, worse) == pytest.approx(p)
