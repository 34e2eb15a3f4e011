"""From the width of a vision tower to the width of a language model."""

from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from tvu.kernels.shuffle_norm import shuffle_norm
from tvu.temporal.reduction.means import mean_over_blocks, num_groups
from tvu.temporal.types import VisualTokens


def space_to_depth(x: Tensor) -> Tensor:
    """2 x 2 neighbours side by side: `[F, H, W, C]` to `[F, ceil(H / 2), ceil(W / 2), 4 C]`, channels (dy, dx, c).

    An odd side is padded with zeros, as in VILA.
    """
    _, height, width, channels = x.shape
    padded = functional.pad(x, [0, 0, 0, width % 2, 0, height % 2])
    return (
        padded.unflatten(1, (-1, 2))
        .unflatten(3, (-1, 2))
        .permute(0, 1, 3, 2, 4, 5)
        .reshape(-1, num_groups(height, 2), num_groups(width, 2), 4 * channels)
    )


class Projector(nn.Module):
    """Visual tokens of `channels` to `width`.

    layers: 0 leaves them as they are, 1 is STORM's and LITA's linear map, 2 LLaVA's and VILA's with a GELU between.
    space_to_depth: 2 x 2 tokens become one of four times the channels before it.
    norm: LayerNorm over those channels, as VILA has it; STORM does not say.

    Raises ValueError where no layer would have to change the width.
    """

    def __init__(
        self, channels: int, width: int, layers: int = 2, space_to_depth: bool = False, norm: bool = False
    ) -> None:
        super().__init__()
        if layers not in (0, 1, 2):
            raise ValueError(f"a projector has 0, 1 or 2 layers, not {layers}")
        self.space_to_depth = space_to_depth
        channels = 4 * channels if space_to_depth else channels
        if layers == 0 and channels != width:
            raise ValueError(f"without a layer {channels} channels do not become {width}")
        self.norm = nn.LayerNorm(channels) if norm else None
        widths = [channels, *[width] * layers]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, tokens: VisualTokens) -> VisualTokens:
        """`[B, T, N, C]` to `[B, T, N', width]`; with `space_to_depth` N' is a quarter, rounded up on each side.

        Raises ValueError where 2 x 2 neighbours are asked of a flat sequence.
        """
        if self.space_to_depth:
            tokens = self._beside(tokens)
        elif self.norm is not None:
            tokens = replace(tokens, features=self.norm(tokens.features))
        features = tokens.features
        for number, layer in enumerate(self.layers):
            features = layer(functional.gelu(features) if number else features)
        return replace(tokens, features=features)

    def _beside(self, tokens: VisualTokens) -> VisualTokens:
        if tokens.grid == (1, 1):
            raise ValueError("a flat sequence has no neighbours to put side by side: project first")
        batch, frames = tokens.features.shape[:2]
        maps = tokens.features.flatten(0, 1).unflatten(1, tokens.grid)
        if self.norm is None:
            wide = space_to_depth(maps)
        else:
            wide = shuffle_norm(maps, self.norm.weight, self.norm.bias, eps=self.norm.eps)
        return replace(
            tokens,
            features=wide.flatten(1, 2).unflatten(0, (batch, frames)),
            grid=(wide.shape[1], wide.shape[2]),
            sources=mean_over_blocks(tokens.sources, tokens.lengths, tokens.grid, cells=2),
        )
