"""A benchmark is run: in one go, in several, in shards; whatever stops it, what is done is kept."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tvu.video_llm.benchmarks import grounding
from tvu.video_llm.benchmarks.baselines import baseline_named
from tvu.video_llm.benchmarks.run_folder import read_lock, read_records
from tvu.video_llm.benchmarks.runs import Part, carry_out, hash_of, merge
from tvu.video_llm.benchmarks.types import AskConfig, Item
from tvu.video_llm.errors import BackendError, BenchmarkError, OutputError, OutputExists, VideoError
from tvu.video_llm.types import Answer
from tvu.weights.errors import WeightsError

SAMPLE = Path(__file__).parents[3] / "samples" / "postcard.mp4"
WHOLE = baseline_named("baseline:whole")
CONFIG = AskConfig()
MOMENTS = grounding.moments()


@dataclass
class Scripted:
    """Tells the first second of the clip, but raises what it is told to when it comes to some queries."""

    raises: dict[str, BaseException] = field(default_factory=dict)
    name: str = "scripted"
    asked: list[str] = field(default_factory=list)

    def find(self, clip, queries):
        self.asked += queries
        if error := self.raises.get(queries[0]):
            raise error
        return [Answer(query, "", (), self.name) for query in queries]


@pytest.fixture
def data(tmp_path) -> Path:
    """Nine queries about one video, and one about a video that is not there."""
    folder = tmp_path / "data"
    (folder / "videos").mkdir(parents=True)
    (folder / "videos" / "a.mp4").symlink_to(SAMPLE)
    rows = [
        {"qid": i, "query": f"q{i}", "duration": 18, "vid": "a" if i < 9 else "b", "relevant_windows": [[2 * i, 18]]}
        for i in range(9)
    ]
    rows.append({"qid": 9, "query": "q9", "duration": 18, "vid": "b", "relevant_windows": [[0, 9]]})
    (folder / "moments.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def run(data, folder, model=WHOLE, **rest):
    return carry_out(MOMENTS, data, model, folder, CONFIG, **rest)


def told(folder):
    """What a run keeps, without how long things took."""
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_every_item_is_a_line_and_the_sum_stands_beside(data, tmp_path):
    summary = run(data, tmp_path / "run")
    lines = told(tmp_path / "run")
    assert [line["id"] for line in lines] == [str(i) for i in range(10)]
    assert lines[3]["score"] == pytest.approx(12 / 18)
    assert {"prompt", "prompt_hash", "text", "frame_seconds", "status", "prediction", "truth"} <= lines[0].keys()
    assert (lines[9]["status"], lines[9]["score"]) == ("missing", None)
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["R1@0.5"] == summary.numbers["R1@0.5"] == pytest.approx(100 * 5 / 9)
    assert "benchmark  moments" in (tmp_path / "run" / "summary.txt").read_text()


def test_the_lock_names_what_a_score_depends_on(data, tmp_path):
    run(data, tmp_path / "run", weights={"eyes": "ab12"})
    lock = read_lock(tmp_path / "run")
    assert (lock.benchmark, lock.model, lock.weights) == ("moments", "baseline:whole", {"eyes": "ab12"})
    assert (lock.decoder, lock.protocol, lock.frames, lock.shard) == ("pyav", "tvu", None, (0, 1))
    assert lock.items == hash_of(MOMENTS.read(data))


def test_a_run_goes_on_where_it_stopped_and_asks_nothing_twice(data, tmp_path):
    stopping = Scripted({"q4": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", stopping)
    assert len(read_records(tmp_path / "run")) == 4
    rest = Scripted()
    run(data, tmp_path / "run", rest)
    assert rest.asked == ["q4", "q5", "q6", "q7", "q8"]
    run(data, tmp_path / "once", Scripted())
    assert told(tmp_path / "run") == told(tmp_path / "once")


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_line_that_a_kill_cut_off_is_asked_again(data, tmp_path, cut):
    run(data, tmp_path / "once")
    shutil.copytree(tmp_path / "once", tmp_path / "run")
    items = tmp_path / "run" / "items.jsonl"
    items.write_bytes(items.read_bytes()[:-cut])
    run(data, tmp_path / "run")
    assert told(tmp_path / "run") == told(tmp_path / "once")


def test_a_folder_holds_one_run_only(data, tmp_path):
    run(data, tmp_path / "run")
    with pytest.raises(OutputExists, match="another model: baseline:whole there, scripted now"):
        run(data, tmp_path / "run", Scripted())
    with pytest.raises(OutputExists, match="another subset"):
        run(data, tmp_path / "run", part=Part(subset=3))
    with pytest.raises(OutputExists, match="another weights"):
        run(data, tmp_path / "run", weights={"eyes": "ab12"})


def test_two_processes_do_not_work_on_one_run(data, tmp_path):
    def again(done, total):
        with pytest.raises(OutputError, match="another process works on"):
            run(data, tmp_path / "run")

    run(data, tmp_path / "run", watch=again)
    assert len(told(tmp_path / "run")) == 10


def test_changed_questions_are_another_run(data, tmp_path):
    run(data, tmp_path / "run")
    path = data / "moments.jsonl"
    path.write_text(path.read_text().replace("q3", "another"))
    with pytest.raises(OutputExists, match="another items"):
        run(data, tmp_path / "run")


def test_what_fails_is_that_items_and_asked_again_only_when_told(data, tmp_path):
    errors = {"q1": VideoError("too short"), "q2": BackendError("no luck"), "q3": ZeroDivisionError("by zero")}
    run(data, tmp_path / "run", Scripted(errors))
    lines = told(tmp_path / "run")
    assert [line["status"] for line in lines[1:4]] == ["undecodable", "failed", "failed"]
    assert [line["error"] for line in lines[1:4]] == ["too short", "no luck", "ZeroDivisionError: by zero"]
    once_more = Scripted()
    run(data, tmp_path / "run", once_more)
    assert once_more.asked == []
    run(data, tmp_path / "run", once_more, retry_errors=True)
    assert once_more.asked == ["q1", "q2", "q3"]
    assert sorted(line["id"] for line in told(tmp_path / "run")) == [str(i) for i in range(10)]


def test_what_every_item_would_meet_ends_the_run(data, tmp_path):
    with pytest.raises(WeightsError):
        run(data, tmp_path / "run", Scripted({"q2": WeightsError("no eyes")}))
    assert len(told(tmp_path / "run")) == 2


def test_a_missing_video_is_looked_for_again(data, tmp_path):
    run(data, tmp_path / "run")
    (data / "videos" / "b.mp4").symlink_to(SAMPLE)
    summary = run(data, tmp_path / "run")
    assert (summary.numbers["n_run"], summary.numbers["n_missing"]) == (10, 0)


@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_shards_merged_are_the_run_over_everything(data, tmp_path, count):
    whole = run(data, tmp_path / "whole")
    shards = [tmp_path / f"{i}" for i in range(count)]
    for i, folder in enumerate(shards):
        run(data, folder, part=Part(shard=(i, count)))
    merged = merge(MOMENTS, data, shards[::-1], tmp_path / "merged")
    assert merged == whole
    assert told(tmp_path / "merged") == told(tmp_path / "whole")
    for name in ("summary.json", "summary.txt"):
        assert (tmp_path / "merged" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_only_all_shards_of_one_run_are_merged(data, tmp_path):
    for i in range(2):
        run(data, tmp_path / str(i), part=Part(shard=(i, 2)))
    run(data, tmp_path / "other", Scripted(), part=Part(shard=(1, 2)))
    with pytest.raises(BenchmarkError, match="these are shards 0/2"):
        merge(MOMENTS, data, [tmp_path / "0"], tmp_path / "merged")
    with pytest.raises(BenchmarkError, match="these are shards 0/2, 0/2"):
        merge(MOMENTS, data, [tmp_path / "0"] * 2, tmp_path / "merged")
    with pytest.raises(BenchmarkError, match="has another model"):
        merge(MOMENTS, data, [tmp_path / "0", tmp_path / "other"], tmp_path / "merged")
    items = tmp_path / "1" / "items.jsonl"
    items.write_text("".join(items.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(BenchmarkError, match="has 4 of 5 items"):
        merge(MOMENTS, data, [tmp_path / "0", tmp_path / "1"], tmp_path / "merged")


def test_a_subset_is_drawn_evenly_and_says_so(data, tmp_path):
    items = [Item(f"{group}{i}", "a", "q", [], group) for group in "xyz" for i in range(10 if group == "x" else 2)]
    drawn = Part(subset=6).drawn(items)
    assert sorted(item.group for item in drawn) == list("xxyyzz")
    assert drawn == Part(subset=6).drawn(items) != Part(subset=6, seed=1).drawn(items)
    assert [item for item in items if item in drawn] == drawn
    assert any("not comparable" in note for note in run(data, tmp_path / "run", part=Part(subset=3)).notes)


def test_shards_of_a_subset_are_a_part_of_it():
    items = [Item(str(i), "a", "q", []) for i in range(20)]
    shards = [Part(9, 5, (i, 4)).of(items) for i in range(4)]
    assert sorted(item.id for shard in shards for item in shard) == sorted(i.id for i in Part(9, 5).of(items))


@pytest.mark.parametrize("part", [{"subset": 0}, {"shard": (2, 2)}, {"shard": (-1, 2)}])
def test_a_part_that_cannot_be_is_refused(part):
    with pytest.raises(ValueError, match=r"at least one item|shards of 2"):
        Part(**part)


def test_data_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BenchmarkError, match="there is no"):
        run(tmp_path / "nothing", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_other_things_is_left_alone(data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "items.jsonl").write_text("{}\n")
    with pytest.raises(OutputExists, match=r"has items and no lock\.json"):
        run(data, tmp_path / "run")


@pytest.mark.parametrize("line", ["{}", "[1]", "{", '{"id": 1}'])
def test_a_line_that_is_no_record_is_named(data, tmp_path, line):
    run(data, tmp_path / "run")
    with (tmp_path / "run" / "items.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BenchmarkError, match="line 11 is no record"):
        read_records(tmp_path / "run")


def test_text_that_is_no_unicode_is_kept(data, tmp_path):
    class Odd(Scripted):
        def find(self, clip, queries):
            return [Answer(query, "a\ud83d b", (), self.name) for query in queries]

    run(data, tmp_path / "run", Odd())
    assert "\ud83d" in read_records(tmp_path / "run")[0].text
