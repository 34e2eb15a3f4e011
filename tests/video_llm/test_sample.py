from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.video_llm.media.drawing import draw_video
from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of, open_video
from tvu.video_llm.sample import SamplingConfig, sample_frames, sampling_times, watch
from tvu.video_llm.types import VideoClip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    return open_video(draw_video(tmp_path_factory.mktemp("sample") / "a.mp4", num_frames=200))


def test_frames_come_in_batches_at_the_rate_that_was_asked_for(clip: VideoClip) -> None:
    batches = list(sample_frames(clip, SamplingConfig(fps=4, max_side=64, batch_frames=10)))
    assert [batch.pixels.shape for batch in batches] == [(1, t, 3, 36, 64) for t in (10, 10, 10, 2)]
    pts_seconds = np.concatenate([batch.pts_seconds[0] for batch in batches])
    assert pts_seconds.tolist() == clock_of(clip).shown_at((np.arange(32) + 0.5) / 4).tolist()


def test_a_limit_spreads_the_looks_evenly(clip: VideoClip) -> None:
    assert sampling_times(clip, SamplingConfig(fps=25, max_frames=4)).tolist() == pytest.approx([1, 3, 5, 7])


def test_a_part_is_sampled_in_its_own_span(clip: VideoClip) -> None:
    part = replace(clip, span=Span(2.0, 3.0))
    (batch,) = sample_frames(part, SamplingConfig(fps=4))
    assert batch.pts_seconds.shape == (1, 4) and (np.abs(batch.pts_seconds - 2.5) < 0.5).all()


def test_key_frames_only_are_the_encoders_choice(clip: VideoClip) -> None:
    (batch,) = sample_frames(clip, SamplingConfig(keyframes_only=True))
    assert batch.pts_seconds.tolist() == [[0.0, 2.0, 4.0, 6.0]]
    between = replace(clip, span=Span(2.5, 3.5))
    (batch,) = sample_frames(between, SamplingConfig(keyframes_only=True))
    assert batch.pts_seconds.shape == (1, 1)  # a part without a key picture still shows something


def test_watching_gives_the_samples_and_a_thumbnail_of_most_frames(clip: VideoClip) -> None:
    config = SamplingConfig(fps=4, max_side=64, batch_frames=8)
    steps = list(watch(clip, config))
    sampled = np.concatenate([batch.pixels for batch in sample_frames(clip, config)], axis=1)
    assert np.array_equal(np.concatenate([step.frames.pixels for step in steps], axis=1), sampled)
    seconds = np.concatenate([step.thumbnail_seconds for step in steps])
    assert 80 < len(seconds) <= 200 and (np.diff(seconds) > 0).all() and set(seconds) <= set(clock_of(clip).pts_seconds)
    assert {step.thumbnails.shape[1:] for step in steps} == {(45, 80, 3)}


def test_a_thumbnail_looks_like_its_frame_in_bgr(clip: VideoClip) -> None:
    step = next(watch(clip, SamplingConfig(fps=25, max_side=None, batch_frames=4)))
    frame, thumbnail = step.frames.pixels[0, 0].transpose(1, 2, 0), step.thumbnails[0]
    assert step.frames.pts_seconds[0, 0] == step.thumbnail_seconds[0]
    assert np.median(np.abs(frame[1::2, 1::2, ::-1].astype(int) - thumbnail)) < 12


def test_watching_a_film_of_key_frames_shows_only_those(clip: VideoClip) -> None:
    steps = list(watch(clip, SamplingConfig(keyframes_only=True, max_side=64)))
    assert [t for step in steps for t in step.thumbnail_seconds] == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize("wrong", [{"fps": 0}, {"max_side": 0}, {"max_frames": 0}, {"batch_frames": 0}])
def test_a_config_is_checked_when_it_is_built(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        SamplingConfig(**wrong)  # type: ignore[arg-type]


def test_sampling_costs_are_measured_only_after_the_frames_are_right(tmp_path: Path) -> None:
    from tvu.video_llm.media.speed import check_frames

    check_frames(open_video(draw_video(tmp_path / "a.mp4", num_frames=60, size=(320, 180))))


def test_named_times_are_looked_at_and_no_others(clip: VideoClip) -> None:
    config = SamplingConfig(at_seconds=(1.0, 1.0, 5.5), max_side=64)
    (batch,) = sample_frames(replace(clip, span=Span(0.0, 2.0)), config)
    assert batch.pts_seconds[0].tolist() == clock_of(clip).shown_at(np.array([1.0, 1.0, 5.5])).tolist()
    with pytest.raises(ValueError, match="do not decrease"):
        SamplingConfig(at_seconds=(2.0, 1.0))
