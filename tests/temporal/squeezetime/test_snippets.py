"""A long video as SqueezeTime tokens: every snippet keeps the time of its frames."""

import pytest
import torch

from tvu.temporal.squeezetime.network import SqueezeTime, SqueezeTimeConfig
from tvu.temporal.squeezetime.snippets import snippet_frames, snippet_tokens
from tvu.temporal.squeezetime.views import normalise

TINY = SqueezeTimeConfig(layers=(1, 1, 1, 1), widths=(4, 4, 6, 8), num_frames=4, code_sides=(8, 4, 2, 1))


def frames_and_spans(batch, frames, seed=0):
    """Random frames with a clock of uneven steps."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (batch, frames, 3, 66, 98), dtype=torch.uint8, generator=generator)
    starts = (0.02 + torch.rand(batch, frames + 1, dtype=torch.float64, generator=generator)).cumsum(1)
    return pixels, torch.stack([starts[:, :-1], starts[:, 1:]], dim=-1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SqueezeTime(TINY).eval()


def test_snippets_follow_each_other_and_the_last_ends_with_the_video():
    assert snippet_frames(10, 4, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9]]
    assert snippet_frames(8, 4, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert snippet_frames(6, 4, 1)[:, 0].tolist() == [0, 1, 2]


def test_a_video_shorter_than_a_snippet_stays_at_its_last_frame():
    assert snippet_frames(2, 4, 4).tolist() == [[0, 1, 1, 1]]
    with pytest.raises(ValueError):
        snippet_frames(0, 4, 4)


def test_tokens_are_the_networks_own_and_their_spans_the_union_of_their_frames(network):
    frames, spans = frames_and_spans(2, 11)
    with torch.no_grad():
        tokens = snippet_tokens(frames, spans, network, batch_snippets=2)
        clip = normalise(frames[1:, 7:11].transpose(1, 2))
        torch.testing.assert_close(tokens.features[1, 2, 0], network.pooled(clip)[0])
    assert tokens.features.shape == (2, 3, 1, 32) and tokens.grid == (1, 1)
    assert torch.equal(tokens.spans[1, 2], torch.stack([spans[1, 7, 0], spans[1, 10, 1]]))
    assert tokens.sources[1, 2, 0].tolist() == [8.5, 0.5, 1.0]  # the middle frame, the centre of a map of 2 x 3


def test_a_grid_as_large_as_the_map_is_the_map(network):
    frames, spans = frames_and_spans(1, 4)
    with torch.no_grad():
        tokens = snippet_tokens(frames, spans, network, grid=(2, 3))
        last_map = network(normalise(frames.transpose(1, 2)))
    torch.testing.assert_close(tokens.features[0, 0], last_map[0].flatten(1).T)
    assert tokens.sources[0, 0, 5].tolist() == [1.5, 1.0, 2.0]


def test_ragged_videos_do_not_see_their_padding(network):
    frames, spans = frames_and_spans(2, 12)
    with torch.no_grad():
        tokens = snippet_tokens(frames, spans, network, lengths=torch.tensor([12, 5]), hop=2)
        alone = snippet_tokens(frames[1:, :5], spans[1:, :5], network, hop=2)
    assert tokens.lengths.tolist() == [5, 2]
    torch.testing.assert_close(tokens.features[1, :2], alone.features[0])
    assert torch.equal(tokens.spans[1, :2], alone.spans[0])
    assert (tokens.spans[1].diff(dim=0) >= 0).all()


def test_gradients_reach_the_network(network):
    frames, spans = frames_and_spans(1, 8)
    snippet_tokens(frames, spans, network).features.sum().backward()
    assert network.conv1.weight.grad.abs().sum() > 0


def test_frames_that_are_no_pixels_or_lack_spans_are_refused(network):
    frames, spans = frames_and_spans(1, 4)
    with pytest.raises(ValueError, match="uint8"):
        snippet_tokens(frames.float(), spans, network)
    with pytest.raises(ValueError, match="spans"):
        snippet_tokens(frames, spans[:, :3], network)
