from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.scout.shots import ShotFinder, find_shots

HZ = 15.0
Pictures = NDArray[np.uint8]


def scene(seed: int, count: int, drift: float = 0.4) -> Pictures:
    """uint8 `[count, 48, 64, 3]`: a smooth random picture that moves sideways by `drift` pixels a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 16, 3)).astype(np.float64)
    wide = np.kron(coarse, np.ones((8, 16, 1)))
    frames = [np.roll(wide, int(drift * i), axis=1)[:, :64] for i in range(count)]
    return (np.stack(frames) + rng.normal(0, 2, (count, 48, 64, 3))).clip(0, 255).astype(np.uint8)


def starts(pictures: Pictures, hz: float = HZ) -> list[float]:
    """Starts of the shots after the first, to a tenth of a second."""
    span = Span(0, len(pictures) / hz)
    shots = find_shots(pictures, np.arange(len(pictures)) / hz, span)
    assert shots[0].start_seconds == span.start_seconds and shots[-1].end_seconds == span.end_seconds
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(shots))
    return [round(s.start_seconds, 1) for s in shots[1:]]


def test_every_hard_cut_is_found_where_it_is() -> None:
    assert starts(np.concatenate([scene(1, 30), scene(2, 45), scene(3, 30)])) == [2.0, 5.0]


def test_a_video_without_cuts_is_one_shot() -> None:
    assert starts(scene(1, 120, drift=1.0)) == []


def test_a_still_picture_is_one_shot() -> None:
    assert starts(np.repeat(scene(1, 1), 60, axis=0)) == []


def test_no_thumbnails_or_a_single_one_is_one_shot() -> None:
    assert starts(scene(1, 1)) == []
    assert find_shots(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0), Span(3, 5)) == [Span(3, 5)]


def test_a_flash_is_not_a_cut() -> None:
    pictures = scene(1, 60)
    pictures[30:32] = 255
    assert starts(pictures) == []


def test_a_dissolve_is_one_cut_in_its_middle() -> None:
    a, b = scene(1, 90, drift=0).astype(np.float64), scene(2, 90, drift=0).astype(np.float64)
    share = np.clip((np.arange(90) - 37) / 15, 0, 1)[:, None, None, None]
    (start,) = starts(((1 - share) * a + share * b).astype(np.uint8))
    assert abs(start - 3.0) <= 0.5


def test_three_new_pictures_a_second_in_a_faster_file_are_not_cuts() -> None:
    slow = scene(1, 24, drift=4)
    assert starts(np.repeat(slow, 5, axis=0)) == []


def test_cuts_are_found_at_three_pictures_a_second() -> None:
    pictures = np.concatenate([scene(1, 15, drift=2), scene(2, 15, drift=2), scene(3, 15, drift=2)])
    assert starts(pictures, hz=3) == [5.0, 10.0]


def test_pictures_that_come_twice_or_out_of_order_do_no_harm() -> None:
    pictures, seconds = np.concatenate([scene(1, 30), scene(2, 30)]), np.arange(60) / HZ
    twice, again = np.concatenate([pictures, pictures[:20]]), np.concatenate([seconds, seconds[:20]])
    assert find_shots(twice, again, Span(0, 4)) == find_shots(pictures, seconds, Span(0, 4)) == [Span(0, 2), Span(2, 4)]


def test_shots_respect_the_part_that_is_looked_at() -> None:
    pictures, seconds = np.concatenate([scene(1, 30), scene(2, 30)]), 10 + np.arange(60) / HZ
    assert find_shots(pictures, seconds, Span(10, 14)) == [Span(10, 12), Span(12, 14)]


def test_pictures_that_arrive_in_portions_give_the_same_shots() -> None:
    pictures = np.concatenate([scene(seed, 600 + 40 * seed) for seed in range(1, 5)])  # 187 seconds
    seconds = np.arange(len(pictures)) / HZ
    finder = ShotFinder()
    for first in range(0, len(pictures), 47):
        finder.add(pictures[first : first + 47], seconds[first : first + 47])
        assert sum(map(len, finder._seconds)) < 100 * HZ  # however long the clip
    span = Span(0, len(pictures) / HZ)
    assert finder.finish(span) == find_shots(pictures, seconds, span)
    assert len(find_shots(pictures, seconds, span)) == 4
