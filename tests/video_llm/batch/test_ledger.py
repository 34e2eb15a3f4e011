import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tvu.temporal.types import Span
from tvu.video_llm.batch.ledger import due, merged, opened
from tvu.video_llm.errors import OutputError, OutputExists
from tvu.video_llm.results.read import rows_in
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import Grounding


def row(video="a.mp4", question="q", key="k", settings="s", start=1.0, error=""):
    groundings = () if error else (Grounding(Span(start, start + 1), 0.5, "visual"),)
    return Row(video, question, 9.0, "", groundings, "scout", key=key, settings=settings, error=error)


def test_what_was_appended_is_there_the_next_time(tmp_path):
    path = tmp_path / "r.jsonl"
    with opened(path, "s") as ledger:
        ledger.append([row(question="p"), row()])
    with opened(path, "s") as ledger:
        assert list(ledger.rows) == [("a.mp4", "p"), ("a.mp4", "q")]
        ledger.append([row(key="new")])
        assert ledger.rows["a.mp4", "q"].key == "new"
    assert len(path.read_text().splitlines()) == 3


def test_at_the_end_each_row_stands_once_and_in_order(tmp_path):
    path = tmp_path / "r.jsonl"
    with opened(path, "s") as ledger:
        for each in (row("b"), row("a"), row("a", key="new"), row("old")):
            ledger.append([each])
        told = ledger.finish([("a", "q"), ("b", "q"), ("never", "q")])
    assert [(each.video, each.key) for each in told] == [("a", "new"), ("b", "k")]
    assert [each.video for each in rows_in(path)] == ["a", "b", "old"]


@pytest.mark.parametrize("cut", [1, 10, 10_000])
def test_a_line_without_its_end_is_cut_off(tmp_path, cut):
    path = tmp_path / "r.jsonl"
    with opened(path, "s") as ledger:
        ledger.append([row("a"), row("b")])
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    with opened(path, "s") as ledger:
        assert set(ledger.rows) <= {("a", "q"), ("b", "q")} and ("b", "q") not in ledger.rows
        ledger.append([row("b")])
    assert [json.loads(line)["video"] for line in path.read_text().splitlines()][-1] == "b"


def test_a_file_holds_results_of_one_kind(tmp_path):
    path = tmp_path / "r.jsonl"
    with opened(path, "s") as ledger:
        ledger.append([row()])
    with pytest.raises(OutputExists, match="another model or other options"), opened(path, "other"):
        pass
    assert len(path.read_text().splitlines()) == 1
    with opened(path, "other", force=True) as ledger:
        assert ledger.rows == {}


@pytest.mark.parametrize("content", ["hello\n", "{}\n", '[1]\n{"video": 1}\n', "\x00\n"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    with pytest.raises(OutputExists, match="line 1 is no result of tvu"), opened(path, "s"):
        pass
    assert path.read_text() == content


def test_two_processes_do_not_write_to_one_ledger(tmp_path):
    path = tmp_path / "r.jsonl"
    with opened(path, "s"), pytest.raises(OutputError, match="another process"), opened(path, "s"):
        pass


def test_a_place_that_cannot_be_written_to_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "r.jsonl"):
        with pytest.raises(OutputError), opened(path, "s"):
            pass


def test_what_is_due_is_new_changed_unreadable_or_to_be_retried():
    rows = {("a", q): row("a", q, key=q) for q in ("same", "changed")}
    rows["a", "failed"] = row("a", "failed", key="failed", error="broken")
    rows["a", "unread"] = row("a", "unread", key="", error="not there")
    keys = {"same": "same", "changed": "other", "failed": "failed", "unread": "", "new": "new"}
    assert due(rows, "a", keys) == ("changed", "unread", "new")
    assert due(rows, "a", keys, retry_errors=True) == ("changed", "failed", "unread", "new")


def test_ledgers_of_two_machines_are_one():
    first, second = [row("a"), row("b", error="gone")], [row("b"), row("c"), row("a")]
    together = merged([(Path("1"), first), (Path("2"), second)])
    assert [(each.video, each.error) for each in together] == [("a", ""), ("b", ""), ("c", "")]
    assert {r.video for r in merged([(Path("2"), second), (Path("1"), first)])} == {"a", "b", "c"}


def test_ledgers_that_contradict_each_other_are_not_merged():
    with pytest.raises(OutputExists, match="another answer to 'q' about a"):
        merged([(Path("1"), [row("a")]), (Path("2"), [row("a", start=3.0)])])
    with pytest.raises(OutputExists, match="another model or other options"):
        merged([(Path("1"), [row("a")]), (Path("2"), [row("b", settings="t")])])


WRITER = """
import sys
from pathlib import Path
from tvu.video_llm.batch.ledger import opened
from tvu.video_llm.results.rows import Row
with opened(Path(sys.argv[1]), "s") as ledger:
    for i in range(len(ledger.rows), 100000):
        ledger.append([Row(f"{i}", "q", 9.0, "x" * 300, settings="s", key="k")])
"""


def test_a_kill_at_any_moment_loses_at_most_the_row_in_hand(tmp_path):
    path = tmp_path / "r.jsonl"
    for turn in range(3):
        process = subprocess.Popen([sys.executable, "-P", "-c", WRITER, path])
        size = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size < size + 20_000 + 7919 * turn:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with opened(path, "s") as ledger:
        assert [video for video, _ in ledger.rows] == [str(i) for i in range(len(ledger.rows))]
