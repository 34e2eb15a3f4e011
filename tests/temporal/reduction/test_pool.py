import pytest
import torch

from tests.temporal.reduction.videos import a_video
from tvu.temporal.reduction.pool import PoolTokens


def test_pooled_spans_tile_what_the_frames_tiled():
    tokens = a_video(frames=11)
    pooled = PoolTokens(frames=4)(tokens)
    assert pooled.lengths.tolist() == [3, 3]
    assert torch.equal(pooled.spans[:, 1:, 0], pooled.spans[:, :-1, 1])
    assert torch.equal(pooled.spans[:, 0, 0], tokens.spans[:, 0, 0])
    assert torch.equal(pooled.spans[:, -1, 1], tokens.spans[:, -1, 1])


def test_the_last_group_is_the_mean_of_the_frames_it_has():
    tokens = a_video(frames=7, lengths=[7, 5])
    pooled = PoolTokens(frames=4)(tokens)
    torch.testing.assert_close(pooled.features[0, 1], tokens.features[0, 4:7].mean(dim=0))
    torch.testing.assert_close(pooled.features[1, 1], tokens.features[1, 4])
    assert torch.equal(pooled.spans[1, 1], tokens.spans[1, 4])


@pytest.mark.parametrize("grid", [(27, 27), (5, 3), (1, 1), (1, 7)])
def test_no_cell_of_an_odd_grid_is_lost(grid):
    tokens = a_video(batch=1, frames=2, grid=grid)
    if grid == (1, 1):
        with pytest.raises(ValueError, match="flat"):
            PoolTokens(cells=2)(tokens)
        return
    pooled = PoolTokens(cells=2)(tokens)
    assert pooled.grid == tuple(-(-side // 2) for side in grid)
    rows, columns = pooled.grid
    cells = tokens.features.unflatten(2, grid)
    corner = cells[:, :, 2 * (rows - 1) :, 2 * (columns - 1) :].mean(dim=(2, 3))
    torch.testing.assert_close(pooled.features[:, :, -1], corner)


def test_the_mean_of_equal_groups_is_the_mean_of_the_video():
    tokens = a_video(frames=8, grid=(4, 6))
    pooled = PoolTokens(frames=4, cells=2)(tokens)
    torch.testing.assert_close(pooled.features.mean(dim=(1, 2)), tokens.features.mean(dim=(1, 2)))


def test_sources_are_the_centres_of_the_blocks():
    pooled = PoolTokens(frames=2, cells=2)(a_video(batch=1, frames=3, grid=(3, 2)))
    assert pooled.sources[0].flatten(0, 1).tolist() == [[0.5, 0.5, 0.5], [0.5, 2, 0.5], [2, 0.5, 0.5], [2, 2, 0.5]]


def test_sampling_keeps_every_second_frame_of_what_reaches_it_and_claims_no_other_time():
    tokens = a_video(frames=10, lengths=[10, 9])
    pooled, sampled = PoolTokens(frames=2)(tokens), PoolTokens(frames=2, every=2)(tokens)
    assert sampled.lengths.tolist() == [3, 3]
    torch.testing.assert_close(sampled.features, pooled.features[:, ::2])
    assert torch.equal(sampled.spans, pooled.spans[:, ::2])


def test_time_and_space_may_be_pooled_in_either_order():
    tokens = a_video(frames=7, lengths=[7, 4])
    there = PoolTokens(cells=2)(PoolTokens(frames=3)(tokens))
    back = PoolTokens(frames=3)(PoolTokens(cells=2)(tokens))
    at_once = PoolTokens(frames=3, cells=2)(tokens)
    torch.testing.assert_close(there.features, at_once.features)
    torch.testing.assert_close(back.features, at_once.features)
    assert torch.equal(there.spans, at_once.spans)


def test_half_precision_is_summed_in_float32():
    tokens = a_video(batch=1, frames=2048, grid=(1, 2), dtype=torch.bfloat16)
    exact = tokens.features.double().mean(dim=1)
    assert (PoolTokens(frames=2048)(tokens).features[:, 0].double() - exact).abs().max() < 1e-3


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"cells": -1}, {"every": 0}])
def test_pooling_by_less_than_one_is_refused(wrong):
    with pytest.raises(ValueError, match="from 1"):
        PoolTokens(**wrong)
