"""Root mean square norms, plain and gated, as the Mamba family uses them."""

import torch
from torch import Tensor, nn

from tvu.kernels.gated_norm import gated_norm, gated_norm_pool


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-5, group_size: int | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019, equation 4).

    x: `[..., C]`, any floating dtype; the arithmetic is float32 at least and the result has the dtype of x.
    weight: `[C]`. group_size: the mean is over runs of so many channels; over all of them if None.
    Raises ValueError if the groups do not fill the channels.
    """
    group_size = x.shape[-1] if group_size is None else group_size
    if x.shape[-1] % group_size:
        raise ValueError(f"{x.shape[-1]} channels are not whole groups of {group_size}")
    wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, group_size))
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return ((wide * scale).flatten(-2) * weight.to(wide.dtype)).to(x.dtype)


def gated_rms_norm(
    x: Tensor,
    weight: Tensor,
    z: Tensor | None = None,
    eps: float = 1e-5,
    group_size: int | None = None,
    norm_before_gate: bool = False,
) -> Tensor:
    """norm(x silu(z)), or norm(x) silu(z) with `norm_before_gate` (Dao and Gu 2024, section 7.1); norm(x) without z.

    x and z `[..., C]`; the rest is as in `rms_norm`.
    """
    if z is None:
        return rms_norm(x, weight, eps, group_size)
    return gated_norm(x, weight, z, eps=eps, group_size=group_size, gate_last=norm_before_gate)


class RMSNorm(nn.Module):
    """`rms_norm` with its weight `[C]`, ones at the start."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class GatedRMSNorm(nn.Module):
    """`gated_rms_norm` with its weight `[C]`, ones at the start."""

    def __init__(
        self, channels: int, eps: float = 1e-5, group_size: int | None = None, norm_before_gate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps, self.group_size, self.norm_before_gate = eps, group_size, norm_before_gate

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        return gated_rms_norm(x, self.weight, z, self.eps, self.group_size, self.norm_before_gate)

    def and_pool(
        self, x: Tensor, z: Tensor, lengths: Tensor, *, frames: int = 1, cells: int = 1, every: int = 1
    ) -> Tensor:
        """The norm of x and z `[B, T, H, W, C]`, and then `pool_tokens`, from one read of both."""
        return gated_norm_pool(
            x, self.weight, z, lengths,
            eps=self.eps, group_size=self.group_size, gate_last=self.norm_before_gate,
            frames=frames, cells=cells, every=every,
        )  # fmt: skip
