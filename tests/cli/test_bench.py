"""`tvu bench` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tvu.video_llm.benchmarks.mini_mvbench import write_mvbench

SAMPLE = Path(__file__).parents[2] / "samples" / "postcard.mp4"


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    """The drawn sets, as the command makes them."""
    folder = tmp_path_factory.mktemp("bench") / "mini"
    command = [Path(sys.executable).with_name("tvu"), "bench", "make-mini", folder]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def choices(tmp_path_factory) -> Path:
    """Two tasks of the mini set of MVBench, 14 questions."""
    folder = tmp_path_factory.mktemp("bench") / "mvbench"
    write_mvbench(folder, tasks=["moving_direction", "action_count"])
    return folder


@pytest.fixture
def many(tmp_path) -> Path:
    """Three hundred queries about one video."""
    (tmp_path / "data" / "videos").mkdir(parents=True)
    (tmp_path / "data" / "videos" / "a.mp4").symlink_to(SAMPLE)
    row = {"duration": 18, "vid": "a", "relevant_windows": [[2, 10]]}
    lines = [json.dumps({"qid": i, "query": f"q{i}", **row}) for i in range(300)]
    (tmp_path / "data" / "moments.jsonl").write_text("\n".join(lines))
    return tmp_path / "data"


def test_benchmarks_are_named(tvu):
    told = tvu("bench", "list")
    assert told.returncode == 0
    names = {line.split()[0] for line in told.stdout.splitlines() if not line.startswith(" ")}
    assert {"mvbench", "charades-sta", "qvhighlights", "youcook2", "htm-align", "shuffle", "speed", "kernels"} <= names


def test_a_benchmark_tells_its_data_licence_and_published_numbers(tvu):
    told = tvu("bench", "list", "qvhighlights").stdout
    assert "CC BY-NC-SA 4.0" in told and "highlight_val_release.jsonl" in told and "Moment-DETR" in told
    document = json.loads(tvu("bench", "list", "mvbench", "--json").stdout)
    assert {"where", "layout", "licence", "published"} <= document.keys()
    assert all(each["source"] for each in document["published"])
    unknown = tvu("bench", "list", "unheard-of")
    assert (unknown.returncode, "`tvu bench list` names them" in unknown.stderr) == (2, True)


def test_drawn_questions_give_the_numbers_that_their_design_says(tvu, choices, tmp_path):
    scores = {}
    for name in ("oracle", "constant", "constant:C"):
        told = tvu("bench", "mvbench", "--data", choices, "-m", f"baseline:{name}", "--json", cwd=tmp_path)
        assert told.returncode == 0
        scores[name] = json.loads(told.stdout)
    assert scores["oracle"]["accuracy"] == 100
    assert scores["oracle"]["mean_of_tasks"] == 100
    assert scores["constant"]["accuracy"] == scores["constant"]["guess"] == scores["constant"]["always_a"]
    assert scores["constant"]["MD"] == scores["constant:C"]["MD"] == 25  # a reader of the text alone is at chance
    assert scores["constant"]["n_run"] == scores["constant"]["n_expected"] == 14


def test_drawn_moments_and_orders_are_run_too(tvu, mini, tmp_path):
    oracle = tvu("bench", "moments", "--data", mini / "moments", "-m", "baseline:oracle", "--json", cwd=tmp_path)
    numbers = json.loads(oracle.stdout)
    assert (numbers["R1@0.7"], numbers["absent_right"], numbers["abstention_auroc"]) == (100, 100, 1)
    blind = tvu("bench", "chronology", "--data", mini / "chronology", "-m", "baseline:whole", "--json", cwd=tmp_path)
    assert blind.returncode == 0
    assert json.loads(blind.stdout)["benchmark"] == "chronology"


@pytest.mark.weights
def test_scout_is_run_on_a_part_of_the_mini_set(tvu, choices, tmp_path, weights_cache):
    args = ("bench", "mvbench", "--data", choices, "--subset", 4, "--frames", 4, "--json")
    told = tvu(*args, cwd=tmp_path)
    assert told.returncode == 0
    numbers = json.loads(told.stdout)
    assert (numbers["n_run"], numbers["n_failed"], numbers["n_unparsed"]) == (4, 0, 0)
    assert any("not comparable" in note for note in numbers["notes"])


@pytest.mark.alone
def test_a_run_can_be_killed_at_any_moment(tvu, many, tmp_path):
    command = ["bench", "moments", "--data", many, "-m", "baseline:whole", "-o", tmp_path / "run", "--json"]
    items = tmp_path / "run" / "items.jsonl"
    for least in (3, 80, 160):
        process = subprocess.Popen(
            [Path(sys.executable).with_name("tvu"), *map(str, command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = time.monotonic() + 30
        while time.monotonic() < before and (not items.exists() or items.read_bytes().count(b"\n") < least):
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert items.read_bytes().count(b"\n") < 300
    told = tvu(*command)
    once = tvu(*command[:-3], "-o", tmp_path / "once", "--json")
    assert (told.returncode, told.stdout) == (0, once.stdout)
    ids = [json.loads(line)["id"] for line in items.read_text().splitlines()]
    assert ids == [str(i) for i in range(300)]  # nothing lost, nothing twice


def test_an_interrupted_run_says_what_is_kept(many, tmp_path):
    command = [Path(sys.executable).with_name("tvu"), "bench", "moments", "--data", many, "-m", "baseline:whole"]
    process = subprocess.Popen(
        [*command, "-o", tmp_path / "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    items = tmp_path / "run" / "items.jsonl"
    before = time.monotonic() + 30
    while time.monotonic() < before and (not items.exists() or items.read_bytes().count(b"\n") < 20):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "items; the same command goes on from there" in errors


def test_shards_are_merged_and_runs_compared(tvu, choices, tmp_path):
    args = ("bench", "mvbench", "--data", choices, "-m", "baseline:random")
    for i in range(2):
        assert tvu(*args, "--shard", f"{i}/2", cwd=tmp_path).returncode == 0
    root = tmp_path / "tvu-runs" / "mvbench"
    merged = tvu("bench", "merge", *sorted(root.iterdir()), "-o", tmp_path / "merged", "--json")
    whole = tvu(*args, "--json", cwd=tmp_path)
    assert (merged.returncode, merged.stdout) == (0, whole.stdout)
    tvu("bench", "mvbench", "--data", choices, "-m", "baseline:oracle", cwd=tmp_path)
    told = tvu("bench", "compare", root / "baseline-random", root / "baseline-oracle", "--json")
    numbers = json.loads(told.stdout)
    assert (numbers["mean_b"], numbers["worse"], numbers["items"]) == (100, 0, 14)
    assert numbers["p"] < 0.05 and 0 < numbers["low"] < numbers["difference"] < numbers["high"]


def test_predictions_are_scored_without_a_model(tvu, tmp_path):
    rows = [{"qid": i, "query": "a", "duration": 20, "vid": "a", "relevant_windows": [[0, 4]]} for i in range(2)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "p.jsonl").write_text(json.dumps({"qid": 0, "pred_relevant_windows": [[0, 2]]}))
    args = ("bench", "score", "moments", "--pred", tmp_path / "p.jsonl", "--gt", tmp_path / "t.jsonl")
    told = tvu(*args, "--json")
    numbers = json.loads(told.stdout)
    assert (numbers["R1@0.5"], numbers["all/R1@0.5"], numbers["mIoU"]) == (100, 50, 50)
    assert "1 of 2 items have no prediction" in numbers["notes"][0]
    text = tvu(*args)
    assert "1 of 2 items have no prediction" in text.stderr and "mIoU" in text.stdout
    sample = json.loads(tvu(*args, "--sample", "--json").stdout)
    assert "all/R1@0.5" not in sample and sample["notes"] == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("moments", "--data", "nowhere"), 3, "there is no nowhere"),
        (("moments", "--data", ".", "-m", "baseline:unheard-of"), 2, "no baseline is called"),
        (("moments", "--data", ".", "--protocol", "mine"), 2, "moments has no protocol 'mine'"),
        (("moments", "--data", ".", "--matching", "mine"), 2, "moments has no matching 'mine'"),
        (("moments", "--data", ".", "--matching", "timelens"), 2, "protocol tvu of moments reads no text"),
        (("moments", "--data", ".", "--frames", "8"), 2, "moments takes no --frames"),
        (("mvbench", "--data", ".", "--shard", "4/4"), 2, "'4/4' is no shard"),
        (("mvbench", "--data", ".", "-m", "baseline:random"), 3, "holds no MVBench"),
        (("score", "mvbench", "--pred", "p", "--gt", "t"), 2, "is scored by running it"),
        (("score", "moments", "--pred", "p", "--gt", "t"), 3, "there is no file"),
        (("compare", ".", "."), 3, "is no folder of a run"),
        (("merge", ".", "-o", "x"), 3, "is no folder of a run"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_named_exit_code(tvu, tmp_path, args, code, message):
    told = tvu("bench", *args, cwd=tmp_path)
    assert (told.returncode, message in told.stderr) == (code, True), told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout == ""


def test_the_folder_of_another_run_is_refused_without_a_word_of_going_on(tvu, many, tmp_path):
    command = ["bench", "moments", "--data", many, "-o", tmp_path / "run", "--subset", 2]
    assert tvu(*command, "-m", "baseline:whole").returncode == 0
    refused = tvu(*command, "-m", "baseline:middle")
    assert (refused.returncode, "with another model" in refused.stderr, "kept" in refused.stderr) == (2, True, False)


def test_a_run_in_which_no_video_was_there_says_so(tvu, many, tmp_path):
    (many / "videos" / "a.mp4").unlink()
    told = tvu("bench", "moments", "--data", many, "-m", "baseline:whole", "-o", tmp_path / "run")
    assert told.returncode == 3
    assert "1 videos are missing or cannot be read: a" in told.stdout


def test_a_drawn_set_is_replaced_only_when_told(tvu, mini, tmp_path):
    again = tvu("bench", "make-mini", mini)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    (tmp_path / "mine").mkdir()
    assert tvu("bench", "make-mini", tmp_path / "mine", "--force").returncode == 2
    assert os.listdir(tmp_path / "mine") == []  # noqa: PTH208


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_kernels_are_not_timed_without_a_gpu(tvu):
    told = tvu("bench", "kernels")
    assert told.returncode == 5
    assert "no CUDA device" in told.stderr
