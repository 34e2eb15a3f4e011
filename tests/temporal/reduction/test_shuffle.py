from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.temporal.reduction.videos import a_video
from tvu.temporal.reduction.shuffle import TokenShuffle
from tvu.temporal.tape import TemporalAdapter


@pytest.mark.parametrize("merge_len", [1, 2, 3, 4])
def test_a_shuffle_starts_as_the_projection_of_the_mean_of_its_neighbours(merge_len):
    tokens, projection = a_video(grid=(1, 12)), nn.Linear(4, 6, dtype=torch.float64)
    shuffled = TokenShuffle.from_projection(projection, merge_len)(tokens)
    mean = tokens.features.unflatten(2, (-1, merge_len)).mean(dim=3)
    torch.testing.assert_close(shuffled.features, projection(mean))


def test_training_a_shuffle_leaves_the_projection_that_it_started_from():
    projection = nn.Linear(4, 6)
    shuffle = TokenShuffle.from_projection(projection, 2)
    assert shuffle.merge_proj.bias.data_ptr() != projection.bias.data_ptr()


def test_neighbours_of_one_clip_are_merged_and_tell_where_they_were():
    shuffled = TokenShuffle(merge_len=4, channels=4, width=6).double()(a_video(batch=1, frames=2, grid=(1, 8)))
    assert shuffled.grid == (1, 2)
    assert shuffled.sources[0].flatten(0, 1).tolist() == [[0, 0, 1.5], [0, 0, 5.5], [1, 0, 1.5], [1, 0, 5.5]]


def test_groups_that_would_cross_into_the_next_clip_are_refused():
    with pytest.raises(ValueError, match="not groups of 4"):
        TokenShuffle(merge_len=4, channels=4, width=6).double()(a_video(grid=(1, 6)))


def test_a_still_image_keeps_every_token_and_starts_as_the_plain_projection():
    image, projection = torch.randn(2, 9, 4), nn.Linear(4, 6)
    shuffle = TokenShuffle.from_projection(projection, 4)
    torch.testing.assert_close(shuffle.still(image), projection(image))


def test_an_untrained_adapter_adds_nothing():
    tokens = a_video(frames=4, grid=(1, 16), dtype=torch.float32)
    shuffle = TokenShuffle(4, 4, 6, TemporalAdapter(merge_len=4, num_clips=4, channels=4, hidden=3, width=6))
    alone = TokenShuffle(4, 4, 6)
    alone.load_state_dict({key: x for key, x in shuffle.state_dict().items() if not key.startswith("temp_adap")})
    assert torch.equal(shuffle(tokens).features, alone(tokens).features)


def test_a_trained_adapter_tells_equal_tokens_apart_by_where_they_are():
    tokens = a_video(batch=1, frames=4, grid=(1, 16), dtype=torch.float32)
    tokens = replace(tokens, features=torch.ones_like(tokens.features))
    shuffle = TokenShuffle(4, 4, 6, TemporalAdapter(merge_len=4, num_clips=4, channels=4, hidden=3, width=6))
    nn.init.normal_(shuffle.temp_adap.linear_output.weight)
    with_tape = shuffle(tokens).features[0, :, 0]
    assert torch.cdist(with_tape, with_tape).fill_diagonal_(1).min() > 1e-4
