"""The linear layers of a language model's decoder, with the RMSNorm before and the gate or the residual after them.

With a few rows of x, as when one token is generated after another, such a layer costs what it takes to read its weight
once; everything around it should ride along.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tvu.kernels.dispatch import needs_gradient, runs_on_triton
from tvu.kernels.half_weight import HalfWeight

Weight = Tensor | HalfWeight


def norm_linear(x: Tensor, norm_weight: Tensor, eps: float, weight: Weight, bias: Tensor | None = None) -> Tensor:
    """linear(rms_norm(x)): x `[..., K]`, norm_weight `[K]`, weight `[N, K]`, bias `[N]`; all of one dtype.

    A `HalfWeight` may stand for the weight, here and below.

    Returns `[..., N]` in the dtype of x; the statistics are float32 at least. One row in half precision on a GPU takes
    one kernel, which sums in float32 and rounds nothing but what comes out.
    """
    if isinstance(weight, Tensor) and _is_skinny(x, norm_weight, weight, bias):
        from tvu.kernels.norm_linear_triton import skinny

        return skinny(x, weight, norm=(norm_weight, eps), bias=bias)
    return norm_linear_plain(x, norm_weight, eps, weight, bias)


def norm_gated_linear(x: Tensor, norm_weight: Tensor, eps: float, weight: Weight) -> Tensor:
    """silu(g) * u, where g and u are the two halves of linear(rms_norm(x)).

    x `[..., K]`, norm_weight `[K]`, weight `[2 * N, K]`, the rows of the gate first. Returns `[..., N]`.
    """
    if isinstance(weight, Tensor) and _is_skinny(x, norm_weight, weight):
        from tvu.kernels.norm_linear_triton import skinny

        return skinny(x, weight, norm=(norm_weight, eps), gated=True)
    return norm_gated_linear_plain(x, norm_weight, eps, weight)


def linear_add(x: Tensor, weight: Weight, residual: Tensor, bias: Tensor | None = None) -> Tensor:
    """residual + linear(x): x `[..., K]`, weight `[N, K]`, residual `[..., N]`, bias `[N]`. Returns `[..., N]`."""
    if isinstance(weight, Tensor) and _is_skinny(x, weight, residual, bias):
        from tvu.kernels.norm_linear_triton import skinny

        return skinny(x, weight, bias=bias, residual=residual)
    return linear_add_plain(x, weight, residual, bias)


def _is_skinny(x: Tensor, *weights: Tensor | None) -> bool:
    """Whether the time is that of reading the weight, and the kernel reads it well; `weights` holds it and the rest."""
    given = [weight for weight in weights if weight is not None]
    return (
        runs_on_triton(x, *given)
        and x.dtype in (torch.bfloat16, torch.float16)
        and all(weight.dtype == x.dtype and weight.stride(-1) == 1 for weight in given)
        and x.shape[:-1].numel() == 1
        and not needs_gradient(x, *given)
    )


def norm_linear_plain(x: Tensor, norm_weight: Tensor, eps: float, weight: Weight, bias: Tensor | None = None) -> Tensor:
    """The specification of `norm_linear`."""
    return _product(functional.rms_norm(x, norm_weight.shape, norm_weight, eps), weight, bias)


def norm_gated_linear_plain(x: Tensor, norm_weight: Tensor, eps: float, weight: Weight) -> Tensor:
    """The specification of `norm_gated_linear`."""
    gate, value = norm_linear_plain(x, norm_weight, eps, weight).chunk(2, dim=-1)
    return functional.silu(gate) * value


def linear_add_plain(x: Tensor, weight: Weight, residual: Tensor, bias: Tensor | None = None) -> Tensor:
    """The specification of `linear_add`."""
    return residual + _product(x, weight, bias)


def _product(x: Tensor, weight: Weight, bias: Tensor | None) -> Tensor:
    if isinstance(weight, Tensor):
        return functional.linear(x, weight, bias)
    return weight.product(x) if bias is None else weight.product(x) + bias
