"""`hf:` through the command: ask, ground, and a benchmark of two drawn items."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Tvu
from tests.video_llm.hf.tiny_families import FAMILIES
from tvu.cli.main import app
from tvu.video_llm.benchmarks.mini_mvbench import write_mvbench


def test_a_folder_is_asked_by_the_command(tvu: Tvu, written: Callable[[str], Path], video: Path) -> None:
    model = f"hf:{written('qwen2_5_vl')}?least_presence=0&max_frames=4"
    told = tvu("ask", video, "When does it happen?", "-m", model, "--json")
    assert told.returncode in (0, 1), told.stderr  # of random weights, which may name a time
    document = json.loads(told.stdout)
    assert document["model"] == model and document["question"] == "When does it happen?"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_by_the_command(
    family: str, written: Callable[[str], Path], video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = (
        f"hf:{written(family)}?least_presence=0&max_frames=4"  # in this process: starting one takes longer than it does
    )
    with pytest.raises(SystemExit) as ended:
        app(["ground", str(video), "-q", "a red ball", "-m", model, "--json", "--no-cache"])
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == model and document["groundings"]


def test_a_model_that_needs_more_than_it_may_is_refused(tvu: Tvu, written: Callable[[str], Path], video: Path) -> None:
    asked = ("ask", video, "When?", "-m", f"hf:{written('qwen3_vl')}", "--max-vram")
    told = tvu(*asked, "10kB")
    assert told.returncode == 4 and "the weights take" in told.stderr
    assert tvu(*asked, "much").returncode == 2


def test_a_folder_grounds_by_the_command(tvu: Tvu, written: Callable[[str], Path], video: Path) -> None:
    model = f"hf:{written('qwen3_vl')}?least_presence=0&max_frames=4"
    found = tvu("ground", video, "-q", "a red ball", "-m", model)
    assert found.returncode == 0, found.stderr
    start, end, score, evidence, *_ = found.stdout.splitlines()[0].split("\t")
    assert 0 <= float(start) < float(end) <= 4 and 0 < float(score) <= 1 and evidence == "visual"


def test_a_benchmark_is_written_by_the_command(tvu: Tvu, written: Callable[[str], Path], tmp_path: Path) -> None:
    write_mvbench(tmp_path / "mvbench", tasks=["moving_direction"])
    model = f"hf:{written('smolvlm')}"
    args = ("--data", tmp_path / "mvbench", "--subset", 2, "--frames", 4, "--json", "-o", tmp_path / "run")
    told = tvu("bench", "mvbench", *args, "-m", model)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)


def test_a_folder_that_is_none_is_one_sentence(tvu: Tvu, video: Path) -> None:
    told = tvu("ask", video, "When?", "-m", "hf:./nothing")
    assert told.returncode == 2 and "is not a folder" in told.stderr and "Traceback" not in told.stderr
