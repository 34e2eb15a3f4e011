"""`tvu ground` over many videos, through the installed command."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
BLIND = ("-m", "baseline:whole")  # tells the whole video, without weights


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve videos in two folders, and something that is none."""
    for number in range(12):
        place = tmp_path / "videos" / ("a" if number % 2 else "b") / f"{number:02d}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(SAMPLES / ("postcard.mp4" if number % 3 else "parade.mp4"))
    (tmp_path / "videos" / "notes.md").write_text("not a video")
    return tmp_path / "videos"


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(path: Path) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "timing"} for row in rows(path)]


@pytest.mark.weights
def test_a_folder_is_asked_several_queries(tvu, tmp_path, weights_cache):
    run = tvu("ground", SAMPLES / "postcard.mp4", SAMPLES / "parade.mp4", "-q", "the penguin", "-q", "a tiger")
    assert run.returncode == 0
    found = [line.split("\t")[:2] for line in run.stdout.splitlines()]
    assert [str(SAMPLES / "postcard.mp4"), "the penguin"] in found
    assert [str(SAMPLES / "parade.mp4"), "a tiger"] in found


@pytest.mark.weights
def test_a_file_of_queries_may_name_the_video(tvu, tmp_path, weights_cache):
    (tmp_path / "q.csv").write_text("video,query\npostcard.mp4,the penguin\nparade,a tiger\nother.mp4,a dog\n")
    out = tmp_path / "out.jsonl"
    run = tvu("ground", SAMPLES / "postcard.mp4", SAMPLES / "parade.mp4", "--queries", tmp_path / "q.csv", "-o", out)
    assert (run.returncode, run.stdout) == (0, "")
    assert "queries are about other.mp4, which is none of the videos" in run.stderr
    assert [(Path(row["video"]).name, row["question"]) for row in rows(out)] == [
        ("postcard.mp4", "the penguin"),
        ("parade.mp4", "a tiger"),
    ]


@pytest.mark.weights
def test_results_come_in_the_format_of_the_name_with_clips_and_a_page(tvu, tmp_path, weights_cache):
    args = ("ground", SAMPLES / "postcard.mp4", "-q", "the penguin", "-m", "scout", "-o", tmp_path / "out.srt")
    run = tvu(*args, "--clips", tmp_path / "cuts", "--handles", 0.5, "--report", tmp_path / "page.html")
    assert run.returncode == 0
    assert "the penguin" in (tmp_path / "out.srt").read_text()
    assert rows(tmp_path / "out.srt.rows.jsonl")[0]["curves"]
    assert len(list((tmp_path / "cuts").glob("*.mp4"))) == 1
    assert "the penguin" in (tmp_path / "page.html").read_text()


def test_a_killed_run_is_gone_on_with(tvu, folder, tmp_path):
    out = tmp_path / "out.jsonl"
    command = [Path(sys.executable).with_name("tvu"), "ground", folder, "-q", "a dog", "-q", "a cat", "-o", out]
    command += [*BLIND, "--workers", "2"]
    draw = random.Random(7)
    for _ in range(3):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.3, 1.2))
        process.kill()
        process.wait()
    run = tvu(*command[1:])
    assert run.returncode == 0, run.stderr
    assert [(row["video"], row["question"]) for row in rows(out)] == [
        (str(place), query) for place in sorted(folder.rglob("*.mp4")) for query in ("a dog", "a cat")
    ]
    once = tmp_path / "once.jsonl"
    tvu("ground", folder, "-q", "a dog", "-q", "a cat", "-o", once, *BLIND, "--workers", 1)
    assert told(once) == told(out)


def test_an_interrupted_run_says_what_is_kept(folder, tmp_path):
    out = tmp_path / "out.jsonl"
    for number in range(200):
        (folder / f"{number}.mp4").symlink_to(SAMPLES / "postcard.mp4")
    command = [Path(sys.executable).with_name("tvu"), "ground", folder, "-q", "a dog", "-o", out, *BLIND]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    before = time.monotonic() + 30
    while time.monotonic() < before and (not out.exists() or out.read_bytes().count(b"\n") < 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert all(row["question"] == "a dog" for row in rows(out))


def test_shards_hold_all_videos_once(tvu, folder, tmp_path):
    for i in range(2):
        tvu("ground", folder, "-q", "a dog", *BLIND, "--shard", f"{i}/2", "-o", tmp_path / f"{i}.jsonl", "--workers", 1)
    merged = tvu("results", "merge", *(tmp_path / f"{i}.jsonl" for i in range(2)), "-o", tmp_path / "all.jsonl")
    assert merged.returncode == 0, merged.stderr
    assert sorted(row["video"] for row in rows(tmp_path / "all.jsonl")) == sorted(map(str, folder.rglob("*.mp4")))


def test_what_cannot_be_read_is_a_line_with_a_reason(tvu, folder, tmp_path):
    (folder / "broken.mp4").write_bytes(b"nothing")
    out = tmp_path / "out.jsonl"
    run = tvu("ground", folder, folder / "gone.mp4", "-q", "a dog", *BLIND, "-o", out, "--workers", 1)
    assert run.returncode == 3
    assert "2 of 14 videos failed" in run.stderr
    errors = {Path(row["video"]).name: row["error"] for row in rows(out) if "error" in row}
    assert set(errors) == {"broken.mp4", "gone.mp4"}
    assert "cannot be read as a video" in errors["broken.mp4"]


def test_a_plan_says_what_it_would_take_and_does_nothing(tvu, folder, tmp_path):
    args = ("ground", folder, "-q", "a dog", "-m", "scout", "-o", tmp_path / "out.jsonl", "--plan")
    plan = json.loads(tvu(*args, "--json").stdout)
    assert (plan["videos"], plan["queries"], plan["unreadable"], plan["fits"]) == (12, 12, 0, True)
    assert plan["seconds"] == pytest.approx(8 * 18 + 4 * 20)
    assert plan["frames"] == 4 * plan["seconds"]
    assert "videos    12, 0 done already" in tvu(*args).stdout
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "there is no question"),
        (("-q", "a", "--engine", "spark"), 2, "no engine is called 'spark'"),
        (("-q", "a", "--address", "x:1"), 2, "--address is that of a Ray cluster"),
        (("-q", "a", "--shard", "3"), 2, "'3' is no shard"),
        (("-q", "a", "-o", "out.xyz"), 2, "does not tell a format"),
        (("-q", "a", "--queries", "gone.txt"), 3, "gone.txt cannot be read"),
        (("-q", "a", "-o", "no/such/out.jsonl"), 5, "no/such"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_named_exit_code(tvu, folder, tmp_path, args, code, message):
    run = tvu("ground", folder, *args, cwd=tmp_path)
    assert (run.returncode, message in run.stderr, "Traceback" in run.stderr) == (code, True, False), run.stderr


def test_an_output_of_something_else_is_left_alone(tvu, folder, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("my notes\n")
    run = tvu("ground", folder, "-q", "a dog", *BLIND, "-o", out)
    assert (run.returncode, out.read_text()) == (2, "my notes\n")
    tvu("ground", folder / "a", "-q", "a dog", *BLIND, "-o", out, "--force", "--workers", 1)
    assert len(rows(out)) == 6
    other = tvu("ground", folder / "a", "-q", "a dog", *BLIND, "-o", out, "--top", 1)
    assert (other.returncode, "another model or other options" in other.stderr) == (2, True)


def test_an_empty_folder_has_no_videos(tvu, tmp_path):
    run = tvu("ground", tmp_path, "-q", "a dog")
    assert (run.returncode, "there is no video in" in run.stderr) == (3, True)
