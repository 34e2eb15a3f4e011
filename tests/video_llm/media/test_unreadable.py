import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tests.video_llm.media.torture import Numbered, read_number
from tvu.video_llm.decode import clock_of, open_video, read_frames
from tvu.video_llm.errors import VideoError


def refusal(path: str | Path) -> VideoError:
    started = time.monotonic()
    with pytest.raises(VideoError) as caught:
        open_video(path)
    assert time.monotonic() - started < 5, path
    return caught.value


def test_every_unreadable_file_is_one_sentence_and_a_hint_within_five_seconds(unreadable: dict[str, Path]) -> None:
    for name, path in unreadable.items():
        error = refusal(path)
        assert error.hint, name
        assert "\n" not in error.message and len(error.message.replace(str(path), "")) < 100, name
        assert path.name in error.message, name


def test_the_reason_is_told(unreadable: dict[str, Path]) -> None:
    assert "is empty" in refusal(unreadable["empty"]).message
    assert "does not exist" in refusal(unreadable["missing.mp4"]).message
    assert "no video" in refusal(unreadable["audio only"]).message
    assert "no video" in refusal(unreadable["mp3 with cover art"]).message
    assert "playlist" in refusal(unreadable["playlist on the network"]).message


def test_pipes_and_sockets_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    refusal(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.mp4"))
        refusal(tmp_path / "socket.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "may not be read" in refusal(path).message


@pytest.mark.parametrize("address", ["", "a\0b.mp4", "x" * 5000 + ".mp4", "http://192.0.2.1/a.mp4", "pipe:0", "-"])
def test_addresses_that_name_no_file_are_refused(address: str) -> None:
    refusal(address)


@pytest.mark.parametrize("fragment", ["#t=5,2", "#t=x", "#t=,", "#t=99"])
def test_a_part_that_is_not_there_is_refused(cut_short: dict[str, Numbered], fragment: str) -> None:
    path = cut_short["mp4 cut short at 60%"].path
    refusal(f"{path}{fragment}")


def test_huge_claims_end_in_true_frames_or_a_refusal_within_five_seconds(huge_claims: dict[str, Path]) -> None:
    for name, path in huge_claims.items():
        started = time.monotonic()
        try:
            clip = open_video(path)
            assert max(clip.width, clip.height) <= 8192, name
            first = np.array(clock_of(clip).pts_seconds[:5])
            shown = [read_number(p) for batch in read_frames(clip, first, max_side=None) for p in batch.pixels[0]]
            assert shown == list(range(len(first))), name
        except VideoError as error:
            assert error.hint, name
        assert time.monotonic() - started < 5, name
