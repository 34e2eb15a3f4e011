"""What the second reader can and cannot do, over the torture set: it is right or it refuses."""

from collections.abc import Callable

import pytest

from tests.video_llm.media.test_torture import numbers_at, random_times
from tests.video_llm.media.torture import Numbered
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import VideoError

pytest.importorskip("decord")

RIGHT = (
    "h264 long GOP with B-frames",
    "hevc 10-bit",
    "vp9 webm with hidden frames",
    "variable rate mp4",
    "variable rate mkv",
    "rotated by 90",
    "fragmented mp4",
    "mp4 with the picture 2 s after the sound",
    "flv",
)
REFUSED = ("cut with an edit list", "MPEG-TS starting late", "avi mpeg4 with B-frames", "av1", "gif", "tiny size")


@pytest.mark.parametrize("name", RIGHT)
def test_decord_shows_the_right_frame(torture: Callable[[str], Numbered], name: str) -> None:
    file = torture(name)
    times = random_times(file, count=20)
    assert numbers_at(open_video(file.path, decoder="decord"), times) == [file.number_at(t) for t in times]


@pytest.mark.parametrize("name", REFUSED)
def test_decord_refuses_what_it_would_show_at_wrong_times(torture: Callable[[str], Numbered], name: str) -> None:
    file = torture(name)
    with pytest.raises(VideoError) as refusal:
        numbers_at(open_video(file.path, decoder="decord"), random_times(file, count=20))
    assert "decord" in refusal.value.message and "pyav" in refusal.value.hint
