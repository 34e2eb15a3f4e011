"""From a clip to what the three paths of `lite` see of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video_llm.lite.tiny_lite import tiny_config
from tests.video_llm.media.drawing import draw_video
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.types import Span
from tvu.video_llm.decode import open_video
from tvu.video_llm.lite.hands import Hands
from tvu.video_llm.lite.pose import Bodies
from tvu.video_llm.lite.see import LiteSeen, cells_of, see, seen_key, step_spans, steps_of


class BlueEyes:
    """Cells that hold how blue a frame is."""

    name = "blue"

    def cells(self, pixels):
        return np.repeat(pixels[:, 2].mean((1, 2)), 4 * 1280).reshape(-1, 4, 1280).astype(np.float16)


class Everybody:
    """Somebody is in every other frame."""

    def __init__(self):
        self.frames = 0

    def follow(self, frames):
        presence = ((np.arange(len(frames)) + self.frames) % 2).astype(np.float32)
        self.frames += len(frames)
        points = np.zeros((len(frames), 33, 2), np.float32)
        return Bodies(points, points[..., 0], presence, 1.0)


class Waving:
    """A left hand is where somebody is."""

    def follow(self, frames, bodies):
        presence = np.stack([bodies.presence, 0 * bodies.presence], -1)
        points = np.random.default_rng(0).random((len(frames), 2, 21, 2)).astype(np.float32)
        return Hands(points, presence, bodies.aspect)


@pytest.fixture(scope="module")
def network() -> SqueezeTime:
    torch.manual_seed(0)
    return SqueezeTime(tiny_config().motion_config).eval()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_video(tmp_path_factory.mktemp("video") / "a.mp4", num_frames=340, size=(64, 48))  # 13.6 s


def test_every_quarter_second_of_a_clip_is_a_step(video, network):
    told = []
    seen = see(open_video(video), BlueEyes(), network, Everybody(), progress=told.append)
    assert seen.slow.shape == (54, 4, 1280) and seen.motion.shape == (54, 16) and seen.body.shape == (54, 104)
    assert seen.has_body.tolist() == [bool(step % 2) for step in range(54)]
    assert seen.spans[0].tolist() == [0.0, 0.25] and seen.spans[-1, 1] == pytest.approx(13.6)
    assert told == sorted(told) and told[-1] == 1.0
    assert np.isfinite(seen.motion).all() and seen.motion.any(1).all()


def test_a_part_is_seen_as_the_whole_is(video, network):
    whole = see(open_video(video), BlueEyes(), network, None)
    part = see(open_video(video, start=4.0, end=9.0), BlueEyes(), network, None)
    assert len(part.slow) == 20 and part.spans[0, 0] == 4.0
    np.testing.assert_array_equal(part.slow, whole.slow[16:36])
    np.testing.assert_allclose(part.motion[4:-4], whole.motion[20:32], atol=2e-3)  # float16, and batches differ


def test_a_picture_that_stays_is_encoded_once():
    class Counting(BlueEyes):
        frames = 0

        def cells(self, pixels):
            self.frames += len(pixels)
            return super().cells(pixels)

    eyes, shown = Counting(), np.array([7, 7, 7, 9, 7, 7], np.uint8)
    found = cells_of(np.tile(shown[:, None, None, None], (1, 3, 4, 6)), eyes)
    assert eyes.frames == 3
    assert found[:, 3, 1279].tolist() == shown.tolist()


def test_without_anybody_to_look_for_people_there_are_none(video, network):
    seen = see(open_video(video, end=2.0), BlueEyes(), network, None)
    assert not seen.has_body.any() and not seen.body.any()


def test_hands_are_looked_for_where_somebody_is_to(video, network):
    clip = open_video(video, end=3.0)
    seen, without = (see(clip, BlueEyes(), network, Everybody(), hands) for hands in (Waving(), None))
    assert seen.has_hands.tolist() == seen.has_body.tolist() and seen.has_hands.any()
    assert (
        seen.hands[seen.has_hands, :46].any() and not seen.hands[:, 46:].any() and not seen.hands[~seen.has_hands].any()
    )
    assert not without.has_hands.any() and not without.hands.any()


def test_a_clip_shorter_than_a_step_is_one_step(video):
    clip = open_video(video, start=1.0, end=1.1)
    assert steps_of(clip) == 1
    np.testing.assert_allclose(step_spans(clip.span, 1), [[1.0, 1.1]])


def test_the_last_step_ends_with_the_clip():
    assert step_spans(Span(2.0, 3.1), 4)[-1].tolist() == [2.75, 3.1]


def test_an_error_of_one_path_is_told_and_ends_the_others(video, network):
    class Broken(Everybody):
        def follow(self, frames):
            raise RuntimeError("no model")

    with pytest.raises(RuntimeError, match="no model"):
        see(open_video(video), BlueEyes(), network, Broken())


def test_what_was_seen_comes_back_from_the_cache_as_it_was(video, network):
    seen = see(open_video(video, end=3.0), BlueEyes(), network, Everybody())
    back = LiteSeen.from_arrays(seen.to_arrays())
    inputs, spans = back.between(2, 6).inputs(torch.device("cpu"))
    assert inputs.lengths.tolist() == [4] and spans.shape == (1, 4, 2) and float(spans[0, 0, 0]) == 0.5
    np.testing.assert_array_equal(inputs.slow[0].numpy(), seen.slow[2:6])


def test_a_key_names_content_part_reader_and_everything_that_looked(video):
    clip = open_video(video)
    keys = {
        seen_key(clip, "a", ("eyes",)),
        seen_key(clip, "b", ("eyes",)),
        seen_key(clip, "a", ("other",)),
        seen_key(open_video(video, end=3.0), "a", ("eyes",)),
    }
    assert len(keys) == 4
