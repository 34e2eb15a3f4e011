"""SqueezeTime over the two seconds around every half second."""

import pytest
import torch

from tests.video_llm.lite.tiny_lite import tiny_config
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite.motion import SnippetStream, smaller, snippet_features, snippet_frames


@pytest.fixture(scope="module")
def network() -> SqueezeTime:
    torch.manual_seed(0)
    return SqueezeTime(tiny_config().motion_config).eval()


def frames(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 112, 112), dtype=torch.uint8, generator=generator)


def test_a_snippet_is_the_second_before_and_the_second_after_the_middle_of_its_half_second():
    told = snippet_frames(40)  # ten seconds, 80 frames
    assert told.shape == (20, 16)
    assert told[10].tolist() == list(range(34, 50))  # around 5.25 s, frame 42


def test_at_the_edges_the_first_and_the_last_frame_are_seen_again():
    told = snippet_frames(4)
    assert told[0, 0] == 0 and told[0].tolist().count(0) == 7 and told[-1, -1] == 7


def test_both_steps_of_a_half_second_share_its_feature(network):
    (found,) = snippet_features([frames(14)], network)
    assert found.shape == (7, 16)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize("piece", [3, 16, 100])
def test_frames_that_come_in_pieces_give_the_same(network, steps, piece):
    video = frames(2 * steps)
    (expected,) = snippet_features([video], network)
    stream = SnippetStream(network, steps, batch_snippets=4)
    found = torch.cat([stream.take(some) for some in video.split(piece)])
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)  # batches of other sizes


def test_a_stream_holds_a_few_seconds_of_a_long_video(network):
    stream = SnippetStream(network, 4 * 60, batch_snippets=4)
    held = []
    for some in frames(480).split(32):
        stream.take(some)
        held.append(len(stream._held))
    assert max(held) < 64


def test_smaller_frames_are_means_of_what_each_pixel_covers():
    picture = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    picture[..., ::2] = 200
    assert smaller(picture).unique().tolist() == [100]
