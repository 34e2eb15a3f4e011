"""The reader process: what it may cost its parent when a file, a user or the system does its worst."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video_llm.media.drawing import draw_video
from tvu.video_llm.decode import open_video, read_frames
from tvu.video_llm.errors import VideoError
from tvu.video_llm.media import child
from tvu.video_llm.media.wire import Message, read_message, write_message


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_video(tmp_path_factory.mktemp("worker") / "long.mp4", num_frames=500, size=(640, 360))


def readers_of(pid: int) -> list[int]:
    """The reader processes of a process: the children of its nursery."""
    return [reader for child in children_of(pid) for reader in children_of(child)]


def children_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    return [int(child) for child in children.read_text().split()]


def wait_until_gone(pid: int, seconds: float = 3.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")


def test_messages_arrive_as_they_were_sent() -> None:
    sent = bytearray()
    arrays = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "none": np.empty((0, 4), np.uint8)}
    write_message(Message("kind", {"name": "søren\udcff"}, arrays), sent.extend)

    def read_into(buffer: memoryview) -> None:
        buffer[:] = sent[: len(buffer)]
        del sent[: len(buffer)]

    received = read_message(read_into)
    assert (received.kind, received.fields) == ("kind", {"name": "søren\udcff"})
    assert received.arrays["a"].tolist() == arrays["a"].tolist() and received.arrays["none"].shape == (0, 4)


def test_arrays_longer_than_their_message_are_refused() -> None:
    header = b'{"kind": "x", "fields": {}, "arrays": [["a", "|u1", [999999999999]]]}'
    sent = bytearray(len(header).to_bytes(4, "little") + (8).to_bytes(8, "little") + header + bytes(8))

    def read_into(buffer: memoryview) -> None:
        buffer[:] = sent[: len(buffer)]
        del sent[: len(buffer)]

    with pytest.raises(ValueError, match="longer"):
        read_message(read_into)


def test_a_crash_of_the_decoder_is_an_error_about_the_file(video: Path) -> None:
    frames = read_frames(open_video(video), np.arange(0, 20, 0.1), max_side=None, batch_frames=1)
    next(frames)
    os.kill(readers_of(os.getpid())[-1], signal.SIGSEGV)
    with pytest.raises(VideoError, match="crashes the decoder") as refusal:
        list(frames)
    assert str(video) in refusal.value.message


@pytest.mark.alone
def test_a_decoder_that_stands_still_is_given_up(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "STALL_SECONDS", 0.5)
    frames = read_frames(open_video(video), np.arange(0, 20, 0.1), max_side=None, batch_frames=1)
    next(frames)
    (reader,) = readers_of(os.getpid())
    os.kill(reader, signal.SIGSTOP)
    with pytest.raises(VideoError, match="stalls the decoder"):
        list(frames)
    wait_until_gone(reader, seconds=0.5)


@pytest.mark.alone
def test_a_slow_reader_is_not_a_stalled_one(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "STALL_SECONDS", 0.6)
    seen = 0
    for batch in read_frames(open_video(video), np.arange(0, 4, 0.5), max_side=None, batch_frames=4):
        time.sleep(1.0)  # our side may take as long as it likes
        seen += batch.pixels.shape[1]
    assert seen == 8


@pytest.mark.alone
def test_an_abandoned_iterator_leaves_no_process(video: Path) -> None:
    frames = read_frames(open_video(video), np.arange(0, 20, 0.1), max_side=None, batch_frames=1)
    next(frames)
    (reader,) = readers_of(os.getpid())
    frames.close()  # type: ignore[attr-defined]
    wait_until_gone(reader, seconds=0.5)


def test_the_nursery_is_started_once_and_again_when_it_died(video: Path, tmp_path: Path) -> None:
    def nursery_after(path: Path) -> int:
        open_video(path)
        server = child.NURSERY._server
        assert server is not None and server.pid in children_of(os.getpid())
        return server.pid

    first = nursery_after(draw_video(tmp_path / "a.mp4", num_frames=3, size=(64, 48)))
    assert nursery_after(draw_video(tmp_path / "b.mp4", num_frames=3, size=(64, 48))) == first
    os.kill(first, signal.SIGKILL)
    assert nursery_after(draw_video(tmp_path / "c.mp4", num_frames=3, size=(64, 48))) != first


def test_readers_run_beside_each_other(video: Path) -> None:
    clip = open_video(video)
    times = np.arange(0, 4, 0.5)
    several = [read_frames(clip, times, max_side=None, batch_frames=1) for _ in range(6)]
    firsts = [next(frames) for frames in several]
    assert len(readers_of(os.getpid())) == 6
    assert all(np.array_equal(first.pixels, firsts[0].pixels) for first in firsts)
    assert [sum(1 for _ in frames) for frames in several] == [7] * 6


def test_a_forked_process_has_a_nursery_of_its_own(video: Path) -> None:
    script = """
import os, sys
from tvu.video_llm.decode import open_video
from tvu.video_llm.media.survey import _survey
open_video(sys.argv[1])
_survey.cache_clear()
pid = os.fork()
clip = open_video(sys.argv[1])
if pid == 0:
    os._exit(clip.num_frames % 251)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), clip.num_frames)
"""
    done = subprocess.run([sys.executable, "-P", "-c", script, str(video)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(500 % 251), "500"]


READ_ON = """
import sys, numpy as np
from tvu.video_llm.decode import open_video, read_frames
for batch in read_frames(open_video(sys.argv[1]), np.arange(0, 20, 0.04), max_side=None, batch_frames=1):
    print("frame", flush=True)
    if len(sys.argv) > 2:
        import time; time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_parent(video: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-P", "-c", READ_ON, str(video), "slowly"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "frame\n"
    (nursery,) = children_of(parent.pid)
    (reader,) = children_of(nursery)
    parent.send_signal(how)
    _, errors = parent.communicate(timeout=10)
    wait_until_gone(reader)
    wait_until_gone(nursery)
    if how is signal.SIGINT:
        assert errors.count("Traceback") == 1  # the parent's own KeyboardInterrupt; the reader is silent


READ_ALL = """
import resource, sys
from tvu.video_llm.decode import clock_of, open_video, read_frames
clip = open_video(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(b.pixels.shape[1] for b in read_frames(clip, clock_of(clip).pts_seconds, max_side=None)))
from tvu.video_llm.media.child import NURSERY
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, NURSERY.usage().most_bytes // 1024)
"""


def test_frames_larger_than_memory_never_pile_up(video: Path) -> None:
    # In a process of its own: what this one and its other children once needed is remembered for good.
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ_ALL, str(video)], capture_output=True, text=True, check=True
    )
    num_frames, own_kb, child_kb = map(int, done.stdout.split())
    assert num_frames == 500  # 346 MB of pixels
    assert own_kb < 150_000
    assert 30_000 < child_kb < 300_000


def test_the_reader_process_imports_nothing_heavy(video: Path) -> None:
    modules = "tvu.video_llm.media.survey_pyav, tvu.video_llm.media.reader_pyav, tvu.video_llm.media.worker"
    script = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "rich", "typer", "cv2", "PIL", "decord", "onnxruntime"} & set(done.stdout.split())


def test_ffmpeg_sees_no_name_and_opens_no_other_file(tmp_path: Path, video: Path) -> None:
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {video}\n")
    (tmp_path / "stream.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video}\n#EXT-X-ENDLIST\n")
    for name in ("list.mp4", "stream.mp4"):
        with pytest.raises(VideoError, match="playlist"):
            open_video(tmp_path / name)
    with pytest.raises(av.FFmpegError):  # and where a list hides better, the decoder has no protocol to follow it with
        av.open(str(tmp_path / "list.mp4"), options={"protocol_whitelist": "fd"})
