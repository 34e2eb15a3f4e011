from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video_llm.media.torture import (
    READABLE,
    SHORT_GOP,
    Numbered,
    draw,
    encode,
    ffmpeg,
    folder_of_pictures,
    nasty_names,
    read_number,
)
from tvu.video_llm.decode import clock_of, open_video, read_frames
from tvu.video_llm.errors import VideoError
from tvu.video_llm.types import VideoClip

Torture = Callable[[str], Numbered]


def random_times(file: Numbered, count: int = 60) -> NDArray[np.float64]:
    """Seeded, sorted, over the whole file; never so close to a frame's edge that a container's milliseconds decide."""
    times = np.sort(np.random.default_rng(len(file.numbers)).uniform(0, file.end_seconds - 2e-3, size=count))
    nearest = file.times[abs(file.times[:, None] - times).argmin(axis=0)]
    return np.where(abs(times - nearest) < 1e-3, nearest + 1e-3, times)


def numbers_at(clip: VideoClip, times: NDArray[np.float64], max_side: int | None = None) -> list[int]:
    batches = read_frames(clip, times, max_side=max_side)
    return [read_number(pixels) for batch in batches for pixels in batch.pixels[0]]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_number_is_illegible(turns: int) -> None:
    for number in range(256):
        assert read_number(draw(number, 48, 32)) == number
        assert read_number(np.rot90(draw(number, 48, 32), turns)) != number


@pytest.mark.parametrize("name", READABLE)
def test_sixty_random_times_show_the_right_frame(torture: Torture, name: str) -> None:
    file = torture(name)
    times = random_times(file)
    assert numbers_at(open_video(file.path), times) == [file.number_at(t) for t in times]


# What decord 0.6 cannot do with these files; in all others it shows the right frame, found by the clock's times.
DECORD_REFUSES = {
    "av1",  # its FFmpeg of 2021 has no decoder for it
    "cut with an edit list",  # its table of times holds other frames than are shown
    "cut with an edit list and sound",
    "MPEG-TS starting late",
    "MPEG-TS with short GOPs",
    "avi mpeg4 with B-frames",
    "interlaced mpeg2 program stream",
    "tiny size",  # pictures in the wrong shape
    "a pixel a cell",
    "gif",  # no length in the header
    "mkv without an index",
}


@pytest.mark.parametrize("name", READABLE)
def test_decord_shows_the_right_frame_or_is_refused(torture: Torture, name: str) -> None:
    file = torture(name)
    clip = open_video(file.path, decoder="decord")
    times = random_times(file)
    if name in DECORD_REFUSES:
        with pytest.raises(VideoError, match="decord"):
            numbers_at(clip, times)
    else:
        assert numbers_at(clip, times) == [file.number_at(t) for t in times]


@pytest.mark.parametrize("name", READABLE)
def test_the_clock_lists_exactly_the_frames_that_were_written(torture: Torture, name: str) -> None:
    file = torture(name)
    clip = open_video(file.path)
    pts_seconds = clock_of(clip).pts_seconds
    assert len(pts_seconds) == clip.num_frames == len(file.times)
    np.testing.assert_allclose(pts_seconds, file.times, atol=1e-3)  # some containers keep milliseconds
    assert clip.duration_seconds == pytest.approx(
        file.end_seconds, abs=0.045
    )  # the last frame's length is often a guess


def test_frames_say_when_they_appear(torture: Torture) -> None:
    file = torture("variable rate mp4")
    times = random_times(file)
    batches = list(read_frames(open_video(file.path), times, max_side=64))
    assert {batch.pixels.shape[2:] for batch in batches} == {(3, 48, 64)}
    told = np.concatenate([batch.pts_seconds[0] for batch in batches])
    np.testing.assert_allclose(told, [file.times[file.number_at(t)] for t in times], atol=1e-4)


@pytest.mark.parametrize("name", ["rotated by 90", "rotated by 270"])
def test_rotation_swaps_width_and_height(torture: Torture, name: str) -> None:
    clip = open_video(torture(name).path)
    assert (clip.width, clip.height) == (128, 96)


def test_names_that_trip_shells_and_url_parsers_are_plain_files(tmp_path: Path) -> None:
    for file in nasty_names(tmp_path):
        assert open_video(file.path).num_frames == 75, file.path.name
    assert numbers_at(open_video(file.path), file.times[::5]) == file.numbers[::5].tolist()
    assert not Path("pwned").exists()


def test_a_name_without_its_folder_may_lead_with_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nasty_names(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("-leading.mp4", "--help", "http:..example.com.mp4", "part#t=1,2.mp4"):
        assert open_video(name).num_frames == 75


def test_a_folder_of_pictures_is_a_video_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    folder_of_pictures(tmp_path, num_pictures=30)
    clip = open_video(tmp_path)
    assert numbers_at(clip, clock_of(clip).pts_seconds) == list(range(30))


@pytest.mark.parametrize("start, end", [(1.0, 2.0), (3.3, None), (None, 0.5)])
def test_a_part_of_a_file_keeps_the_times_of_the_whole(
    torture: Torture, start: float | None, end: float | None
) -> None:
    file = torture("MPEG-TS starting late")
    clip = open_video(file.path, start=start, end=end)
    times = np.linspace(clip.span.start_seconds, clip.span.end_seconds - 1e-3, 20)
    assert numbers_at(clip, times) == [file.number_at(t) for t in times]


def test_a_stream_joined_between_key_frames_tells_the_time_of_what_it_shows(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mkv", *SHORT_GOP)
    ffmpeg("-i", whole.path, "-c", "copy", "-bsf:v", r"noise=drop=lt(n\,10)", tmp_path / "joined.mkv")
    clip = open_video(tmp_path / "joined.mkv")
    for batch in read_frames(clip, clock_of(clip).pts_seconds, max_side=None):
        numbers = [read_number(pixels) for pixels in batch.pixels[0]]
        assert numbers == [whole.number_at(t + clock_of(clip).start_seconds) for t in batch.pts_seconds[0]]


def test_a_file_cut_short_shows_what_is_left_of_it_at_the_right_times(cut_short: dict[str, Numbered]) -> None:
    for name, whole in cut_short.items():
        clip = open_video(whole.path)
        pts_seconds = clock_of(clip).pts_seconds
        assert numbers_at(clip, pts_seconds) == [whole.number_at(t) for t in pts_seconds], name
        kept = float(whole.path.stem)
        assert kept - 0.3 < clip.duration_seconds / whole.end_seconds < kept + 0.06, name
