"""From the width of a vision tower to the width of a language model."""

import torch
from torch.testing import assert_close

from tests.video_llm.models.tiny import seconds
from tvu.temporal.types import VisualTokens
from tvu.video_llm.models.projector import Projector, space_to_depth


def test_neighbours_stand_row_by_row_and_zeros_follow_an_odd_side() -> None:
    wide = space_to_depth(torch.arange(1.0, 10.0).view(1, 3, 3, 1))
    assert wide[0].tolist() == [[[1, 2, 4, 5], [3, 0, 6, 0]], [[7, 8, 0, 0], [9, 0, 0, 0]]]


@torch.no_grad()
def test_the_norm_is_of_what_stands_side_by_side() -> None:
    torch.manual_seed(0)
    projector = Projector(4, 8, layers=1, space_to_depth=True, norm=True)
    for parameter in projector.parameters():
        parameter.add_(torch.randn_like(parameter))
    maps = torch.randn(2, 3, 3, 4)
    tokens = VisualTokens.from_frames(maps.view(1, 2, 9, 4), seconds(2), (3, 3))
    expected = projector.layers[0](projector.norm(space_to_depth(maps)))  # type: ignore[misc]
    assert_close(projector(tokens).features[0], expected.flatten(1, 2), rtol=1e-5, atol=1e-5)
