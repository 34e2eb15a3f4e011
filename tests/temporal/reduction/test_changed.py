from dataclasses import replace

import pytest
import torch

from tests.temporal.reduction.videos import a_video, only
from tvu.temporal.reduction.changed import KeepChanged


def kept_places(tokens, grid):
    """`(t, cell)` of every token that was kept."""
    t, y, x = tokens.sources[0, : int(tokens.lengths[0]), 0].long().T
    return list(zip(t.tolist(), (y * grid[1] + x).tolist(), strict=True))


def still_video(frames=5, grid=(2, 3), channels=4):
    """Every frame is the first one; powers of two, so that cosines are exact."""
    tokens = a_video(batch=1, frames=frames, grid=grid, channels=channels)
    one = torch.eye(channels, dtype=torch.float64)[torch.arange(grid[0] * grid[1]) % channels]
    return replace(tokens, features=one.expand(1, frames, -1, -1).clone())


def test_what_changed_is_kept_and_the_first_frame_always():
    tokens = still_video()
    tokens.features[0, 3, 4] *= -1  # changes at frame 3, and back at frame 4
    kept = KeepChanged(dropped=0.73)(tokens)  # 8 of 30
    assert kept_places(kept, (2, 3)) == [(0, cell) for cell in range(6)] + [(3, 4), (4, 4)]


def test_on_a_tie_the_earlier_token_stays():
    kept = KeepChanged(dropped=0.69)(still_video())  # 9 of 30
    assert kept_places(kept, (2, 3)) == [(0, cell) for cell in range(6)] + [(1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_rounding_does_not_make_a_still_video_move(dtype):
    tokens = a_video(batch=1, frames=4, grid=(16, 16), channels=37, dtype=dtype)
    still = replace(tokens, features=tokens.features[:, :1].expand(-1, 4, -1, -1).contiguous())
    kept = KeepChanged(dropped=0.6)(still)
    assert kept_places(kept, (16, 16)) == [divmod(place, 256) for place in range(int(4 * 256 * 0.4))]


@pytest.mark.parametrize(
    "frames, dropped, count", [(5, 0.0, 30), (5, 0.5, 15), (5, 0.77, 6), (5, 0.999, 6), (1, 0.5, 6)]
)
def test_the_budget_is_a_share_of_the_video_and_never_less_than_a_frame(frames, dropped, count):
    kept = KeepChanged(dropped)(a_video(frames=frames, grid=(2, 3)))
    assert kept.features.shape[1] == count and kept.lengths.tolist() == [count, count]


@pytest.mark.parametrize("dropped", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_shorter_video_has_the_budget_that_it_has_alone(dropped):
    tokens = a_video(batch=9, frames=9, lengths=list(range(1, 10)))
    kept = KeepChanged(dropped)(tokens)
    assert kept.lengths.tolist() == [max(15, int(15 * length * (1 - dropped))) for length in range(1, 10)]


def test_tokens_keep_their_order_their_features_and_their_time():
    tokens = a_video(batch=1, frames=9)
    kept = KeepChanged(dropped=0.6)(tokens)
    places = kept_places(kept, (5, 3))
    assert places == sorted(places)
    for i, (t, cell) in enumerate(places):
        assert torch.equal(kept.features[0, i, 0], tokens.features[0, t, cell])
        assert torch.equal(kept.spans[0, i], tokens.spans[0, t])


def test_dropping_nothing_is_flattening():
    tokens = a_video(lengths=[7, 2])
    kept, flat = KeepChanged(dropped=0)(tokens), tokens.flatten()
    for video in range(2):
        assert torch.equal(only(kept, video).features, only(flat, video).features)


def test_the_ranking_is_over_the_whole_video_not_over_each_frame():
    tokens = still_video(frames=4)
    tokens.features[0, 2] *= -1
    kept = KeepChanged(dropped=0.25)(tokens)
    assert {t for t, _ in kept_places(kept, (2, 3))} == {0, 2, 3}


@pytest.mark.parametrize("dropped", [-0.1, 1.0, 1.5])
def test_a_share_outside_of_zero_to_one_is_refused(dropped):
    with pytest.raises(ValueError, match="share"):
        KeepChanged(dropped)
