"""One entry on the disk."""

import errno
import json
import os

import numpy as np
import pytest

from tvu.video_llm.index.entries import CacheEntry, is_sealed, read_entry, remove_entry, write_entry

ENTRY = CacheEntry({"a": np.arange(1000.0), "b": np.zeros((0, 3), np.float16)}, {"n": 1})


def test_an_entry_reads_back_memory_mapped(tmp_path):
    size = write_entry(tmp_path / "xx" / "one", ENTRY)
    assert size == sum(file.stat().st_size for file in (tmp_path / "xx" / "one").iterdir())
    back = read_entry(tmp_path / "xx" / "one")
    assert isinstance(back.arrays["a"], np.memmap)
    np.testing.assert_array_equal(back.arrays["a"], ENTRY.arrays["a"])
    assert back.arrays["b"].shape == (0, 3) and back.fields == {"n": 1}


def test_the_second_writer_of_one_name_leaves_the_first_entry_and_nothing_else(tmp_path):
    assert write_entry(tmp_path / "one", ENTRY) > 0
    assert write_entry(tmp_path / "one", ENTRY) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.EEXIST])
def test_that_another_was_first_is_fine_though_its_entry_is_gone_again(tmp_path, monkeypatch, number):
    def rename(*_):
        raise OSError(number, "in the way")

    monkeypatch.setattr(os, "rename", rename)
    assert write_entry(tmp_path / "one", ENTRY) == 0 and list(tmp_path.iterdir()) == []


def test_an_entry_that_cannot_be_put_in_its_place_is_told(tmp_path):
    (tmp_path / "one").write_text("a file")
    with pytest.raises(NotADirectoryError):
        write_entry(tmp_path / "one", ENTRY)


def test_a_changed_byte_is_found_when_every_byte_is_read(tmp_path):
    write_entry(tmp_path / "one", ENTRY)
    file = tmp_path / "one" / "a.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert read_entry(tmp_path / "one") is not None
    with pytest.raises(ValueError, match="other bytes"):
        read_entry(tmp_path / "one", every_byte=True)


def test_a_lost_or_added_byte_is_always_found(tmp_path):
    write_entry(tmp_path / "one", ENTRY)
    file = tmp_path / "one" / "a.npy"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ValueError, match="another size"):
        read_entry(tmp_path / "one")


def test_what_an_entry_says_of_itself_is_sealed(tmp_path):
    write_entry(tmp_path / "one", ENTRY)
    about = tmp_path / "one" / "entry.json"
    about.write_text(about.read_text().replace('"n": 1', '"n": 2'))
    with pytest.raises(ValueError, match="damaged"):
        read_entry(tmp_path / "one")


def test_an_entry_of_an_early_version_is_still_read(tmp_path):
    (tmp_path / "one").mkdir()
    np.save(tmp_path / "one" / "a.npy", ENTRY.arrays["a"])
    (tmp_path / "one" / "entry.json").write_text(json.dumps({"n": 1, "arrays": ["a"]}))
    assert read_entry(tmp_path / "one", every_byte=True).fields == {"n": 1}
    assert not is_sealed(tmp_path / "one")


def test_pickles_are_never_loaded(tmp_path):
    write_entry(tmp_path / "one", ENTRY)
    np.save(tmp_path / "one" / "a.npy", np.array([print], object), allow_pickle=True)
    about = json.loads((tmp_path / "one" / "entry.json").read_text())
    (tmp_path / "one" / "entry.json").write_text(json.dumps({"arrays": about["arrays"]}))
    with pytest.raises(ValueError, match="holds no numbers"):
        read_entry(tmp_path / "one")


def test_an_entry_that_goes_away_while_it_is_opened_is_no_damage(tmp_path, monkeypatch):
    write_entry(tmp_path / "one", ENTRY)
    real = os.listdir

    def listdir(fd):
        remove_entry(tmp_path / "one")
        return real(fd)

    monkeypatch.setattr(os, "listdir", listdir)
    assert read_entry(tmp_path / "one") is None


def test_what_was_opened_outlives_its_removal(tmp_path):
    write_entry(tmp_path / "one", ENTRY)
    mapped = read_entry(tmp_path / "one").arrays["a"]
    assert remove_entry(tmp_path / "one")
    assert not remove_entry(tmp_path / "one")
    assert list(tmp_path.iterdir()) == []
    assert mapped.sum() == ENTRY.arrays["a"].sum()
