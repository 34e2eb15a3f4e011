import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.metrics import (
    auroc,
    auroc_of,
    best_iou,
    expected_calibration_error,
    highlight_average_precision,
    mean_iou,
    moment_average_precision,
    recall_at,
    span_iop,
    span_iou,
    wilson_interval,
)

seconds = st.integers(0, 150).map(float)
spans = st.lists(st.tuples(seconds, st.integers(1, 50)).map(lambda t: (t[0], t[0] + t[1])), min_size=1, max_size=6)


def moment_ap(windows, truths, thresholds=(0.5,), scores=None):
    """Of one query, its windows `(start, end)` from best to worst unless they have scores."""
    scores = -np.arange(len(windows), dtype=float) if scores is None else scores
    arrays = [np.array(each, dtype=float)[None] for each in (windows, scores, truths)]
    return list(moment_average_precision(*arrays, np.array(thresholds))[0])


def highlight_ap(scores, positive):
    return highlight_average_precision(np.array([scores], float), np.array([positive], bool)[..., None])[0, 0]


def test_iou_is_the_overlap_as_a_share_of_the_hull():
    assert span_iou((0, 10), (5, 20)) == 5 / 20


def test_spans_that_touch_have_no_iou():
    assert span_iou((0, 2), (2, 4)) == 0


def test_a_span_that_ends_before_it_starts_meets_nothing():
    assert span_iou((10, 0), (0, 10)) == 0 == span_iou((10, 0), (10, 0))


def test_a_point_has_no_iou_but_is_wholly_inside():
    assert (span_iou((3, 3), (0, 10)), span_iop((3, 3), (0, 10)), span_iop((11, 11), (0, 10))) == (0, 1, 0)


def test_a_score_behind_the_times_is_no_time():
    assert best_iou((0, 10, 0.9), [(0, 5), (0, 8)]) == 0.8


@given(st.tuples(seconds, seconds), st.tuples(seconds, seconds))
def test_iou_is_symmetric_and_a_share(a, b):
    assert span_iou(a, b) == span_iou(b, a)
    assert 0 <= span_iou(a, b) <= 1


def test_recall_looks_at_the_first_spans_listed():
    told = [[(0, 1), (0, 10)], []]
    true = [[(0, 10)], [(0, 10)]]
    assert recall_at(told, true, 0.5) == 0
    assert recall_at(told, true, 0.5, first=2) == 0.5


def test_an_iou_at_the_threshold_is_enough():
    assert recall_at([[(0, 5)]], [[(0, 10)]], 0.5) == 1


def test_nothing_told_is_missed_even_at_an_iou_of_zero():
    assert recall_at([[], [(90, 91)]], [[(0, 1)], [(0, 1)]], 0.0) == 0.5


def test_mean_iou_counts_queries_without_an_answer():
    assert mean_iou([[(0, 5)], []], [[(0, 10)], [(0, 10)]]) == 0.25


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="nothing"):
        mean_iou([], [])


def test_a_miss_before_the_hit_halves_the_precision():
    assert moment_ap([(50, 60), (0, 10)], [(0, 10)]) == [0.5]


def test_each_true_moment_is_found_once():
    assert moment_ap([(0, 10), (0, 10)], [(0, 10), (20, 30)]) == [0.5]


def test_scores_rank_the_windows_and_ties_keep_their_order():
    windows = [(50, 60), (0, 10)]
    assert moment_ap(windows, [(0, 10)], scores=[0.1, 0.9]) == [1.0]
    assert moment_ap(windows, [(0, 10)], scores=[0.5, 0.5]) == [0.5]


def test_precision_never_rises_with_recall():
    hit_miss_hit_hit = [(0, 10), (90, 99), (20, 30), (40, 50)]
    assert moment_ap(hit_miss_hit_hit, [(0, 10), (20, 30), (40, 50)])[0] == pytest.approx((1 + 0.75 + 0.75) / 3)


def test_a_window_as_long_backwards_as_the_truth_counts_as_the_official_script_counts_it():
    assert moment_ap([(10, 0)], [(50, 60)], thresholds=(0.5, 0.95)) == [1, 1]
    assert moment_ap([(10, 0)], [(50, 61)]) == [0]


@given(spans)
def test_the_truth_itself_is_perfect(truths):
    truths = sorted(set(truths))
    assert moment_ap(truths, truths, thresholds=np.linspace(0.5, 0.95, 10)) == pytest.approx([1] * 10)


@given(spans, spans, st.randoms())
def test_only_scores_order_windows_when_no_two_are_equal(windows, truths, random):
    scored = [(*window, i / 10) for i, window in enumerate(windows)]
    shuffled = random.sample(scored, len(scored))
    first, second = (
        moment_ap([w[:2] for w in each], truths, (0.3, 0.5, 0.7), [w[2] for w in each]) for each in (scored, shuffled)
    )
    assert first == second


@given(spans, spans)
def test_a_stricter_threshold_never_finds_more_of_one_moment(windows, truths):
    found = moment_ap(windows, truths[:1], thresholds=(0.3, 0.5, 0.7, 0.9))
    assert found == sorted(found, reverse=True)


def test_highlights_average_over_the_recalls_reached():
    assert highlight_ap([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)


def test_clips_of_equal_scores_are_one_step():
    assert highlight_ap([1, 1, 1, 1], [1, 0, 0, 0]) == 0.25


def test_without_anything_to_find_highlights_are_zero_and_with_nothing_else_one():
    assert (highlight_ap([1, 2], [0, 0]), highlight_ap([1, 2], [1, 1])) == (0, 1)


@given(st.lists(st.booleans(), min_size=1, max_size=20).filter(any))
def test_clips_ranked_by_the_truth_are_perfect(positive):
    assert highlight_ap(positive, positive) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=20), st.randoms())
def test_the_order_of_clips_does_not_matter(clips, random):
    shuffled = random.sample(clips, len(clips))
    assert highlight_ap(*zip(*clips, strict=True)) == pytest.approx(highlight_ap(*zip(*shuffled, strict=True)))


def test_the_interval_of_a_share_is_wilsons():
    assert wilson_interval(50, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)


def test_the_interval_stays_within_reason_at_the_ends():
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == 1
    assert wilson_interval(0, 0) == (0, 1)


def test_more_right_than_there_is_cannot_be():
    with pytest.raises(ValueError, match="3 of 2"):
        wilson_interval(3, 2)


def test_a_tie_is_half_a_win():
    assert auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]) == (3 + 0.5) / 4


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=15).filter(lambda x: len({b for _, b in x}) == 2))
def test_auroc_is_what_counting_pairs_gives(pairs):
    wins = [(a > b) + (a == b) / 2 for a, is_a in pairs for b, is_b in pairs if is_a and not is_b]
    assert auroc(*zip(*pairs, strict=True)) == pytest.approx(sum(wins) / len(wins))


def test_auroc_of_positives_and_negatives_apart_is_the_same():
    assert auroc_of([0.9, 0.5], [0.5, 0.1]) == auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False])


@pytest.mark.parametrize(
    ("scores", "labels"), [([1, 2], [True, True]), ([1], [True, False]), ([math.nan, 1], [True, False])]
)
def test_auroc_needs_both_kinds_and_numbers(scores, labels):
    with pytest.raises(ValueError):
        auroc(scores, labels)


def test_calibration_error_weighs_bins_by_what_is_in_them():
    assert expected_calibration_error([0.9, 0.9, 0.9, 0.1], [1, 1, 0, 0]) == pytest.approx((0.7 + 0.1) / 4)


def test_what_comes_true_as_often_as_told_is_calibrated():
    assert expected_calibration_error([0.5, 0.5, 1.0], [True, False, True]) == 0


def test_a_score_beyond_one_is_no_probability():
    with pytest.raises(ValueError, match="probability"):
        expected_calibration_error([1.2], [True])
