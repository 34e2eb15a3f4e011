"""Times that published models are told, on a recording whose frame rate changes."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video_llm.media.drawing import picture
from tests.video_llm.published.checkpoints import write_lita, write_videochat_t, write_vtg_llm
from tvu.video_llm.decode import clock_of, open_video
from tvu.video_llm.published.differences import as_table
from tvu.video_llm.published.lita import load_lita
from tvu.video_llm.published.memory import PublishedConfig
from tvu.video_llm.published.model import PublishedModel
from tvu.video_llm.published.videochat_t import load_videochat_t
from tvu.video_llm.published.vtg_llm import load_vtg_llm
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Request, VideoClip

EARLY, LATE = 50, 20  # pictures at 25 a second, then at 2 a second
MODELS: dict[str, tuple[Callable[..., Path], Callable[..., PublishedModel]]] = {
    "lita": (write_lita, load_lita),
    "vtg-llm": (write_vtg_llm, load_vtg_llm),
    "videochat-t": (write_videochat_t, load_videochat_t),
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 50)
        for number in range(EARLY + LATE):
            frame = av.VideoFrame.from_ndarray(picture(number, 64, 36), format="rgb24")
            frame.pts = 2 * number if number < EARLY else 2 * EARLY + 25 * (number - EARLY)
            frame.time_base = Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return open_video(path)


@pytest.mark.parametrize("name", MODELS)
def test_ours_are_those_of_the_clock_and_official_ones_are_not(name: str, clip: VideoClip, tmp_path: Path) -> None:
    write, load = MODELS[name]
    ours, theirs = (load(write(tmp_path), PublishedConfig(official=official)) for official in (False, True))
    shown = clock_of(clip).pts_seconds
    assert clip.span.seconds > 11 and len(shown) == EARLY + LATE
    sight, official = ours._look(clip, None), theirs._look(clip, None)
    assert np.isin(sight.seconds, shown).all() and np.array_equal(sight.told_seconds, sight.seconds)
    # evenly in time: most of the recording is its slow part
    assert (sight.seconds >= 2.0).mean() >= 0.75
    assert sight.duration == clip.span.seconds
    # by index most frames are of the fast part, and are told to be up to seconds away from where they are
    assert (official.seconds >= 2.0).mean() < 0.4
    assert np.abs(official.told_seconds - official.seconds).max() > 3.0


@pytest.mark.parametrize("name", MODELS)
def test_a_model_looks_where_it_is_told_to(name: str, clip: VideoClip, tmp_path: Path) -> None:
    write, load = MODELS[name]
    model = load(write(tmp_path))
    looks = SamplingConfig(at_seconds=(2.0, 4.0, 6.0, 8.0))
    answer = model.write(clip, Request("What?"), sampling=looks, max_new_tokens=2)
    assert set(answer.frame_seconds) <= {2.0, 4.0, 6.0, 8.0} and len(answer.frame_seconds) >= 3


def test_frames_far_apart_are_told(clip: VideoClip, tmp_path: Path) -> None:
    model = load_lita(write_lita(tmp_path), PublishedConfig(max_new_tokens=2))
    assert model.answer(clip, "What?").notes == ()
    sparse = model.write(clip, Request("What?"), sampling=SamplingConfig(at_seconds=(0.0,)), max_new_tokens=2)
    assert "saw frames up to 12 s apart" in sparse.notes[0]


@pytest.mark.parametrize("name", MODELS)
def test_differences_are_one_table(name: str, tmp_path: Path) -> None:
    write, load = MODELS[name]
    told = load(write(tmp_path)).differences()
    table = as_table(told).splitlines()
    assert len(table) == 2 + len(told) and all(row.count("|") == 5 for row in table)
