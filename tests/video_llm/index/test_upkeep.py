"""Room, damage and leftovers."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tvu.video_llm.cache import CacheConfig, CacheEntry, FeatureCache
from tvu.video_llm.errors import OutputError
from tvu.video_llm.index.upkeep import bytes_in, evict, kept_in, sweep, verify

KILOBYTE = CacheEntry({"a": np.zeros(100, np.float64)}, {})  # with its header and entry.json about 1100 bytes


def filled(root, count, config=None):
    cache = FeatureCache(root, config or CacheConfig())
    for number in range(count):
        cache.store(str(number), KILOBYTE)
        os.utime(cache.folder_of(str(number)), (number, number))
    return cache


def there(cache, count):
    return [number for number in range(count) if cache.folder_of(str(number)).exists()]


def test_the_least_recently_used_go_first(tmp_path):
    cache = filled(tmp_path, 10)
    cache.load("0")  # used now
    size = bytes_in(tmp_path)
    assert evict(tmp_path, size // 2) == (5, bytes_in(tmp_path))
    assert there(cache, 10) == [0, 6, 7, 8, 9]


def test_nothing_goes_where_there_is_room(tmp_path):
    cache = filled(tmp_path, 3)
    assert evict(tmp_path, bytes_in(tmp_path)) == (0, bytes_in(tmp_path))
    assert there(cache, 3) == [0, 1, 2]


def test_a_store_with_a_limit_keeps_to_it_by_itself(tmp_path):
    cache = filled(tmp_path, 40, CacheConfig(max_bytes=10_000))
    assert cache.trouble == ""
    assert 7_000 < bytes_in(tmp_path) <= 10_000
    assert 39 in there(cache, 40) and 0 not in there(cache, 40)


def test_the_limit_is_one_setting_of_the_environment(monkeypatch):
    monkeypatch.setenv("TVU_CACHE_GB", "1.5")
    assert CacheConfig.from_environment() == CacheConfig(1_500_000_000)
    monkeypatch.setenv("TVU_CACHE_GB", "inf")
    assert CacheConfig.from_environment() == CacheConfig(None)
    monkeypatch.setenv("TVU_CACHE_GB", "a lot")
    with pytest.raises(OutputError, match="no number of gigabytes"):
        CacheConfig.from_environment()


def test_an_entry_costs_the_same_however_many_there_are(tmp_path, monkeypatch):
    cache = filled(tmp_path, 2, CacheConfig(max_bytes=10**9))
    monkeypatch.setattr("tvu.video_llm.cache.evict", lambda *a, **k: pytest.fail("looked at every entry"))
    cache.store("more", KILOBYTE)
    assert cache.trouble == ""


def test_verify_drops_what_is_damaged_and_keeps_the_rest(tmp_path):
    cache = filled(tmp_path, 4)
    file = cache.folder_of("2") / "a.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    told = verify(tmp_path)
    assert told.entries == 4 and len(told.damaged) == 1 and told.unsealed == 0
    assert there(cache, 4) == [0, 1, 3]
    assert [kept.used_seconds for kept in sorted(kept_in(tmp_path), key=lambda k: k.used_seconds)] == [0, 1, 3]


READER = """
import sys, time
from pathlib import Path
from tvu.video_llm.cache import CacheConfig, FeatureCache
mapped = FeatureCache(Path(sys.argv[1]), CacheConfig()).load("big").arrays["a"]
print("open", flush=True)
sys.stdin.readline()
print(int(mapped.sum()), flush=True)
"""


def test_a_process_goes_on_reading_what_another_evicts(tmp_path):
    FeatureCache(tmp_path, CacheConfig()).store("big", CacheEntry({"a": np.ones(1_000_000, np.int64)}, {}))
    command = [sys.executable, "-P", "-c", READER, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "open\n"
        assert evict(tmp_path, 0) == (1, 0)
        assert list(kept_in(tmp_path)) == []
        out, _ = reader.communicate("\n", timeout=20)
    assert out == "1000000\n"


WRITER = """
import sys, random
from pathlib import Path
import numpy as np
from tvu.video_llm.cache import CacheConfig, CacheEntry, FeatureCache
cache = FeatureCache(Path(sys.argv[1]), CacheConfig(max_bytes=1_500_000))
rng = random.Random(sys.argv[2])
print("ready", flush=True)
while True:
    number = rng.randrange(40)
    cache.store(str(number), CacheEntry({"a": np.full(10_000, number), "b": np.full(100, number)}, {"n": number}))
    found = cache.load(str(rng.randrange(40)))
    if found is not None:
        n = found.fields["n"]
        assert (found.arrays["a"] == n).all() and (found.arrays["b"] == n).all(), "torn"
    assert not cache.trouble, cache.trouble
"""


@pytest.mark.alone
def test_many_writers_in_too_little_room_killed_at_any_moment_leave_whole_entries(tmp_path):
    rng = random.Random(0)

    def start(name):
        command = [sys.executable, "-P", "-c", WRITER, tmp_path, str(name)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    writers = [start(name) for name in range(3)]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n", writer.stderr.read()
        time.sleep(1)
        for _ in range(3):
            time.sleep(rng.uniform(0.05, 0.3))
            victim = writers.pop()
            assert victim.poll() is None, victim.stderr.read()
            victim.send_signal(signal.SIGKILL)
            victim.communicate()
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    told = verify(tmp_path)
    assert told.damaged == () and told.entries > 5
    assert bytes_in(tmp_path) < 2 * 1_500_000
    for kept in tmp_path.glob("??/.*"):  # of the killed
        os.utime(kept, (0, 0))
    sweep(tmp_path)
    assert list(tmp_path.glob("??/.*")) == []


def test_a_living_writer_is_not_swept_away(tmp_path):
    from tvu.video_llm.index import entries

    def save(file, array, allow_pickle):
        (folder,) = (tmp_path / "xx").iterdir()
        os.utime(folder, (0, 0))
        assert sweep(tmp_path) == 0
        return np.lib.format.write_array(file, array, allow_pickle=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries.np, "save", save)
        assert entries.write_entry(tmp_path / "xx" / "one", KILOBYTE) > 0
