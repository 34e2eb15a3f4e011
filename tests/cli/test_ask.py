"""`tvu ask` and `tvu ground` on the samples, through the installed command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tvu.video_llm.load import best_model
from tvu.weights.manifest import entry, names_of
from tvu.weights.store import home_of

SAMPLES = Path(__file__).parent.parent.parent / "samples"
EXPECTED = [json.loads(file.read_text()) for file in sorted((SAMPLES / "expected").glob("*.json"))]


def overlap(grounding, span):
    a, b = (grounding["start_seconds"], grounding["end_seconds"]), span
    both = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return both / (a[1] - a[0] + b[1] - b[0] - both)


@pytest.fixture(scope="module")
def answers(weights_cache):
    """Everything that is expected of each sample, asked in one go."""
    found = {}
    for sample in EXPECTED:
        questions = [part for q in sample["questions"] for part in ("-q", q["question"])]
        run = subprocess.run(
            [Path(sys.executable).with_name("tvu"), "ask", SAMPLES / sample["video"], *questions, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr
        for line in run.stdout.splitlines():
            answer = json.loads(line)
            found[sample["video"], answer["question"]] = answer
    return found


@pytest.mark.weights
@pytest.mark.parametrize(
    ("video", "question"),
    [pytest.param(s["video"], q, id=f"{s['video']}-{q['question']}") for s in EXPECTED for q in s["questions"]],
)
def test_a_sample_answers_as_expected(answers, video, question):
    groundings = answers[video, question["question"]]["groundings"]
    if not question["spans"]:
        assert groundings == []
        return
    assert groundings, "nothing was found"
    assert groundings[0]["evidence"] == question["evidence"]
    assert max(overlap(groundings[0], span) for span in question["spans"]) >= 0.5
    for span in question["spans"]:
        assert any(overlap(g, span) >= 0.5 for g in groundings), f"{span} is missing"


@pytest.mark.weights
def test_the_json_has_the_promised_fields(answers):
    answer = next(iter(answers.values()))
    assert set(answer) >= {
        "video", "duration_seconds", "question", "answer", "groundings", "model", "timing", "tvu_version",
    }  # fmt: skip
    assert set(answer["timing"]) == {"decode_s", "encode_s", "temporal_s", "generate_s", "total_s"}
    assert set(answer["groundings"][0]) == {"start_seconds", "end_seconds", "score", "evidence", "phrase"}


@pytest.mark.weights
def test_times_of_a_part_are_those_of_the_whole_file(tvu, weights_cache):
    run = tvu("ask", f"{SAMPLES}/parade.mp4#t=8,20", "when does the tiger appear?", "-m", "scout", "--top", 1, "--json")
    (grounding,) = json.loads(run.stdout)["groundings"]
    assert overlap(grounding, (17, 20)) >= 0.5


@pytest.mark.weights
def test_evidence_restricts_the_channels(tvu, weights_cache):
    run = tvu(
        "ask", SAMPLES / "postcard.mp4", "the caption with the final score", "--evidence", "screen-text", "--json"
    )
    assert {g["evidence"] for g in json.loads(run.stdout)["groundings"]} == {"screen-text"}


@pytest.mark.weights
def test_ground_prints_a_row_for_each_span(tvu, weights_cache):
    run = tvu("ground", SAMPLES / "parade.mp4", "-q", "the tiger", "-m", "scout", "--top", 2)
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert len(rows) == 2
    assert all(float(end) > float(start) for start, end, *_ in rows)


@pytest.mark.weights
def test_clips_and_timeline_are_written_and_not_overwritten(tvu, weights_cache, tmp_path):
    arguments = ("ask", SAMPLES / "parade.mp4", "the tiger", "-m", "scout", "--top", 1)
    run = tvu(*arguments, "--clip", tmp_path / "cuts", "--timeline", tmp_path / "line.png")
    assert run.returncode == 0, run.stderr
    (clip,) = (tmp_path / "cuts").iterdir()
    assert f"cut: {clip}" in run.stderr
    assert Image.open(tmp_path / "line.png").size[0] == 1200
    again = tvu(*arguments, "--timeline", tmp_path / "line.png")
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert tvu(*arguments, "--timeline", tmp_path / "line.png", "--force").returncode == 0


@pytest.mark.weights
def test_nothing_found_is_exit_code_1(tvu, weights_cache):
    run = tvu("ask", SAMPLES / "parade.mp4", "When does the speaker thank the audience?", "-m", "scout")
    assert run.returncode == 1
    assert run.stdout.strip()


@pytest.mark.weights
def test_a_closed_pipe_ends_quietly(weights_cache):
    command = f"{Path(sys.executable).with_name('tvu')} ground {SAMPLES}/parade.mp4 -q tiger -m scout --json | true"
    run = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60)
    assert run.stderr == ""
    assert run.returncode in (0, 141)  # 0 where the answer went into the pipe's buffer before it closed


@pytest.mark.weights
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
def test_a_full_disk_is_a_sentence(weights_cache):
    with Path("/dev/full").open("w") as full:
        asked = ("ground", SAMPLES / "parade.mp4", "-q", "tiger", "-m", "scout")
        command = [Path(sys.executable).with_name("tvu"), *asked]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert run.returncode == 5
    assert "No space left" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.weights
def test_a_cache_that_cannot_be_written_is_a_note(tvu, weights_cache, tmp_path):
    (tmp_path / "cache").mkdir()
    for name in ("weights", "texts"):
        (tmp_path / "cache" / name).symlink_to(weights_cache / name)
    (tmp_path / "cache" / "features").write_text("in the way")
    run = tvu("ask", SAMPLES / "parade.mp4", "the tiger", "-m", "scout", TVU_CACHE=str(tmp_path / "cache"))
    assert run.returncode == 0
    assert "not kept" in run.stderr


@pytest.mark.alone
@pytest.mark.weights
def test_ctrl_c_ends_within_a_second(weights_cache, tmp_path):
    command = [Path(sys.executable).with_name("tvu"), "ask", SAMPLES / "postcard.mp4", "the penguin", "--no-cache"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(1.5)
    started = time.monotonic()
    os.killpg(run.pid, signal.SIGINT)
    _, told = run.communicate(timeout=10)
    assert time.monotonic() - started < 1.5  # a second, and what a busy machine adds
    assert run.returncode == 130
    assert "Traceback" not in told


def test_missing_weights_offer_the_command_that_gets_them(tvu, tmp_path):
    run = tvu("ask", SAMPLES / "parade.mp4", "the tiger", TVU_CACHE=str(tmp_path))
    assert run.returncode == 4
    assert "tvu models pull" in run.stderr


@pytest.fixture(scope="module")
def cache_of_scout(weights_cache, tmp_path_factory):
    """A cache that has the weights of `scout` alone."""
    cache = tmp_path_factory.mktemp("cache")
    for name in names_of("scout"):
        home = home_of(entry(name))
        (cache / home.relative_to(weights_cache)).parent.mkdir(parents=True, exist_ok=True)
        (cache / home.relative_to(weights_cache)).symlink_to(home)
    return cache


@pytest.mark.weights
@pytest.mark.parametrize("command", [("ask",), ("ground", "-q"), ("highlights",)])
def test_where_the_weights_of_scout_alone_are_it_answers_and_lite_is_asked_with_leave_to_pull(
    tvu, cache_of_scout, command
):
    name, *flag = command
    asked = (name, SAMPLES / "parade.mp4", *flag, "the tiger", "--evidence", "visual", "--json")
    cache = {"TVU_CACHE": str(cache_of_scout), "TVU_OFFLINE": "1"}
    run = tvu(*asked, **cache)
    assert run.returncode == 0 and '"scout"' in run.stdout and "lite" not in run.stdout, run.stderr
    run = tvu(*asked, "--pull", **cache)
    assert run.returncode == 4 and "mediapipe-bodies" in run.stderr


@pytest.mark.weights
def test_where_the_weights_of_lite_are_it_is_asked_with_scout(tvu, weights_cache):
    here = best_model()
    if here != "scout+lite":
        pytest.skip("the weights of lite are not in the cache")
    for asked, model in (((), "scout+lite"), (("-m", "scout"), "scout")):
        run = tvu("ask", SAMPLES / "parade.mp4", "when does the tiger appear?", *asked, "--json")
        assert json.loads(run.stdout)["model"] == model


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "x.mp4"),
        ("ask", "x.mp4", "  "),
        ("ask", "x.mp4", "q", "--evidence", "smell"),
        ("ask", "x.mp4", "q", "--start", "soon"),
        ("ask", "x.mp4", "q", "--decoder", "vlc"),
        ("ask", "x.mp4", "q", "-m", "gpt"),
        ("ask", "x.mp4", "q", "-q", "r", "--timeline", "t.png"),
        ("ground", "x.mp4"),
    ],
)
def test_wrong_usage_is_exit_code_2(tvu, arguments):
    run = tvu(*arguments)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


def test_an_unreadable_video_is_exit_code_3(tvu, weights_cache, tmp_path):
    (tmp_path / "odd\nname.mp4").write_bytes(b"not a video")
    run = tvu("ask", tmp_path / "odd\nname.mp4", "the tiger")
    assert run.returncode == 3
    assert run.stderr.count("\n") <= 2
    assert "odd\\nname.mp4" in run.stderr
