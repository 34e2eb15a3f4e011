"""The kernel behind `gated_norm`: one program holds the channels of one mean."""

# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS_PER_WARP = 1024


@triton.jit
def _normalise(
    x, z, weight, out, C, groups, stride_x, stride_z, eps, GATE_LAST: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row, group = (tl.program_id(0) // groups).to(tl.int64), tl.program_id(0) % groups
    channel = tl.arange(0, BLOCK)
    inside, first = channel < C, group * C
    value = tl.load(x + row * stride_x + first + channel, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(z + row * stride_z + first + channel, mask=inside, other=0.0).to(tl.float32)
    gate = gate / (1.0 + tl.exp(-gate))
    if not GATE_LAST:
        value *= gate
    value *= tl.rsqrt(tl.sum(value * value) / C + eps)
    value *= tl.load(weight + first + channel, mask=inside, other=0.0).to(tl.float32)
    if GATE_LAST:
        value *= gate
    tl.store(out + row * (groups * C) + first + channel, value, mask=inside)


def normalise(x: Tensor, weight: Tensor, z: Tensor, eps: float, group_size: int, gate_last: bool) -> Tensor:
    """As `gated_norm`; leading dimensions that are one run of rows, as cuts of a projection are, are not copied."""
    channels = x.shape[-1]
    rows, gates = (tensor.reshape(-1, channels) for tensor in (x, z))
    rows, gates = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (rows, gates))
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    groups = channels // group_size
    block = triton.next_power_of_2(group_size)
    _normalise[(rows.shape[0] * groups,)](
        rows, gates, weight.contiguous(), out, group_size, groups, rows.stride(0), gates.stride(0), eps,
        GATE_LAST=gate_last, BLOCK=block, num_warps=max(1, min(8, block // CHANNELS_PER_WARP)),
    )  # fmt: skip
    return out
