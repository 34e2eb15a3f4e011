"""`tvu index` and `tvu find` through the installed command."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent.parent.parent / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two videos and a file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("parade.mp4", "postcard.mp4"):
        shutil.copy(SAMPLES / name, folder)
    (folder / "broken.mp4").write_text("no video")
    return folder


@pytest.fixture
def own_cache(weights_cache, tmp_path, monkeypatch) -> Path:
    """A cache with the usual weights and no features."""
    for name in ("weights", "texts"):
        if (weights_cache / name).exists():
            (tmp_path / name).symlink_to(weights_cache / name)
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    return tmp_path


def test_info_of_nothing_writes_nothing(tvu, tmp_path):
    done = tvu("index", "info", TVU_CACHE=str(tmp_path / "none"))
    assert done.returncode == 0 and "no video is indexed" in done.stdout
    assert not (tmp_path / "none").exists()
    told = json.loads(tvu("index", "info", "--json", TVU_CACHE=str(tmp_path), TVU_CACHE_GB="3").stdout)
    assert told["limit_bytes"] == 3e9 and told["models"] == {}


@pytest.mark.parametrize("command", [["verify"], ["prune", "--to", "0"]])
def test_verify_and_prune_of_nothing_are_no_errors(tvu, tmp_path, command):
    assert tvu("index", *command, TVU_CACHE=str(tmp_path / "none")).returncode == 0


def test_a_limit_that_is_no_number_is_a_sentence(tvu, tmp_path):
    done = tvu("index", "info", TVU_CACHE=str(tmp_path), TVU_CACHE_GB="much")
    assert done.returncode != 0 and "TVU_CACHE_GB" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["index", "build", "."], ["find", ".", "a dog"]])
def test_a_folder_without_videos_exits_3(tvu, tmp_path, command):
    done = tvu(*command, cwd=tmp_path)
    assert done.returncode == 3 and "there is no video" in done.stderr


def test_no_question_is_wrong_usage(tvu, tmp_path):
    assert tvu("find", tmp_path, " ").returncode == 2


@pytest.mark.weights
def test_a_folder_is_indexed_once_and_found_in(tvu, own_cache, folder):
    built = tvu("index", "build", folder, "--evidence", "visual")
    assert built.returncode == 3  # one file is broken
    lines = built.stderr.splitlines()
    assert re.fullmatch(r"1/3 failed: .*broken\.mp4 .+", lines[0])
    assert [line.split()[1] for line in lines[1:3]] == ["indexed", "indexed"]
    assert lines[-1] == "2 indexed, 0 known, 1 failed; 0.01 hours of video"
    assert "Traceback" not in built.stderr

    # the files are emptied behind the index's back, so that whoever decodes them fails
    for name in ("parade.mp4", "postcard.mp4"):
        stat = (folder / name).stat()
        with (folder / name).open("r+b") as file:
            file.write(bytes(stat.st_size))
        os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = tvu("find", folder, "when do we see the penguin?", "--evidence", "visual", "--json")
    assert found.returncode == 0, found.stderr
    best = json.loads(found.stdout.splitlines()[0])
    assert best["rank"] == 1 and Path(best["video"]).name == "postcard.mp4"
    assert best["groundings"][0]["start_seconds"] < 1 and "penguin" in best["groundings"][0]["phrase"]
    assert "1 videos are not indexed" in found.stderr
    nothing = tvu("find", folder, "penguin", "--evidence", "visual", "--min-score", "1")
    assert nothing.returncode == 1 and nothing.stdout == "Nothing in 2 videos seems to be that.\n"


@pytest.mark.weights
def test_what_is_not_indexed_is_built_on_request(tvu, own_cache, tmp_path):
    shutil.copy(SAMPLES / "postcard.mp4", tmp_path / "one.mp4")
    asked = ("find", tmp_path / "one.mp4", "the penguin", "--evidence", "visual")
    done = tvu(*asked)
    assert done.returncode == 3 and "none of 1 videos is indexed" in done.stderr
    done = tvu(*asked, "--build", "--top", "1")
    assert done.returncode == 0
    assert re.fullmatch(r" 1  00:00\.0 - 00:05\.0 .*visual .*one\.mp4\n", done.stdout)
    file = next(path for path in own_cache.glob("features/??/*/features.npy"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    verified = json.loads(tvu("index", "verify", "--json").stdout)
    assert len(verified["damaged"]) == 1 and not verified["ledger_damaged"]
    told = json.loads(tvu("index", "info", "--videos", "--json").stdout)
    assert told["models"]["scout"]["videos"] == 1 and told["search_bytes"] > 0
    assert [Path(video["video"]).name for video in told["videos"]] == ["one.mp4"]
