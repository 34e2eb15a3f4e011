from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal.reduction.videos import a_video
from tvu.temporal.reduction.merge import MergeSimilar, match_similar


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    cells=st.integers(1, 4),
    budget=st.integers(1, 40),
    frames=st.none() | st.integers(1, 10),
)
def test_every_token_goes_to_one_output_which_is_the_mean_and_the_time_of_its_members(lengths, cells, budget, frames):
    tokens = a_video(batch=len(lengths), frames=max(lengths), grid=(1, cells), lengths=lengths)
    merged = MergeSimilar(budget, frames).trace(tokens)
    flat, kept = tokens.flatten(), merged.tokens
    assert ((merged.assignment >= 0) == flat.mask).all()
    for video, length in enumerate(lengths):
        run = frames or max(lengths)
        assert int(kept.lengths[video]) == sum(min(budget, cells * min(run, length - t)) for t in range(0, length, run))
        assert merged.sizes[video].sum() == length * cells
        for k in range(int(kept.lengths[video])):
            members = (merged.assignment[video] == k).nonzero().flatten()
            assert len(members) == merged.sizes[video, k] > 0
            torch.testing.assert_close(kept.features[video, k, 0], flat.features[video, members, 0].mean(dim=0))
            torch.testing.assert_close(kept.sources[video, k, 0], flat.sources[video, members, 0].mean(dim=0))
            assert kept.spans[video, k, 0] == flat.spans[video, members, 0].min()
            assert kept.spans[video, k, 1] == flat.spans[video, members, 1].max()


def test_the_most_alike_pair_is_merged_first():
    metric = torch.tensor([[[1.0, 0], [0, 1], [1, 0.1], [1, 0.02], [-1, 0]]])
    assignment, left = match_similar(metric, torch.tensor([5]), budget=4)
    assert assignment.tolist() == [[2, 0, 1, 2, 3]] and left.tolist() == [4]  # 0 joins 3, the closest of 1 and 3


def test_on_a_tie_the_earlier_token_is_merged():
    assignment, _ = match_similar(torch.ones(1, 6, 2), torch.tensor([6]), budget=5)
    assert (assignment[0] == assignment[0, 0]).sum() == 2 and len(set(assignment[0, 1:].tolist())) == 5


def test_at_most_half_of_the_tokens_merge_in_a_round_and_rounds_follow():
    assignment, left = match_similar(torch.randn(2, 33, 4), torch.tensor([33, 17]), budget=2)
    assert left.tolist() == [2, 2]
    assert assignment.max() == 1


def test_similar_moments_of_a_whole_video_merge_and_runs_keep_them_apart():
    tokens = a_video(batch=1, frames=6, grid=(1, 1), channels=3)
    same = replace(tokens, features=torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0, 1, 2]].view(1, 6, 1, 3))
    whole = MergeSimilar(budget=3)(same)
    assert whole.spans.diff(dim=-1).min() > 2 * tokens.spans.diff(dim=-1).min()
    assert sorted(whole.sources[0, :, 0, 0].tolist()) == [1.5, 2.5, 3.5]
    apart = MergeSimilar(budget=3, frames=3)(same)
    assert torch.equal(apart.spans, tokens.spans) and torch.equal(apart.features, same.features)


def test_tokens_may_be_compared_by_something_else_than_their_features():
    tokens = a_video(batch=1, frames=4, grid=(1, 1), channels=2)
    metric = torch.tensor([[[[1.0, 0]], [[0, 1.0]], [[-1.0, 0]], [[1.0, 0]]]])
    merged = MergeSimilar(budget=3).trace(tokens, metric)
    assert merged.assignment.tolist() == [[2, 0, 1, 2]]


def test_a_budget_that_suffices_changes_nothing():
    tokens = a_video(lengths=[7, 2])
    kept = MergeSimilar(budget=1000)(tokens)
    assert torch.equal(kept.features, tokens.flatten().features * tokens.flatten().mask[..., None, None])


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"budget": 3, "frames": 0}])
def test_merging_to_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="from 1"):
        MergeSimilar(**wrong)
