"""Between two halves of a transformer block: the residual sum and the LayerNorm of it, from one read of both."""

import torch
from torch import Tensor
from torch.nn import functional

from tvu.kernels.dispatch import needs_gradient, runs_on_triton


def add_layer_norm(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """The residual stream after an update, and its LayerNorm for the layer that reads it next.

    x, update:    `[..., C]`, of one dtype.
    weight, bias: `[C]`.

    Returns x + update rounded to the dtype of x, and the LayerNorm of what was rounded, both `[..., C]`; statistics in
    float32 (float64 for float64). Where a gradient is wanted the plain twin runs.
    """
    if x.shape != update.shape or weight.shape != bias.shape or weight.shape != x.shape[-1:]:
        shapes = [tuple(tensor.shape) for tensor in (x, update, weight, bias)]
        raise ValueError(f"two [..., C] and two [C], not {shapes}")
    if runs_on_triton(x, update, weight, bias) and not needs_gradient(x, update, weight, bias):
        from tvu.kernels.add_layer_norm_triton import add_layer_norm_triton

        return add_layer_norm_triton(x, update, weight, bias, eps)
    return add_layer_norm_plain(x, update, weight, bias, eps=eps)


def add_layer_norm_plain(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """The specification of `add_layer_norm`."""
    total = x + update
    wide = torch.promote_types(x.dtype, torch.float32)
    normal = functional.layer_norm(total.to(wide), weight.shape, weight.to(wide), bias.to(wide), eps)
    return total, normal.to(x.dtype)
