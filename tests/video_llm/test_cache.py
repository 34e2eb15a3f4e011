"""Features kept by content."""

import os

import numpy as np
import pytest

from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.errors import VideoError

ENTRY = CacheEntry({"features": np.arange(12, dtype=np.float16).reshape(3, 4)}, {"words": ["größe", "two"]})


def test_an_entry_reads_back_as_it_was_stored(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.store("key", ENTRY)
    back = cache.load("key")
    np.testing.assert_array_equal(back.arrays["features"], ENTRY.arrays["features"])
    assert back.fields == ENTRY.fields


def test_another_key_finds_nothing(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.store("key", ENTRY)
    assert cache.load("other") is None


@pytest.mark.parametrize("member", ["features.npy", "entry.json"])
def test_a_damaged_entry_is_dropped_not_believed(tmp_path, member):
    cache = FeatureCache(tmp_path)
    cache.store("key", ENTRY)
    (damaged,) = tmp_path.rglob(member)
    damaged.write_bytes(damaged.read_bytes()[:20])
    assert cache.load("key") is None
    cache.store("key", ENTRY)
    assert cache.load("key") is not None


def test_a_missing_array_is_noticed(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.store("key", ENTRY)
    next(tmp_path.rglob("*.npy")).unlink()
    assert cache.load("key") is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "cache")
    cache.store("key", ENTRY)
    assert "not kept" in cache.trouble
    assert cache.load("key") is None


def test_the_same_content_under_another_name_has_the_same_hash(tmp_path):
    cache = FeatureCache(tmp_path / "cache")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"same")
    assert cache.content_of(tmp_path / "a.mp4") == cache.content_of(tmp_path / "b.mp4")


def test_a_changed_file_is_noticed_even_at_the_same_size(tmp_path):
    cache, file = FeatureCache(tmp_path / "cache"), tmp_path / "a.mp4"
    file.write_bytes(b"one")
    before = cache.content_of(file)
    assert cache.content_of(file) == before
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert cache.content_of(file) != before


def test_a_missing_file_is_a_video_error(tmp_path):
    with pytest.raises(VideoError, match="cannot be read"):
        FeatureCache(tmp_path).content_of(tmp_path / "none.mp4")
