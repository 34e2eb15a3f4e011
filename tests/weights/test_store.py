import json
import os
import shutil
from pathlib import Path

import pytest

from tvu.weights.errors import WeightsError
from tvu.weights.manifest import Weights
from tvu.weights.store import INVENTORY, cache_root, folder_of, require_whole, state_of, take_inventory, verify


@pytest.fixture
def folder(cache: Path, tiny: Weights) -> Path:
    """Two files, accepted into the cache a minute ago."""
    place = folder_of(tiny)
    place.mkdir(parents=True)
    for name in ("model.bin", "words.txt"):
        (place / name).write_bytes(b"0123456789")
        os.utime(place / name, (1_700_000_000, 1_700_000_000))
    take_inventory(place, tiny, "a test")
    return place


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TVU_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("TVU_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "tvu"


def test_an_accepted_folder_is_whole(folder: Path, tiny: Weights):
    assert verify(folder) == {} == verify(folder, every_byte=True)
    assert state_of(tiny) == ("ready", {})


def test_a_truncated_file_is_named(folder: Path, tiny: Weights):
    (folder / "model.bin").write_bytes(b"012345")
    state, wrong = state_of(tiny)
    assert state == "damaged"
    assert wrong == {"model.bin": "has 6 bytes instead of 10"}
    with pytest.raises(WeightsError, match=r"tiny are damaged: .*model\.bin has 6 bytes") as caught:
        require_whole(tiny, wrong)
    assert caught.value.hint == "run: tvu models pull tiny --force"


def test_other_content_of_the_same_size_is_named(folder: Path):
    (folder / "words.txt").write_bytes(b"0123456798")
    assert verify(folder) == {"words.txt": "has other content than when it was pulled"}


def test_a_change_that_hides_its_time_is_found_when_every_byte_is_read(folder: Path):
    (folder / "words.txt").write_bytes(b"0123456798")
    os.utime(folder / "words.txt", (1_700_000_000, 1_700_000_000))
    assert verify(folder) == {}
    assert list(verify(folder, every_byte=True)) == ["words.txt"]


def test_a_missing_file_is_named(folder: Path):
    (folder / "words.txt").unlink()
    assert verify(folder) == {"words.txt": "is missing"}


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", '{"files": [{"path": 3}]}', '{"files": 7}'])
def test_a_folder_without_a_readable_inventory_is_damaged(folder: Path, text: str):
    (folder / INVENTORY).write_text(text)
    assert verify(folder) == {INVENTORY: "is missing or unreadable"}
    (folder / INVENTORY).unlink()
    assert verify(folder) == {INVENTORY: "is missing or unreadable"}


def test_a_cache_that_was_copied_is_hashed_once_and_then_believed(folder: Path):
    for name in ("model.bin", "words.txt"):
        os.utime(folder / name)
    assert verify(folder) == {}
    noted = {file["path"]: file["mtime_ns"] for file in json.loads((folder / INVENTORY).read_text())["files"]}
    assert noted == {name: (folder / name).stat().st_mtime_ns for name in noted}


def test_the_revision_changes_with_the_parts_and_not_with_the_words_around_them(make_weights):
    assert make_weights({"model.bin": b"one"}).revision != make_weights({"model.bin": b"two"}).revision


def test_a_folder_that_is_gone_is_missing(folder: Path, tiny: Weights):
    shutil.rmtree(folder)
    assert state_of(tiny) == ("missing", {})
