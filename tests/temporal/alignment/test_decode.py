"""Similarity rows to intervals in true seconds, to orders that time allows, and to whether a text is seen."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tvu.temporal.alignment.decode import (
    alignability,
    hits_inside,
    hits_rounded_outwards,
    intervals_around_peak,
    intervals_of_duration,
    monotone_path,
    permutation_scores,
    prefers_true_order,
    quantile_among,
)
from tvu.temporal.alignment.similarity import MASKED, best_frames


def spans_of(*edges):
    edges = torch.tensor(edges, dtype=torch.float64)
    return torch.stack((edges[:-1], edges[1:]), dim=-1)


def logits_of(*rows):
    """Logits whose softmax is proportional to the rows."""
    return torch.tensor(rows, dtype=torch.float64).log()


SECONDS = spans_of(*range(8))  # seven frames of a second each


def test_an_interval_grows_from_the_peak_while_the_text_stays_likely():
    found = intervals_around_peak(logits_of([1, 6.1, 8, 10, 7, 5.9, 9]), SECONDS, alpha=0.6)
    assert found.frames.tolist() == [[1, 4]]  # 5.9 ends it, whatever comes after
    assert found.seconds.tolist() == [[1.0, 5.0]]
    assert found.scores.item() == pytest.approx(31.1 / 47)


def test_a_peak_at_either_end_of_the_video_stays_inside_it():
    found = intervals_around_peak(logits_of([9, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 8, 9]), SECONDS)
    assert found.frames.tolist() == [[0, 0], [5, 6]]


def test_of_two_equal_peaks_the_first_is_taken():
    assert intervals_around_peak(logits_of([1, 9, 1, 1, 9, 1, 1]), SECONDS).frames.tolist() == [[1, 1]]


def test_intervals_are_told_in_the_seconds_that_frames_stand_for():
    spans = spans_of(0.0, 0.4, 0.8, 3.3, 3.7, 60.0, 61.0, 62.0)
    assert intervals_around_peak(logits_of([1, 1, 9, 8, 1, 1, 1]), spans).seconds.tolist() == [[0.8, 3.7]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_text_that_no_window_saw_has_no_score(dtype):
    logits = torch.stack((torch.full((7,), MASKED), torch.arange(7.0))).to(dtype)
    for found in (intervals_around_peak(logits, SECONDS), intervals_of_duration(logits, SECONDS, 2.0)):
        assert found.scores[0] == 0 and found.scores[1] > 0.5


def test_a_known_duration_slides_to_where_the_mean_is_highest():
    found = intervals_of_duration(logits_of([1, 8, 1, 5, 6, 5, 1], [9, 9, 1, 1, 1, 1, 1]), SECONDS, 3.0)
    assert found.seconds.tolist() == [[3.0, 6.0], [0.0, 3.0]]
    assert found.scores.tolist() == pytest.approx([16 / 27, 19 / 23])


def test_a_duration_takes_as_many_frames_as_it_needs_on_any_clock():
    spans = spans_of(0.0, 0.1, 0.3, 0.4, 2.0, 4.0)
    row = logits_of([1, 5, 4, 4.5, 1])
    assert intervals_of_duration(row, spans, 0.2).frames.tolist() == [[1, 1]]  # though 0.1 + 0.2 > 0.3 in floats
    assert intervals_of_duration(row, spans, 0.21).frames.tolist() == [[1, 2]]
    assert intervals_of_duration(row, spans, torch.tensor([1.7])).frames.tolist() == [[1, 3]]


def test_a_duration_longer_than_the_video_is_the_video():
    assert intervals_of_duration(logits_of([1, 2, 3, 4, 5, 6, 7]), SECONDS, 100.0).seconds.tolist() == [[0.0, 7.0]]


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan])
def test_a_duration_or_a_share_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError):
        intervals_of_duration(torch.zeros(1, 7), SECONDS, wrong)
    with pytest.raises(ValueError):
        intervals_around_peak(torch.zeros(1, 7), SECONDS, alpha=wrong)


def best_by_brute_force(similarity, strict, skip_cost):
    """The best sum over all paths, and the path that the rule of ties picks: late texts first, earliest frames."""
    num_texts, num_frames = similarity.shape
    choices = [*range(num_frames)] + ([] if skip_cost is None else [-1])
    best = None
    for path in itertools.product(choices, repeat=num_texts):
        taken = [frame for frame in path if frame >= 0]
        if any(a >= b if strict else a > b for a, b in itertools.pairwise(taken)):
            continue
        score = sum(similarity[i, t].item() if t >= 0 else -skip_cost for i, t in enumerate(path))
        rank = (score, [-(math.inf if t < 0 else t) for t in reversed(path)])
        best = rank if best is None or rank > best else best
    return best


@settings(max_examples=150, deadline=None)
@given(data=st.data(), strict=st.booleans(), skip_cost=st.sampled_from([None, 0.0, 1.0, 2.5]))
def test_the_monotone_path_is_the_best_of_all_paths(data, strict, skip_cost):
    num_frames = data.draw(st.integers(1, 5))
    num_texts = data.draw(st.integers(0, min(4, num_frames) if strict and skip_cost is None else 4))
    cells = st.integers(-3, 3)  # small whole numbers, so that ties are many and sums exact
    values = data.draw(st.lists(cells, min_size=num_texts * num_frames, max_size=num_texts * num_frames))
    similarity = torch.tensor(values, dtype=torch.float64).reshape(num_texts, num_frames)
    score, ties = best_by_brute_force(similarity, strict, skip_cost)
    path = monotone_path(similarity, strict=strict, skip_cost=skip_cost)
    assert path.score.item() == score
    assert path.frames.tolist() == [-1 if t == -math.inf else -int(t) for t in reversed(ties)]


def test_order_moves_a_sentence_away_from_where_it_fits_best_alone():
    similarity = torch.tensor([[0.0, 2, 3], [5, 4, 0], [0, 0, 2]])
    assert best_frames(similarity).tolist() == [2, 0, 2]
    path = monotone_path(similarity)
    assert path.frames.tolist() == [1, 1, 2] and path.score == 8
    assert monotone_path(similarity, strict=True).frames.tolist() == [0, 1, 2]


def test_a_sentence_that_is_not_shown_may_be_left_out_at_a_cost():
    similarity = torch.tensor([[3.0, 0, 0], [-9, -9, -9], [0, 0, 3]])
    assert monotone_path(similarity, skip_cost=2).frames.tolist() == [0, -1, 2]
    assert monotone_path(similarity, skip_cost=10).frames.tolist() == [0, 0, 2]


def test_paths_of_many_matrices_are_found_at_once():
    torch.manual_seed(0)
    similarity = torch.randn(2, 3, 6, 11)
    path = monotone_path(similarity, strict=True, skip_cost=0.5)
    alone = monotone_path(similarity[1, 2], strict=True, skip_cost=0.5)
    assert path.frames[1, 2].tolist() == alone.frames.tolist() and path.score[1, 2] == alone.score


def test_an_hour_of_narration_is_ordered_at_once():
    similarity = torch.randn(600, 3600, generator=torch.Generator().manual_seed(0))
    frames = monotone_path(similarity, strict=True).frames
    assert (frames.diff() > 0).all()


def test_a_path_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="3 texts"):
        monotone_path(torch.zeros(3, 2), strict=True)
    with pytest.raises(ValueError, match="0 frames"):
        monotone_path(torch.zeros(1, 0))
    assert monotone_path(torch.zeros(0, 4)).score == 0
    assert monotone_path(torch.zeros(3, 2), strict=True, skip_cost=1.0).score == -1


def test_events_told_in_the_order_they_happen_score_higher():
    similarity = torch.eye(3)
    orders = torch.tensor([[0, 1, 2], [2, 1, 0], [0, 2, 1]])
    assert permutation_scores(similarity, orders).tolist() == [3, 1, 1]
    assert permutation_scores(similarity, orders, strict=False).tolist() == [3, 1, 2]
    assert prefers_true_order(similarity, orders).tolist() == [False, True, True]  # equal to itself: a failure


def test_a_model_blind_to_time_never_prefers_the_true_order():
    still = torch.tensor([[1.0], [2.0], [3.0]]).expand(-1, 5)
    assert not prefers_true_order(still, torch.tensor([[2, 1, 0], [1, 0, 2]])).any()


def test_without_a_head_the_best_similarity_says_whether_a_text_is_seen():
    scores = alignability(torch.tensor([[0.1, 0.9], [0.3, 0.2], [MASKED, MASKED]]))
    reference = torch.tensor([0.5, 0.2, 0.3, 0.8])
    assert quantile_among(scores, reference).tolist() == [1.0, 0.5, 0.0]


def test_the_two_rules_of_a_hit_differ_at_the_edges():
    seconds, starts, ends = torch.tensor([2, 2, 3, 4]), torch.tensor([2.25] * 4), torch.tensor([3.0, 2.5, 2.5, 2.5])
    assert hits_rounded_outwards(seconds, starts, ends).tolist() == [True, True, True, False]
    assert hits_inside(seconds, starts, ends).tolist() == [False] * 4
    assert hits_inside(torch.tensor([3]), torch.tensor([2.25]), torch.tensor([3.0])).tolist() == [True]
