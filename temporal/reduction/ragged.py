"""Sequences of different lengths in one batch: what is kept moves to the left, in order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tvu.temporal.reduction.means import frame_mask
from tvu.temporal.types import VisualTokens


def pack(tokens: VisualTokens, keep: Tensor, size: int) -> VisualTokens:
    """The tokens of a flat sequence where `keep` is true, in their order, padded on the right to `size`.

    tokens on a (1, 1) grid; keep `[B, T]` bool, at most `size` true in a row (a bound known without looking: no device
    is waited for). Returns features `[B, size, 1, C]`; padding is zeros.
    """
    if tokens.grid != (1, 1):
        raise ValueError(f"only a flat sequence is packed token by token, not a grid of {tokens.grid}")
    order = torch.sort(~keep, dim=1, stable=True).indices[:, :size]
    lengths = keep.sum(dim=1)
    real = frame_mask(lengths, size)

    def packed(x: Tensor) -> Tensor:
        index = order.reshape(*order.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
        return torch.where(real.reshape(*real.shape, *[1] * (x.ndim - 2)), x.gather(1, index), 0)

    return VisualTokens(packed(tokens.features), packed(tokens.spans), (1, 1), packed(tokens.sources), lengths)


def join(parts: Sequence[VisualTokens]) -> VisualTokens:
    """The tokens of each video from every part, one part after another, as one flat sequence."""
    flat = [part.flatten() for part in parts]
    whole = VisualTokens(
        features=torch.cat([part.features for part in flat], dim=1),
        spans=torch.cat([part.spans for part in flat], dim=1),
        grid=(1, 1),
        sources=torch.cat([part.sources for part in flat], dim=1),
        lengths=torch.stack([part.lengths for part in flat]).sum(dim=0),
    )
    return pack(whole, torch.cat([part.mask for part in flat], dim=1), whole.features.shape[1])
