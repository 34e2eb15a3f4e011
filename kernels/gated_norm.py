"""The norm at the end of a Mamba-2 block (Dao and Gu 2024, "Transformers are SSMs", section 7.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton

WIDEST = 16_384  # channels under one mean, held by one program


def gated_norm(
    x: Tensor, weight: Tensor, z: Tensor, *, eps: float = 1e-5, group_size: int | None = None, gate_last: bool = False
) -> Tensor:
    """norm(x silu(z)) weight, or with `gate_last` norm(x) weight silu(z), x, z and the result passing memory once.

    x, z: `[..., C]`. weight `[C]`. group_size: the mean square is over runs of so many channels; over all if None.
    Returns `[..., C]` in the dtype of x; the arithmetic is float32 (float64 for float64). With its gradients.
    Raises ValueError if the groups do not fill the channels.
    """
    size = x.shape[-1] if group_size is None else group_size
    if x.shape[-1] % size:
        raise ValueError(f"{x.shape[-1]} channels are not whole groups of {size}")
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
