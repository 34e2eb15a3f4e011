import numpy as np
import pytest
import torch
from torch import nn

from tests.temporal.reduction.videos import a_video, only
from tvu.temporal.reduction.slowfast import VIDEO_ARCHS, CellMeans, FrameMeans, SlowFrames, slow_fast


def test_a_hundred_frames_become_a_hundred_fast_tokens_and_four_grids_of_64():
    tokens = slow_fast()(a_video(batch=1, frames=100, grid=(16, 16)))
    assert tokens.features.shape[1] == 356
    assert tokens.sources[0, 100::64, 0, 0].tolist() == [0, 33, 66, 99]
    assert tokens.sources[0, 100:103, 0].tolist() == [[0, 0.5, 0.5], [0, 0.5, 2.5], [0, 0.5, 4.5]]
    assert tokens.sources[0, 108, 0].tolist() == [0, 2.5, 0.5]


@pytest.mark.parametrize("slow", [2, 4, 5, 7])
def test_slow_frames_are_those_of_numpy_for_every_length(slow):
    lengths = torch.arange(1, 130)
    tokens = SlowFrames(slow, cells=1)(
        a_video(batch=129, frames=129, grid=(1, 1), channels=1, lengths=lengths.tolist())
    )
    for length, frames in zip(lengths.tolist(), tokens.sources[:, :, 0, 0].tolist(), strict=True):
        assert frames == np.round(np.linspace(0, length - 1, slow)).tolist()


def test_the_slow_tokens_of_a_shorter_video_follow_its_last_fast_one():
    tokens = slow_fast()(a_video(frames=9, grid=(4, 4), lengths=[9, 3]))
    assert tokens.lengths.tolist() == [9 + 16, 3 + 16]
    times = only(tokens, 1).sources[0, :, 0, 0]
    assert times.tolist() == [0, 1, 2] + [0] * 4 + [1] * 8 + [2] * 4  # round(2/3) = 1 = round(4/3)


def test_fast_and_slow_tokens_have_the_times_of_their_frames():
    video = a_video(batch=1, frames=6, grid=(2, 2))
    tokens = slow_fast()(video)
    assert torch.equal(tokens.spans[:, :6], video.spans)
    assert torch.equal(tokens.spans[0, 6:], video.spans[0, [0, 2, 3, 5]])


def test_an_odd_grid_keeps_its_edge_and_an_even_one_is_average_pooled():
    odd, even = a_video(batch=1, frames=1, grid=(5, 3)), a_video(batch=1, frames=1, grid=(16, 16))
    assert SlowFrames(2)(odd).grid == (3, 2)
    torch.testing.assert_close(SlowFrames(2)(odd).features[0, 0, -1], odd.features[0, 0, -1])
    expected = nn.functional.avg_pool2d(even.features.unflatten(2, (16, 16))[:, 0].permute(0, 3, 1, 2), 2)
    torch.testing.assert_close(SlowFrames(2)(even).features[:, 0], expected.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("arch", VIDEO_ARCHS)
def test_projecting_before_or_after_the_reduction_is_the_same(arch):
    tokens, projector = a_video(frames=6, grid=(4, 4), lengths=[6, 5]), nn.Linear(4, 9, dtype=torch.float64)
    kept, reduce = VIDEO_ARCHS[arch](tokens), VIDEO_ARCHS[arch]
    before = reduce(type(tokens)(projector(tokens.features), tokens.spans, (4, 4), tokens.sources, tokens.lengths))
    torch.testing.assert_close(projector(kept.features)[kept.mask], before.features[kept.mask])


def test_a_frame_mean_and_a_cell_mean_tell_what_they_are_means_of():
    video = a_video(batch=1, frames=5, grid=(3, 5), lengths=[4])
    assert FrameMeans()(video).sources[0, :4, 0].tolist() == [[t, 1, 2] for t in range(4)]
    whole = CellMeans()(video)
    assert whole.sources[0, 0, 7].tolist() == [1.5, 1, 2]
    assert whole.spans[0, 0].tolist() == [video.spans[0, 0, 0], video.spans[0, 3, 1]]


def test_a_single_slow_frame_is_refused():
    with pytest.raises(ValueError, match="2 or more"):
        SlowFrames(num_frames=1)
