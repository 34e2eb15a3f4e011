"""The norm at the end of a Mamba-2 block (Dao and Gu 2024, "Transformers are SSMs", section 7.1), and pooling after it.

Where a block is the last before tokens are averaged, its output projection can follow the mean (mean(W y) = W mean(y)),
and what the norm gives is needed only in the mean.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton
from tvu.kernels.pool_tokens import pool_tokens, pool_tokens_plain

WIDEST = 16_384  # channels under one mean, held by one program


def gated_norm(
    x: Tensor, weight: Tensor, z: Tensor, *, eps: float = 1e-5, group_size: int | None = None, gate_last: bool = False
) -> Tensor:
    """norm(x silu(z)) weight, or with `gate_last` norm(x) weight silu(z), x, z and the result passing memory once.

    x, z: `[..., C]`. weight `[C]`. group_size: the mean square is over runs of so many channels; over all if None.
    Returns `[..., C]` in the dtype of x; the arithmetic is float32 (float64 for float64). With its gradients.
    Raises ValueError if the groups do not fill the channels.
    """
    size = _group_size(x, group_size)
    if runs_on_triton(x, weight, z) and size <= WIDEST:
        from tvu.kernels.gated_norm_triton import GatedNorm

        return GatedNorm.apply(x, weight, z, eps, size, gate_last)
    return gated_norm_plain(x, weight, z, eps=eps, group_size=size, gate_last=gate_last)


def gated_norm_plain(
    x: Tensor, weight: Tensor, z: Tensor, *, eps: float = 1e-5, group_size: int | None = None, gate_last: bool = False
) -> Tensor:
    """The specification of `gated_norm`."""
    wide = torch.promote_types(x.dtype, torch.float32)
    gate, value = F.silu(z.to(wide)), x.to(wide)
    value = (value if gate_last else value * gate).unflatten(-1, (-1, group_size or x.shape[-1]))
    value = value * torch.rsqrt(value.square().mean(-1, keepdim=True) + eps)
    value = value.flatten(-2) * weight.to(wide)
    return (value * gate if gate_last else value).to(x.dtype)


def gated_norm_pool(
    x: Tensor,
    weight: Tensor,
    z: Tensor,
    lengths: Tensor | None = None,
    *,
    eps: float = 1e-5,
    group_size: int | None = None,
    gate_last: bool = False,
    frames: int = 1,
    cells: int = 1,
    every: int = 1,
) -> Tensor:
    """pool_tokens(gated_norm(x, weight, z)), of which nothing of the size of x is written.

    x, z: `[B, T, H, W, C]`. weight `[C]`, eps, group_size and gate_last as in `gated_norm`; lengths, frames, cells and
    every as in `pool_tokens`. Returns `[B, groups that are kept, ceil(H / cells), ceil(W / cells), C]` in the dtype of
    x; the arithmetic is float32 (float64 for float64). With its gradients.
    Raises ValueError if the groups do not fill the channels, or frames, cells or every are not positive.
    """
    size = _group_size(x, group_size)
    if x.ndim != 5 or min(frames, cells, every) < 1:
        raise ValueError(f"x is [B, T, H, W, C], not {tuple(x.shape)}; frames, cells and every are at least 1")
    if runs_on_triton(x, weight, z) and size <= WIDEST:
        from tvu.kernels.gated_norm_triton import GatedNorm, Pooling

        batch, times, rows, columns, _ = x.shape
        pooling = Pooling((batch, times, rows, columns), frames, cells, every)
        return GatedNorm.apply(x, weight, z, eps, size, gate_last, lengths, pooling)
    normed = gated_norm_plain(_wide(x), weight, z, eps=eps, group_size=size, gate_last=gate_last)
    return pool_tokens(normed, lengths, frames=frames, cells=cells, every=every).to(x.dtype)


def gated_norm_pool_plain(
    x: Tensor,
    weight: Tensor,
    z: Tensor,
    lengths: Tensor | None = None,
    *,
    eps: float = 1e-5,
    group_size: int | None = None,
    gate_last: bool = False,
    frames: int = 1,
    cells: int = 1,
    every: int = 1,
) -> Tensor:
    """The specification of `gated_norm_pool`."""
    normed = gated_norm_plain(_wide(x), weight, z, eps=eps, group_size=group_size, gate_last=gate_last)
    return pool_tokens_plain(normed, lengths, frames=frames, cells=cells, every=every).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _group_size(x: Tensor, group_size: int | None) -> int:
    size = x.shape[-1] if group_size is None else group_size
    if x.shape[-1] % size:
        raise ValueError(f"{x.shape[-1]} channels are not whole groups of {size}")
    return size
