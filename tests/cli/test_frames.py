import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.video_llm.media.torture import READABLE, Numbered, read_number


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Numbered:
    return READABLE["MPEG-TS starting late"](tmp_path_factory.mktemp("late"))


def number_in(path: Path) -> int:
    return read_number(np.array(Image.open(path).convert("L")))


def test_each_frame_is_a_png_named_by_when_it_appears(tvu, late: Numbered, tmp_path: Path) -> None:
    done = tvu("frames", late.path, "--at", "0:05.01", "--at", "1.5", "-o", tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["frames"]
    assert [row["asked_seconds"] for row in rows] == [5.01, 1.5]
    assert [row["shown_seconds"] for row in rows] == pytest.approx([5.0, 1.48], abs=1e-4)
    assert [Path(row["file"]).name for row in rows] == ["late_00005.000.png", "late_00001.480.png"]
    assert [number_in(Path(row["file"])) for row in rows] == [125, 37]


def test_the_text_lists_asked_and_true_times(tvu, late: Numbered, tmp_path: Path) -> None:
    done = tvu("frames", late.path, "--at", "5.01", "-o", tmp_path)
    assert "00:05.010" in done.stdout and "00:05.000" in done.stdout and "late_00005.000.png" in done.stdout


def test_pictures_can_be_made_smaller_and_read_by_decord(tvu, tmp_path: Path) -> None:
    file = READABLE["variable rate mp4"](tmp_path)
    at = float(file.times[100]) + 0.005
    done = tvu("frames", file.path, "--at", at, "-o", tmp_path, "--max-side", 64, "--decoder", "decord", "--json")
    assert done.returncode == 0, done.stderr
    picture = Path(json.loads(done.stdout)["frames"][0]["file"])
    assert Image.open(picture).size == (64, 48)
    assert number_in(picture) == 100


def test_nothing_is_overwritten_without_force(tvu, late: Numbered, tmp_path: Path) -> None:
    taken = tmp_path / "late_00005.000.png"
    taken.write_text("precious")
    refused = tvu("frames", late.path, "--at", "2", "--at", "5", "-o", tmp_path)
    assert refused.returncode == 2 and "--force" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [taken.name] and taken.read_text() == "precious"
    assert tvu("frames", late.path, "--at", "5", "-o", tmp_path, "--force").returncode == 0
    assert number_in(taken) == 125


def test_two_times_on_one_frame_give_one_file(tvu, late: Numbered, tmp_path: Path) -> None:
    done = tvu("frames", late.path, "--at", "5.01", "--at", "5.02", "-o", tmp_path)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_a_time_after_the_end_is_wrong_usage(tvu, late: Numbered, tmp_path: Path) -> None:
    done = tvu("frames", late.path, "--at", "99", "-o", tmp_path)
    assert done.returncode == 2 and "ends at 00:08.000" in done.stderr


def test_a_file_in_place_of_the_folder_is_an_error_for_people(tvu, late: Numbered, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = tvu("frames", late.path, "--at", "1", "-o", tmp_path / "file")
    assert done.returncode == 5 and "cannot be made a folder" in done.stderr
