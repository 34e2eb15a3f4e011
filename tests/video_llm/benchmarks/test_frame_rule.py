"""Frame numbers against values computed by hand from the published formulas, and times against the clock."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.video_llm.media.drawing import draw_video
from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.frame_rule import (
    holding,
    lmms_eval_indices,
    official_indices,
    seconds_to_look_at,
    vlmevalkit_indices_at_fps,
)
from tvu.video_llm.decode import clock_of, open_video


@pytest.mark.parametrize(
    ("count", "first", "last", "fps", "bounds", "expected"),
    [
        (4, 0, 99, 25.0, (-100_000, 100_000), [12, 37, 62, 86]),  # 49.5 is rounded to the even 50
        (2, 0, 99, 25.0, (1.0, 3.0), [37, 62]),
        (2, 1, 10, 3.0, (1.0, 3.0), [4, 7]),  # pictures count from 1
        (2, 1, 10, 3.0, (0.0, 9.0), [3, 7]),  # and no bound leaves them: 4.5 is rounded to 4
        (4, 0, 99, 25.0, (1.0, 1.08), [25, 25, 26, 27]),  # 0.5 is rounded to 0, 1.5 to 2
        (3, 0, 4, 25.0, (-100_000, 100_000), [0, 1, 3]),
    ],
)
def test_mvbench_looks_near_the_middles_of_equal_segments(count, first, last, fps, bounds, expected) -> None:
    assert official_indices(count, first, last, fps, bounds) == expected


def test_the_harnesses_count_from_the_first_frame() -> None:
    assert vlmevalkit_indices_at_fps(num_frames=100, video_fps=25.0, fps=1.0) == [0, 25, 50, 75]
    assert vlmevalkit_indices_at_fps(num_frames=10, video_fps=4.0, fps=3.0) == [0, 1, 2, 4, 5, 6, 8]
    assert lmms_eval_indices(4, 0, 98) == [0, 32, 65, 98]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_video(tmp_path_factory.mktemp("rule") / "a.mp4", num_frames=100, size=(64, 36))


def test_the_time_of_a_frame_is_read_from_the_clock(video: Path) -> None:
    clip = open_video(video)
    pts = clock_of(clip).pts_seconds
    assert seconds_to_look_at(clip, "official", 4) == tuple(pts[[12, 37, 62, 86]])
    assert seconds_to_look_at(open_video(video, start=1, end=3), "official", 2) == tuple(pts[[37, 62]])
    assert seconds_to_look_at(open_video(video, start=1, end=3), "lmms-eval", 3) == tuple(pts[[25, 50, 75]])
    assert seconds_to_look_at(clip, "tvu", 4) == (0.5, 1.5, 2.5, 3.5)


def test_only_the_reference_runs_fix_how_many_frames(video: Path) -> None:
    clip = open_video(video)
    looks = [seconds_to_look_at(clip, protocol, None) for protocol in ("tvu", "lmms-eval", "vlmevalkit", "official")]
    assert [None if seconds is None else len(seconds) for seconds in looks] == [None, None, 8, 16]


def test_pictures_are_found_by_the_number_in_their_name(tmp_path: Path) -> None:
    for number in (1, 2, 3, 5, 6, 7):  # the fourth is missing: five is not where it would be
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number:05d}.jpg")
    clip = replace(open_video(tmp_path), span=Span(0, 6))
    assert official_indices(3, 1, 6, 1.0, (0.0, 6.0)) == [1, 3, 4]
    assert seconds_to_look_at(clip, "official", 3) == (0.0, 2.0, 3.0)
    assert official_indices(2, 1, 6, 1.0, (3.0, 6.0)) == [3, 5]
    assert seconds_to_look_at(replace(clip, span=Span(3, 6)), "official", 2) == (2.0, 3.0)


def test_a_frame_just_outside_the_bounds_widens_what_is_looked_at(video: Path) -> None:
    clip = open_video(video, start=1.0, end=2.0)
    assert holding(clip, (1.2, 1.6)) == clip
    span = holding(clip, (0.96, 2.0)).span
    assert (span.start_seconds, span.end_seconds) == (0.96, pytest.approx(2.04))
