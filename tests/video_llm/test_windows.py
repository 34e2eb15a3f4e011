from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.types import Span
from tvu.video_llm.windows import Found, WindowConfig, merge_windows, ranked, windows_of

FIRST, SECOND = Span(0, 100), Span(75, 175)


def test_a_video_that_fits_into_one_window_is_one() -> None:
    assert windows_of(Span(3, 103), 100, 0.25, 1.0) == [Span(3, 103)]


def test_windows_overlap_and_the_last_ends_with_the_video() -> None:
    assert windows_of(Span(0, 260), 100, 0.25, 1.0) == [Span(0, 100), Span(75, 175), Span(150, 250), Span(225, 260)]


@given(st.floats(0, 50), st.floats(1, 20_000), st.floats(5, 300), st.floats(0, 0.9), st.floats(0.05, 4))
def test_windows_cover_every_moment_and_start_whole_slots_apart(start, length, seconds, overlap, slot) -> None:
    span = Span(start, start + length)
    windows = windows_of(span, seconds, overlap, slot)
    assert windows[0].start_seconds == span.start_seconds and windows[-1].end_seconds == span.end_seconds
    assert all(b.start_seconds <= a.end_seconds + slot for a, b in pairwise(windows))
    slots = [(window.start_seconds - start) / slot for window in windows]
    assert slots == pytest.approx([round(s) for s in slots], abs=1e-6)


def test_an_event_cut_by_a_border_is_told_whole() -> None:
    found = [Found(Span(80, 100), 0.6, FIRST), Found(Span(75, 130), 0.5, SECOND)]
    assert merge_windows(found, 1.0) == [(Span(75, 130), pytest.approx((0.6 * 20 + 0.5 * 55) / 75))]


def test_touching_spans_on_both_sides_of_a_border_are_one() -> None:
    touching = [Found(Span(60, 99.5), 0.5, Span(0, 100)), Found(Span(100, 120), 0.5, Span(100, 200))]
    assert merge_windows(touching, 1.0) == [(Span(60, 120), pytest.approx(0.5))]


def test_an_event_of_many_windows_is_one() -> None:
    windows = windows_of(Span(0, 400), 100, 0.25, 1.0)
    (told,) = merge_windows([Found(window, 0.4, window) for window in windows], 1.0)
    assert told == (Span(0, 400), pytest.approx(0.4))


def test_neighbours_inside_their_windows_stay_two_events() -> None:
    found = [Found(Span(80, 90), 0.6, FIRST), Found(Span(88, 110), 0.5, SECOND)]
    assert [span for span, _ in merge_windows(found, 1.0)] == [Span(80, 90), Span(88, 110)]


def test_scores_that_disagree_are_not_merged() -> None:
    found = [Found(Span(80, 100), 0.6, FIRST), Found(Span(100, 130), 0.1, SECOND)]
    assert merge_windows(found, 1.0) == [(Span(80, 100), 0.6), (Span(100, 130), 0.1)]


def test_an_event_seen_in_two_windows_is_told_once_with_the_better_score() -> None:
    found = [Found(Span(80, 95), 0.3, FIRST), Found(Span(81, 95), 0.7, SECOND)]
    assert merge_windows(found, 1.0) == [(Span(81, 95), 0.7)]


def test_a_window_is_promising_by_how_much_of_a_likely_span_it_holds() -> None:
    windows = [Span(0, 10), Span(10, 20), Span(20, 30)]
    assert ranked(windows, [(Span(8, 18), 0.5), (Span(21, 22), 0.2)]) == [1, 2, 0]
    assert ranked(windows, []) == []


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"overlap": 1}, {"looks": 0}, {"scan_seconds": 0}])
def test_windows_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        WindowConfig(**wrong)
