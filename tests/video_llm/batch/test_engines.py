"""Engines do the same work: in this process, in processes of this machine, in actors of a cluster."""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tvu.video_llm.batch.ledger import opened
from tvu.video_llm.batch.local import LocalEngine
from tvu.video_llm.batch.run import run_batch, serially
from tvu.video_llm.batch.work import BatchConfig, Item, Worker, answer_to, asked_in, key_of, rows_in_answer
from tvu.video_llm.errors import BackendError, VideoError
from tvu.weights.errors import WeightsError

SAMPLES = Path(__file__).parents[3] / "samples"
BLIND = BatchConfig(evidence=())  # opens every video and looks at none: no weights are needed


@pytest.fixture
def items(tmp_path) -> list[Item]:
    """Twelve videos, one of which is no video and one of which is not there."""
    places = []
    for number in range(10):
        place = tmp_path / f"{number:02d}.mp4"
        place.symlink_to(SAMPLES / "postcard.mp4")
        places.append(str(place))
    (tmp_path / "10.mp4").write_bytes(b"not a video")
    return [Item(place, ("a dog", "a cat")) for place in [*places, str(tmp_path / "10.mp4"), str(tmp_path / "11.mp4")]]


def run(items, engine, path, config=BLIND, **rest):
    with opened(path, config.settings) as ledger:
        return run_batch(items, config, engine, ledger, **rest)


def told(rows):
    return [{k: v for k, v in row.as_json().items() if k != "timing"} for row in rows]


def test_the_local_engine_gives_the_rows_that_one_process_gives(items, tmp_path):
    rows = run(items, LocalEngine(3), tmp_path / "local.jsonl")
    assert [(row.video, row.question) for row in rows] == [(i.address, q) for i in items for q in i.queries]
    assert told(rows[:20]) == told(run(items[:10], serially(), tmp_path / "serial.jsonl"))
    assert [bool(row.error) for row in rows] == [False] * 20 + [True] * 4


def test_one_video_alone_raises_its_error(items, tmp_path):
    with pytest.raises(VideoError):
        run(items[10:], serially(), tmp_path / "r.jsonl")


def test_a_second_run_works_on_nothing_but_what_could_not_be_read(items, tmp_path):
    run(items, LocalEngine(2), tmp_path / "r.jsonl")
    seen = []

    def engine(items, config):
        seen.extend(item.address[-6:] for item in items)
        return iter(())

    run(items, engine, tmp_path / "r.jsonl")
    assert seen == ["11.mp4"]
    run(items, engine, tmp_path / "r.jsonl", retry_errors=True)
    assert seen[1:] == ["10.mp4", "11.mp4"]


def test_a_file_that_changed_is_worked_on_again(items, tmp_path):
    run(items[:3], LocalEngine(1), tmp_path / "r.jsonl")
    Path(items[1].address).unlink()
    Path(items[1].address).symlink_to(SAMPLES / "parade.mp4")
    rows = run(items[:3], serially(), tmp_path / "r.jsonl")
    assert [row.duration_seconds for row in rows[::2]] == [18, 20, 18]


def test_more_queries_are_asked_and_the_old_ones_are_not(items, tmp_path):
    run(items[:2], serially(), tmp_path / "r.jsonl")
    more = [Item(item.address, (*item.queries, "a bird")) for item in items[:2]]
    seen = []

    def engine(items, config):
        seen.extend(item.queries for item in items)
        yield from serially()(items, config)

    rows = run(more, engine, tmp_path / "r.jsonl")
    assert seen == [("a bird",)] * 2
    assert [row.question for row in rows] == ["a dog", "a cat", "a bird"] * 2


def kill_a_worker_at(path: Path, lines: int) -> threading.Thread:
    """Kills one process of the engine when the ledger has so many lines."""

    def watch():
        while not path.exists() or path.read_bytes().count(b"\n") < lines:
            time.sleep(0.002)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_process_that_dies_costs_at_most_another_try(items, tmp_path):
    killer = kill_a_worker_at(tmp_path / "r.jsonl", 4)
    rows = run(items[:10], LocalEngine(2), tmp_path / "r.jsonl")
    killer.join()
    assert len(rows) == 20
    assert not any(row.error for row in rows)


def test_a_video_that_takes_too_long_is_given_up_and_tried_by_the_next_run(items, tmp_path):
    rows = run(items[:2], LocalEngine(1, patience=0.01), tmp_path / "r.jsonl")
    assert all("took longer than" in row.error and row.key == "" for row in rows)
    assert not any(row.error for row in run(items[:2], LocalEngine(1), tmp_path / "r.jsonl"))


def test_what_every_video_would_meet_ends_the_batch(items, tmp_path, monkeypatch):
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("TVU_OFFLINE", "1")
    with pytest.raises(WeightsError):
        run(items[:3], LocalEngine(2), tmp_path / "r.jsonl", BatchConfig())
    assert multiprocessing.active_children() == []


def test_no_process_is_left_when_a_run_is_stopped(items, tmp_path):
    class Stop(Exception):
        pass

    def watch(progress):
        if progress.done:
            raise Stop

    with pytest.raises(Stop):
        run(items, LocalEngine(2), tmp_path / "r.jsonl", watch=watch)
    assert multiprocessing.active_children() == []


def test_names_that_are_no_unicode_reach_the_worker_and_come_back():
    item = Item("/tmp/a\udcff\n.mp4", ("q\u2028",))
    rows = rows_in_answer(answer_to(asked_in(item), Worker(BLIND)))
    assert rows[0].video == item.address and rows[0].question == "q\u2028"
    assert "does not exist" in rows[0].error


def test_an_error_comes_back_as_it_was_raised():
    with pytest.raises(WeightsError, match="gone"):
        rows_in_answer(json.dumps({"error": "gone", "hint": "", "kind": "WeightsError"}))
    with pytest.raises(BackendError, match="disk"):
        rows_in_answer(json.dumps({"error": "disk is full", "hint": "", "kind": ""}))


def test_a_key_changes_with_all_that_an_answer_depends_on():
    base = ("content", "a.mp4", "q", "s")
    others = [("other", *base[1:]), ("content", "a.mp4#t=1,2", "q", "s"), (*base[:2], "r", "s"), (*base[:3], "t")]
    assert len({key_of(*each) for each in [base, *others]}) == 5
    assert key_of("content", "b.mp4", "q", "s") == key_of(*base)  # the same file under another name
    assert BatchConfig(top=1).settings != BatchConfig().settings == BatchConfig(use_cache=False).settings


def test_at_least_one_worker_is_needed():
    with pytest.raises(ValueError, match="at least one worker"):
        LocalEngine(0)


@pytest.fixture
def cluster(monkeypatch):
    """Ray on this machine as two nodes."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'tvu[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_DISABLE_MEMORY_MONITOR", "1")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.other = cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.alone
@pytest.mark.timeout(110)
def test_a_cluster_gives_the_same_rows_also_when_a_node_is_lost(items, tmp_path, cluster):
    from tvu.video_llm.batch.cluster import RayEngine

    def watch(progress):
        if progress.done == 4 and cluster.other is not None:
            cluster.remove_node(cluster.other, allow_graceful=False)
            cluster.other = None

    rows = run(items, RayEngine(cluster.address), tmp_path / "ray.jsonl", watch=watch)
    assert cluster.other is None
    assert told(rows) == told(run(items, LocalEngine(2), tmp_path / "local.jsonl"))


def test_without_a_cluster_there_is_one_sentence(items, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'tvu[ray]'")
    from tvu.video_llm.batch.cluster import RayEngine

    with pytest.raises(BackendError, match=r"there is no Ray cluster at 127\.0\.0\.1:1"):
        run(items, RayEngine("127.0.0.1:1"), tmp_path / "r.jsonl")
