"""Which videos are indexed, by whom, and what is said in them."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.video_llm.index import drawn
from tvu.video_llm.errors import OutputError
from tvu.video_llm.index import ledger as ledger_module
from tvu.video_llm.index.build import prune, tidy, without_vectors
from tvu.video_llm.index.ledger import is_damaged, part_of
from tvu.video_llm.types import EVIDENCE


def test_a_part_is_named_by_what_was_asked_for():
    assert part_of(None, None) == "-"
    assert part_of(1.5, None) == "1.500000-"


def test_what_is_recorded_comes_back(tmp_path):
    own = drawn.indexer(tmp_path)
    own._record([drawn.found("a"), drawn.found("b")])
    a, b = own.ledger.items()
    assert (a.content, a.clip, a.tried) == ("a", drawn.found("a").item.clip, EVIDENCE)
    assert b.indexed_at > 1.7e9
    assert sorted(drawn.is_whole(tmp_path)) == ["a", "b"]


def test_a_video_that_is_recorded_again_counts_once(tmp_path):
    own = drawn.indexer(tmp_path)
    for text in ("one thing", "another thing"):
        own._record([drawn.found("a", text=text)])
    (item,) = own.ledger.items()
    assert own.ledger.units_with(["one"], [item.id], EVIDENCE, 9) == []
    assert len(own.ledger.units_with(["another"], [item.id], EVIDENCE, 9)) == 1


def test_a_run_through_fewer_channels_beside_another_takes_nothing_away(tmp_path):
    own, less = drawn.indexer(tmp_path), drawn.found("a", text="")
    own._record([drawn.found("a")])
    own._record([replace(less, item=replace(less.item, tried=("visual",)))])
    assert own.ledger.items()[0].tried == EVIDENCE
    assert drawn.is_whole(tmp_path) == ["a"]


def test_a_path_that_is_no_text_is_kept(tmp_path):
    own, found = drawn.indexer(tmp_path), drawn.found("a")
    odd = Path("/caf\udce9.mp4")
    object.__setattr__(found.item.clip, "path", odd)
    own._record([found])
    assert own.ledger.items()[0].clip.path == odd


def test_words_are_found_in_their_forms_and_numbers_as_digits(tmp_path):
    own = drawn.indexer(tmp_path)
    own._record([drawn.found("a", text="It costs twelve dollars"), drawn.found("b", text="nothing else")])
    a, b = own.ledger.items()

    def found(*words, items=(a.id, b.id), channels=EVIDENCE):
        return [unit.item for unit in own.ledger.units_with(words, items, channels, 9)]

    assert found("12") == found("dollar") == found("cost", "zebra") == [a.id]
    assert found("zebra") == found() == found("12", items=[b.id]) == found("12", channels=["screen-text"]) == []


def test_without_fts5_words_are_not_looked_up_and_are_caught_up_with_later(tmp_path, monkeypatch):
    own = drawn.indexer(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "_WORDS", "CREATE VIRTUAL TABLE unit_words USING fts5_is_missing (text)")
        own._record([drawn.found("a")])
        (item,) = own.ledger.items()
        assert not own.ledger.has_fts5
        assert own.ledger.units_with(["hello"], [item.id], EVIDENCE, 9) == []
    assert len(own.ledger.units_with(["hello"], [item.id], EVIDENCE, 9)) == 1
    assert own.ledger.has_fts5


def test_shards_are_merged_and_nothing_is_lost(tmp_path):
    own = drawn.indexer(tmp_path)
    for number in range(20):
        own._record([drawn.found(str(number))])
    assert len(drawn.is_whole(tmp_path)) == 20
    assert len(own.ledger.shards()) < 20
    assert tidy(own.cache, time.time() + 1) == 0  # no shard was left behind


@pytest.mark.alone
def test_writers_killed_at_any_moment_leave_a_whole_index(tmp_path):
    rng = random.Random(1)
    root, names = tmp_path / "store", "abc"
    writers = []
    try:
        for name in names:
            with (tmp_path / name).open("w") as told:
                command = [sys.executable, "-P", drawn.__file__, root, name, "1000"]
                writers.append(subprocess.Popen(command, stdout=told))
        while not all((tmp_path / name).stat().st_size for name in names):
            assert all(writer.poll() is None for writer in writers)
            time.sleep(0.05)
        for writer in writers:
            time.sleep(rng.uniform(0.2, 0.5))
            assert writer.poll() is None
            writer.send_signal(signal.SIGKILL)
            writer.wait()
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    there = drawn.is_whole(root)
    for name in names:  # what was told to be recorded is, and at most the one in hand beside
        count = (tmp_path / name).read_text().count("\n")
        assert count <= len([content for content in there if content[0] == name]) <= count + 1
    tidy(drawn.store(root), time.time() + 1)
    assert sorted(drawn.is_whole(root)) == sorted(there)
    drawn.indexer(root)._record([drawn.found("afterwards")])
    assert len(drawn.is_whole(root)) == len(there) + 1


def test_videos_whose_shards_are_gone_are_told(tmp_path):
    own = drawn.indexer(tmp_path)
    own._record([drawn.found("a")])
    assert without_vectors(own.cache) == []
    for name in own.ledger.shards():
        own.shards.remove(name)
    assert without_vectors(own.cache) == [Path("/a.mp4")]


def test_pruning_to_nothing_forgets_even_what_is_searched(tmp_path):
    own = drawn.indexer(tmp_path)
    own._record([drawn.found("a")])
    assert prune(own.cache, 10**9).forgotten == 0
    pruned = prune(own.cache, 0)
    assert (pruned.forgotten, pruned.bytes) == (1, 0)
    assert own.ledger.items() == []


def test_a_damaged_ledger_is_set_aside_and_begun_anew(tmp_path):
    own = drawn.indexer(tmp_path)
    own._record([drawn.found("a")])
    assert not is_damaged(own.cache)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray((tmp_path / "ledger.sqlite3").read_bytes())
    content[:4096] = b"x" * 4096
    (tmp_path / "ledger.sqlite3").write_bytes(content)
    with pytest.raises(OutputError, match="cannot be used"):
        own.ledger.items()
    assert is_damaged(own.cache)
    assert own.ledger.items() == []
    own._record([drawn.found("a")])
    assert drawn.is_whole(tmp_path) == ["a"]
