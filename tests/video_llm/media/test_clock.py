from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from tvu.video_llm.media.clock import NO_TICK, MediaClock, PacketTable, clock_from_packets

MILLISECOND = Fraction(1, 1000)


def packets(pts: list[int], durations: int = 40, hidden: tuple[int, ...] = ()) -> PacketTable:
    ticks = np.array(pts, np.int64)
    rows = np.arange(len(ticks))
    return PacketTable(ticks, ticks.copy(), np.full(len(ticks), durations), rows == 0, np.isin(rows, hidden))


def clock(pts: list[int], start: float = 0.0, **more: int) -> MediaClock:
    shift = more.pop("shift_ticks", 0)
    return clock_from_packets(packets(pts, **more), MILLISECOND, start, nominal_fps=25.0, shift_ticks=shift)


def at(clock: MediaClock, *times: float) -> NDArray[np.float64]:
    return clock.shown_at(np.array(times))


def test_a_frame_is_shown_until_the_next_one_starts() -> None:
    uneven = clock([0, 40, 2000, 2010])
    assert at(uneven, 0.0, 0.039, 0.04, 1.999, 2.0, 2.005, 99.0).tolist() == [0, 0, 0.04, 0.04, 2.0, 2.0, 2.01]


def test_before_the_first_frame_the_first_is_shown() -> None:
    assert at(clock([500, 540]), 0.0, 0.3).tolist() == [0.5, 0.5]


def test_times_are_sorted_out_of_decoding_order() -> None:
    assert clock([0, 120, 40, 80]).pts_seconds.tolist() == [0.0, 0.04, 0.08, 0.12]


def test_a_time_computed_elsewhere_still_names_its_frame() -> None:
    third = clock_from_packets(packets([0, 1, 2], durations=1), Fraction(1, 3), 0.0, nominal_fps=3.0)
    assert third.index_at(0.333333) == 1 and third.index_at(2 * (1 / 3)) == 2


def test_a_late_start_is_zero() -> None:
    late = clock([8700, 8740], start=8.7)
    assert late.pts_seconds.tolist() == [0.0, pytest.approx(0.04)]
    assert late.start_seconds == 8.7 and late.duration_seconds == pytest.approx(0.08)


def test_a_start_rounded_to_microseconds_is_still_exactly_zero() -> None:
    ninety = clock_from_packets(packets([100_001, 103_001]), Fraction(1, 90_000), 1.111122, nominal_fps=30.0)
    assert ninety.pts_seconds[0] == 0.0


def test_sound_that_starts_before_zero_does_not_move_the_pictures() -> None:
    assert clock([0, 40], start=-0.023).pts_seconds.tolist() == [0.0, 0.04]


def test_hidden_packets_and_those_before_zero_are_not_pictures() -> None:
    cut = clock([-80, -40, 0, 40], hidden=(0, 3))
    assert cut.pts_seconds.tolist() == [0.0] and cut.num_hidden == 3


def test_a_cut_inside_a_picture_starts_with_the_next_one() -> None:
    assert clock([0, 40], shift_ticks=-20).pts_seconds.tolist() == [0.02, 0.06]


def test_of_two_pictures_at_one_instant_one_is_kept() -> None:
    assert clock([0, 40, 40, 80]).pts_seconds.tolist() == [0.0, 0.04, 0.08]


def test_a_time_stamp_days_away_is_damage() -> None:
    assert clock([0, 40, 80, 10**15]).duration_seconds == pytest.approx(0.12)


def test_a_missing_last_duration_is_the_usual_one() -> None:
    assert clock([0, 100, 200], durations=0).duration_seconds == pytest.approx(0.3)
    assert clock([0], durations=0).duration_seconds == pytest.approx(0.04)


def test_without_time_stamps_pictures_are_counted_and_the_clock_says_so() -> None:
    counted = clock([NO_TICK] * 5)
    assert counted.is_counted and counted.pts_seconds.tolist() == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_nothing_to_show_is_our_error() -> None:
    with pytest.raises(ValueError, match="shown"):
        clock([0, 40], hidden=(0, 1))
