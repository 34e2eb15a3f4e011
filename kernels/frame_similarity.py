"""How much every token differs from the same place one frame earlier, and a fixed number of those that differ most."""

import torch
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton


def frame_similarity(x: Tensor) -> Tensor:
    """Cosine of every token to the token at the same place of the previous frame.

    x: `[B, T, N, C]`, floating. Returns `[B, T, N]` float32 (float64 for float64) in [-1, 1]; -1 in the first frame,
    which nothing precedes, and 0 where either token is all zeros. No gradient: it is what selection looks at.
    """
    if x.ndim != 4:
        raise ValueError(f"x is [B, T, N, C], not {tuple(x.shape)}")
    if runs_on_triton(x):
        from tvu.kernels.frame_similarity_triton import frame_similarity_triton

        return frame_similarity_triton(x.detach())
    return frame_similarity_plain(x)


@torch.no_grad()
def frame_similarity_plain(x: Tensor) -> Tensor:
    """The specification of `frame_similarity`."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    dot = (wide[:, 1:] * wide[:, :-1]).sum(-1)
    squares = wide.square().sum(-1)
    cosine = dot * (squares[:, 1:] * squares[:, :-1]).clamp(min=torch.finfo(dot.dtype).tiny).rsqrt()
    return torch.cat([torch.full_like(squares[:, :1], -1.0), cosine.clamp(-1, 1)], dim=1)
