"""Every benchmark that is named can be made, and what others published on it can be held beside."""

import subprocess
import sys

import pytest

from tvu.video_llm.benchmarks.published import NUMBERS, published
from tvu.video_llm.benchmarks.registry import ENTRIES, entry_named


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_benchmark_is_made_under_its_own_name(entry):
    assert entry.benchmark().name == entry.name
    assert all((entry.title, entry.where, entry.layout, entry.licence, entry.metrics))


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.score], ids=lambda entry: entry.name)
def test_what_scores_files_reads_files(entry, tmp_path):
    with pytest.raises(Exception, match=r"there is no file|has no|cannot be read"):
        entry.scored(tmp_path / "p.json", tmp_path / "t.json")


def test_names_are_unique_and_found():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert entry_named("qvhighlights") in ENTRIES
    assert entry_named("unheard-of") is None


def test_listing_benchmarks_imports_none_of_their_code():
    script = "import sys, tvu.video_llm.benchmarks.registry, tvu.video_llm.benchmarks.published\n"
    script += "print({'numpy', 'torch', 'av'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-P", "-c", script], text=True).strip() == "set()"


def test_published_numbers_are_of_benchmarks_that_exist_and_are_percent():
    assert {told.benchmark for told in NUMBERS} <= {entry.name for entry in ENTRIES}
    assert all(0 <= value <= 100 for told in NUMBERS for value in told.numbers.values())
    assert all(told.model and told.source for told in NUMBERS)


def test_the_tasks_of_a_published_mvbench_average_to_its_score():
    whole = [told.numbers for told in published("mvbench") if len(told.numbers) == 21]
    assert len(whole) >= 10
    for numbers in whole:
        tasks = [value for name, value in numbers.items() if name != "accuracy"]
        assert sum(tasks) / 20 == pytest.approx(numbers["accuracy"], abs=0.3)
