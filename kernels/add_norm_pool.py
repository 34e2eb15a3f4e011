"""The end of a bidirectional encoder: residual sum, norm, pooling, from one read of each of the three."""

import torch
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton
from tvu.kernels.pool_tokens import pool_tokens_plain


def add_norm_pool(
    x: Tensor,
    forward: Tensor,
    backward: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
    frames: int = 1,
    cells: int = 1,
) -> Tensor:
    """pool(norm(x + forward + backward)): what a token was, plus what both directions of a scan say of it.

    x, forward, backward: `[B, T, H, W, C]`, of one dtype.
    weight, bias:         `[C]`. With a bias the norm is LayerNorm, without one RMSNorm.
    frames, cells:        as in `pool_tokens`, whose means of what is there end odd sizes.

    Returns `[B, ceil(T / frames), ceil(H / cells), ceil(W / cells), C]` in the dtype of x; sums and statistics in
    float32 (float64 for float64). Nothing of the size of x is written.
    """
    if not x.shape == forward.shape == backward.shape or x.ndim != 5:
        raise ValueError(
            f"three [B, T, H, W, C], not {tuple(x.shape)}, {tuple(forward.shape)}, {tuple(backward.shape)}"
        )
    if runs_on_triton(x, forward, backward, weight):
        from tvu.kernels.add_norm_pool_triton import AddNormPool

        return AddNormPool.apply(x, forward, backward, weight, bias, eps, frames, cells)
    return add_norm_pool_plain(x, forward, backward, weight, bias, eps=eps, frames=frames, cells=cells)


def add_norm_pool_plain(
    x: Tensor,
    forward: Tensor,
    backward: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
    frames: int = 1,
    cells: int = 1,
) -> Tensor:
    """The specification of `add_norm_pool`."""
    wide = torch.promote_types(x.dtype, torch.float32)
    total = x.to(wide) + forward.to(wide) + backward.to(wide)
    if bias is not None:
        total = total - total.mean(-1, keepdim=True)
    normal = total * (total.square().mean(-1, keepdim=True) + eps).rsqrt()
    pooled = pool_tokens_plain(normal, frames=frames, cells=cells) * weight.to(wide)
    return (pooled if bias is None else pooled + bias.to(wide)).to(x.dtype)
