import pytest
import torch

from tvu.temporal.encode_time import NoEncoder
from tvu.temporal.encoders.storm import StormConfig, StormTemporalEncoder
from tvu.temporal.types import VisualTokens
from tvu.video_llm.carried import CarriedTime


def tokens(first: int, last: int, whole: torch.Tensor) -> VisualTokens:
    """Frames `first` .. `last` - 1 of a video with a frame a second."""
    edges = torch.arange(first, last + 1, dtype=torch.float64)
    return VisualTokens.from_frames(whole[:, first:last], torch.stack([edges[:-1], edges[1:]], -1)[None], (1, 2))


@pytest.fixture
def encoder() -> StormTemporalEncoder:
    torch.manual_seed(0)
    return StormTemporalEncoder(StormConfig(channels=8, layers=2, d_state=4, bidirectional=False)).double()


@pytest.fixture
def video() -> torch.Tensor:
    return torch.randn(1, 20, 2, 8, dtype=torch.float64)


@torch.inference_mode()
def test_windows_know_what_came_before_as_if_the_video_were_whole(encoder, video) -> None:
    carried, whole = CarriedTime(encoder), encoder(video)
    for first, last in [(0, 8), (6, 14), (12, 20)]:
        seen = carried(tokens(first, last, video)).features
        torch.testing.assert_close(seen, whole[:, first:last])


@torch.inference_mode()
def test_windows_that_only_touch_go_on_too(encoder, video) -> None:
    carried = CarriedTime(encoder)
    parts = [carried(tokens(first, first + 5, video)).features for first in (0, 5, 10, 15)]
    torch.testing.assert_close(torch.cat(parts, dim=1), encoder(video))


@torch.inference_mode()
def test_a_window_elsewhere_starts_anew(encoder, video) -> None:
    carried = CarriedTime(encoder)
    carried(tokens(0, 8, video))
    torch.testing.assert_close(carried(tokens(12, 20, video)).features, encoder(video[:, 12:]))
    torch.testing.assert_close(carried(tokens(0, 8, video)).features, encoder(video[:, :8]))


@torch.inference_mode()
def test_the_same_window_again_is_the_same(encoder, video) -> None:
    carried = CarriedTime(encoder)
    carried(tokens(0, 8, video))
    once = carried(tokens(6, 14, video)).features
    torch.testing.assert_close(carried(tokens(6, 14, video)).features, once)


def test_several_videos_at_once_are_refused(video) -> None:
    two = VisualTokens.from_frames(video.expand(2, -1, -1, -1), torch.zeros(2, 20, 2, dtype=torch.float64), (1, 2))
    with pytest.raises(ValueError, match="one window after another"):
        CarriedTime(NoEncoder())(two)
