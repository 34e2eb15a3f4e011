"""Made-up visual tokens with times that no frame rate gives."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from tvu.temporal.types import VisualTokens


def a_video(
    batch: int = 2,
    frames: int = 7,
    grid: tuple[int, int] = (5, 3),
    channels: int = 4,
    lengths: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> VisualTokens:
    """Random features; frames of 0.01 to 1 s that touch, starting at 3 s or later."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, frames, grid[0] * grid[1], channels, generator=draw, dtype=torch.float64).to(dtype)
    edges = 3 + torch.cumsum(0.01 + 0.99 * torch.rand(batch, frames + 1, generator=draw, dtype=torch.float64), dim=1)
    spans = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)
    return VisualTokens.from_frames(features, spans, grid, None if lengths is None else torch.tensor(lengths))


def with_padding_of(tokens: VisualTokens, value: float) -> VisualTokens:
    """The same video with `value` wherever there is padding."""

    def filled(x: torch.Tensor) -> torch.Tensor:
        return torch.where(tokens.mask.reshape(*tokens.mask.shape, *[1] * (x.ndim - 2)), x, value)

    return replace(tokens, features=filled(tokens.features), spans=filled(tokens.spans), sources=filled(tokens.sources))


def only(tokens: VisualTokens, video: int) -> VisualTokens:
    """One video of a batch, without its padding."""
    length = int(tokens.lengths[video])
    return VisualTokens(
        tokens.features[video : video + 1, :length],
        tokens.spans[video : video + 1, :length],
        tokens.grid,
        tokens.sources[video : video + 1, :length],
        tokens.lengths[video : video + 1],
    )
