"""The kernels behind `gated_norm`: one program holds the channels of one mean."""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS_PER_WARP = 1024
CHANNELS_PER_WARP_BACKWARD = 512
PROGRAMS = 1024  # of the backward pass: each sums the weight's gradient of its share of rows


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


@triton.jit
def _gradients(
    x, z, weight, grad, grad_x, grad_z, grad_weight, rows, C, groups, stride_x, stride_z, stride_g, eps,
    GATE_LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: a run of rows of one group; the statistics are computed again."""
    program, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel = tl.arange(0, BLOCK)
    inside, first = channel < C, group * C
    w = tl.load(weight + first + channel, mask=inside, other=0.0).to(tl.float32)
    sum_weight = tl.zeros([BLOCK], dtype=tl.float32)
    for row in range(program, rows, tl.num_programs(0)):
        a = tl.load(x + row * stride_x + first + channel, mask=inside, other=0.0).to(tl.float32)
        b = tl.load(z + row * stride_z + first + channel, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(grad + row * stride_g + first + channel, mask=inside, other=0.0).to(tl.float32)
        sigmoid = 1.0 / (1.0 + tl.exp(-b))
        gate, slope = b * sigmoid, sigmoid * (1.0 + b * (1.0 - sigmoid))
        value = a
        if not GATE_LAST:
            value *= gate
        scale = tl.rsqrt(tl.sum(value * value) / C + eps)
        normal = value * scale
        to_normal = dy * w
        if GATE_LAST:
            to_normal *= gate
            sum_weight += dy * gate * normal
            to_z = dy * w * normal * slope
        else:
            sum_weight += dy * normal
        to_value = scale * (to_normal - normal * (tl.sum(to_normal * normal) / C))
        to_x = to_value
        if not GATE_LAST:
            to_x = to_value * gate
            to_z = to_value * a * slope
        address = row * (groups * C) + first + channel
        tl.store(grad_x + address, to_x, mask=inside)
        tl.store(grad_z + address, to_z, mask=inside)
    tl.store(grad_weight + program * (groups * C) + first + channel, sum_weight, mask=inside)


class GatedNorm(torch.autograd.Function):
    """`gated_norm` with its gradients; leading dimensions that are one run of rows, as cuts of a projection are, are
    not copied.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, z: Tensor, eps: float, group_size: int, gate_last: bool) -> Tensor:
        ctx.save_for_backward(x, weight, z)
        ctx.settings = (eps, group_size, gate_last)
        rows, gates = _rows(x), _rows(z)
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        groups = x.shape[-1] // group_size
        block = triton.next_power_of_2(group_size)
        _normalise[(rows.shape[0] * groups,)](
            rows, gates, weight.contiguous(), out, group_size, groups, rows.stride(0), gates.stride(0), eps,
            GATE_LAST=gate_last, BLOCK=block, num_warps=max(1, min(8, block // CHANNELS_PER_WARP)),
        )  # fmt: skip
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, z = ctx.saved_tensors
        eps, group_size, gate_last = ctx.settings
        rows, gates, grad = _rows(x), _rows(z), _rows(grads[0])
        groups, programs = x.shape[-1] // group_size, min(PROGRAMS, rows.shape[0])
        grad_x, grad_z = (torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (x, z))
        grad_weight = x.new_empty(programs, x.shape[-1], dtype=torch.float32)
        block = triton.next_power_of_2(group_size)
        _gradients[(programs, groups)](
            rows, gates, weight.contiguous(), grad, grad_x, grad_z, grad_weight, rows.shape[0], group_size, groups,
            rows.stride(0), gates.stride(0), grad.stride(0), eps,
            GATE_LAST=gate_last, BLOCK=block, num_warps=max(1, min(16, block // CHANNELS_PER_WARP_BACKWARD)),
        )  # fmt: skip
        return grad_x, grad_weight.sum(0).to(weight.dtype), grad_z, None, None, None


def _rows(tensor: Tensor) -> Tensor:
    """`[..., C]` as `[rows, C]` with channels beside each other."""
    tensor = tensor.reshape(-1, tensor.shape[-1])
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
