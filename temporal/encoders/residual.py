"""How a layer that mixes a sequence becomes an encoder of a video: X + Mixer(LayerNorm(X)), layer after layer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ResidualEncoder(nn.Module):
    """Layers over the T * N tokens of a video as one sequence, frame after frame, rows before columns.

    A layer is called with `[B, L, C]` and a mask `[B, L]` bool, false where a token is padding, or None; it returns
    `[B, L, C]`, and what it returns for real tokens may not depend on the others.
    """

    def __init__(self, channels: int, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in layers)
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """features `[B, T, N, C]`, lengths `[B]` int64 real frames (all if None). Returns `[B, T, N, C]`."""
        x, mask = features.flatten(1, 2), None
        if lengths is not None:
            mask = torch.arange(x.shape[1], device=x.device) < lengths[:, None] * features.shape[2]
            x = x.masked_fill(~mask[..., None], 0)  # what stands in padding may not even be a number
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(norm(x), mask)
        return x.view_as(features)


class StreamingResidualEncoder(ResidualEncoder):
    """The same for layers that look back only: `layer.step(x, state)` returns `[B, L, C]` and the next state."""

    def step(self, features: Tensor, state: Sequence[Any] | None = None) -> tuple[Tensor, tuple[Any, ...]]:
        """The next T >= 1 frames, `[B, T, N, C]`, after those that `state` (one of each layer) remembers."""
        x, states = features.flatten(1, 2), []
        layer: Any  # nn.Module does not know `step`
        for i, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            y, after = layer.step(norm(x), state[i] if state else None)
            x = x + y
            states.append(after)
        return x.view_as(features), tuple(states)
