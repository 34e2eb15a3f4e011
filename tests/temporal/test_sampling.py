"""Which times to look at."""

import numpy as np
import pytest

from tvu.temporal.sampling import times_at_fps, times_evenly
from tvu.temporal.types import Span


def test_times_fall_in_the_middle_of_their_slots():
    np.testing.assert_allclose(times_at_fps(Span(10, 11), 4), [10.125, 10.375, 10.625, 10.875])


def test_a_span_shorter_than_a_slot_still_has_one_time_inside_it():
    times = times_at_fps(Span(3, 3.1), 1)
    assert len(times) == 1
    assert times[0] in Span(3, 3.1)


def test_even_times_split_the_span():
    np.testing.assert_allclose(times_evenly(Span(0, 8), 4), [1, 3, 5, 7])


def test_no_frames_a_second_is_refused():
    with pytest.raises(ValueError):
        times_at_fps(Span(0, 1), 0)
