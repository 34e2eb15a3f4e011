import torch

from tests.temporal.reduction.videos import a_video
from tvu.temporal.compress import compress_tokens
from tvu.temporal.reduction.changed import KeepChanged
from tvu.temporal.reduction.merge import MergeSimilar
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.reduction.slots import SlotSampler


def test_without_a_reduction_tokens_are_as_they_were():
    tokens = a_video()
    assert compress_tokens(tokens) is tokens


def test_reductions_follow_each_other_and_times_survive_them_all():
    tokens = a_video(batch=2, frames=12, grid=(4, 4), lengths=[12, 7])
    kept = compress_tokens(tokens, PoolTokens(frames=2, cells=2), KeepChanged(dropped=0.5), MergeSimilar(budget=5))
    assert kept.features.shape == (2, 5, 1, 4)
    assert kept.lengths.tolist() == [5, 5]
    for video, length in enumerate([12, 7]):
        assert kept.spans[video, :, 0].min() == tokens.spans[video, 0, 0]  # the first frame is always kept
        assert kept.spans[video, :, 1].max() <= tokens.spans[video, length - 1, 1]


def test_pooling_a_flat_sequence_in_time_merges_neighbours_with_their_own_spans():
    tokens = compress_tokens(a_video(batch=1, frames=3, grid=(1, 3)).flatten(), PoolTokens(frames=2))
    assert tokens.features.shape[1] == 5
    assert tokens.sources[0, :, 0].tolist() == [[0, 0, 0.5], [0.5, 0, 1], [1, 0, 1.5], [2, 0, 0.5], [2, 0, 2]]


def test_a_trainable_reduction_is_called_like_any_other_and_learns():
    tokens, sampler = a_video(), SlotSampler(num_slots=3, channels=4).double()
    compress_tokens(tokens, PoolTokens(cells=2), sampler).features.square().sum().backward()
    assert torch.isfinite(sampler.slots.grad).all() and (sampler.slots.grad != 0).any()
