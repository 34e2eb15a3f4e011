"""Arithmetic of half-open spans."""

import math

import pytest

from tvu.temporal.spans import clamp, iou, merge, non_maximum_suppression, overlap_seconds
from tvu.temporal.types import Span


def test_touching_spans_do_not_overlap():
    assert overlap_seconds(Span(0, 2), Span(2, 4)) == 0


def test_overlap_is_the_shared_time():
    assert overlap_seconds(Span(0, 3), Span(2, 9)) == 1


def test_iou_of_equal_spans_is_one():
    assert iou(Span(1, 4), Span(1, 4)) == 1


def test_iou_does_not_count_the_gap_between_separate_spans():
    assert iou(Span(0, 1), Span(9, 10)) == 0
    assert iou(Span(0, 2), Span(1, 3)) == pytest.approx(1 / 3)


def test_a_span_outside_the_limits_is_gone():
    assert clamp(Span(5, 6), Span(0, 5)) is None
    assert clamp(Span(4, 6), Span(0, 5)) == Span(4, 5)


def test_neighbours_within_the_gap_become_one():
    assert merge([Span(4, 5), Span(0, 1), Span(1.5, 3)], max_gap_seconds=0.5) == [Span(0, 3), Span(4, 5)]


def test_a_span_inside_another_does_not_shorten_it():
    assert merge([Span(0, 9), Span(2, 3)]) == [Span(0, 9)]


def test_a_worse_span_over_a_better_one_is_suppressed():
    spans = [Span(0, 4), Span(0, 5), Span(8, 9)]
    assert non_maximum_suppression(spans, [0.5, 0.9, 0.1]) == [1, 2]


def test_suppression_needs_a_score_for_each_span():
    with pytest.raises(ValueError, match="2 scores"):
        non_maximum_suppression([Span(0, 1)], [1, 2])


@pytest.mark.parametrize("bounds", [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)])
def test_an_empty_or_endless_span_is_refused(bounds):
    with pytest.raises(ValueError):
        Span(*bounds)


def test_a_span_holds_its_start_but_not_its_end():
    assert 1.0 in Span(1, 2)
    assert 2.0 not in Span(1, 2)
