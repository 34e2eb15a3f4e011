"""Between two halves of a transformer block: the residual sum and the LayerNorm of it, from one read of both."""

import torch
from torch import Tensor
from torch.nn import functional

from tvu.kernels.dispatch import needs_gradient, runs_on_triton


def add_layer_norm(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5, factors: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The residual stream after an update, and its LayerNorm for the layer that reads it next.

    x, update:    `[..., C]`, of one dtype.
    weight, bias: `[C]`.
    factors:      `[...]`, what each row of the update is multiplied by; 1 if None.

    Returns x + update, or x + factors * update, rounded to the dtype of x, and the LayerNorm of what was rounded, both
    `[..., C]`; statistics in float32 (float64 for float64). Where a gradient is wanted the plain twin runs.
    """
    if x.shape != update.shape or weight.shape != bias.shape or weight.shape != x.shape[-1:]:
        shapes = [tuple(tensor.shape) for tensor in (x, update, weight, bias)]
        raise ValueError(f"two [..., C] and two [C], not {shapes}")
    if factors is not None and factors.shape != x.shape[:-1]:
        raise ValueError(f"a factor of each row of {tuple(x.shape)}, not {tuple(factors.shape)}")
    given = (x, update, weight, bias, *(() if factors is None else (factors,)))
    if runs_on_triton(*given) and not needs_gradient(*given):
        from tvu.kernels.add_layer_norm_triton import add_layer_norm_triton

        return add_layer_norm_triton(x, update, weight, bias, eps, factors)
    return add_layer_norm_plain(x, update, weight, bias, eps=eps, factors=factors)


def add_layer_norm_plain(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5, factors: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The specification of `add_layer_norm`."""
    wide = torch.promote_types(x.dtype, torch.float32)
    total = x + update
    if factors is not None:
        total = (x.to(wide) + update.to(wide) * factors[..., None].to(wide)).to(x.dtype)
    normal = functional.layer_norm(total.to(wide), weight.shape, weight.to(wide), bias.to(wide), eps)
    return total, normal.to(x.dtype)
