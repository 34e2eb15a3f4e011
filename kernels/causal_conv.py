"""The short convolution in front of a scan, with its activation, in either direction."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton


def causal_conv_silu(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, reverse: bool = False) -> Tensor:
    """silu(y), y_i = bias + sum_k weight_(K-1-k) x_(i-k), depthwise, zeros before the first token.

    x: `[B, L, D]`, rows as far apart as they like. weight `[D, K]`, bias `[D]`.
    reverse: x_(i+k) in place of x_(i-k), zeros after the last token: anti-causal, without flipping memory.
    Returns `[B, L, D]` in the dtype of x, after sums in float32 (float64 for float64), with its gradients.
    """
    if causal_conv_runs_on_triton(x, weight, bias):
        from tvu.kernels.causal_conv_triton import CausalConvSilu

        return CausalConvSilu.apply(x, weight, bias, reverse)
    return causal_conv_silu_plain(x, weight, bias, reverse=reverse)


def causal_conv_runs_on_triton(*tensors: Tensor | None) -> bool:
    """Whether the kernel can take these: on a CUDA device, in float32 or below."""
    return runs_on_triton(*(x for x in tensors if x is not None))


def causal_conv_silu_plain(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, reverse: bool = False) -> Tensor:
    """The specification of `causal_conv_silu`."""
    wide = torch.promote_types(x.dtype, torch.float32)
    taps = weight.shape[-1]
    border = (0, taps - 1) if reverse else (taps - 1, 0)
    reach = F.pad(x.to(wide), (0, 0, *border)).unfold(1, taps, 1)  # [B, L, D, K]
    y = (reach * (weight.flip(-1) if reverse else weight).to(wide)).sum(-1)
    return F.silu(y if bias is None else y + bias.to(wide)).to(x.dtype)
