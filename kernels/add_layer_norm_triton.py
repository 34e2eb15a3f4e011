"""The kernel behind `add_layer_norm`: two rows are read once, two are written."""

# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS_PER_WARP = 512


@triton.jit
def _add_layer_norm(x, update, weight, bias, total, normal, C, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * C
    channel = tl.arange(0, BLOCK)
    inside = channel < C
    value = tl.load(x + row + channel, mask=inside, other=0.0).to(tl.float32)  # [BLOCK]
    value += tl.load(update + row + channel, mask=inside, other=0.0).to(tl.float32)
    rounded = value.to(total.dtype.element_ty)
    tl.store(total + row + channel, rounded, mask=inside)
    value = rounded.to(tl.float32)
    value = tl.where(inside, value - tl.sum(value) / C, 0.0)
    value *= tl.rsqrt(tl.sum(value * value) / C + eps)
    value *= tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
    tl.store(normal + row + channel, value, mask=inside)


def add_layer_norm_triton(
    x: Tensor, update: Tensor, weight: Tensor, bias: Tensor, eps: float, warps: int | None = None
) -> tuple[Tensor, Tensor]:
    """`add_layer_norm` on a CUDA device, without gradients."""
    x, update = x.contiguous(), update.contiguous()
    total, normal = torch.empty_like(x), torch.empty_like(x)
    channels = x.shape[-1]
    if not x.numel():
        return total, normal
    block = triton.next_power_of_2(channels)
    warps = warps or max(1, min(8, block // CHANNELS_PER_WARP))
    _add_layer_norm[(x.numel() // channels,)](
        x, update, weight.contiguous(), bias.contiguous(), total, normal, channels, eps, BLOCK=block, num_warps=warps
    )
    return total, normal
