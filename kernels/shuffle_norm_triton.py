"""The kernels behind `shuffle_norm`: a program gathers four tokens into registers, normalises and writes them.

Channels are held as two powers of 2, so that widths like 1152 = 1024 + 128 waste no lanes.
"""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

WARPS = 4  # of the forward pass
CHANNELS_PER_WARP = 256
PROGRAMS = 1024  # of the backward pass: each sums the weights' gradients of its share of cells


@triton.jit
def _gather(x, cell, H, W, C, rows, columns, BLOCK: tl.constexpr):
    """The four tokens of a cell, `[4, BLOCK]` float32, their addresses, and where they are real."""
    part = tl.arange(0, 4)[:, None]
    channel = tl.arange(0, BLOCK)[None, :]
    y = cell // columns % rows * 2 + part // 2
    at = cell % columns * 2 + part % 2
    frame = cell // (columns * rows)
    address = ((frame * H + y) * W + at) * C + channel
    real = (channel < C) & (y < H) & (at < W)
    return tl.load(x + address, mask=real, other=0.0).to(tl.float32), address, real


@triton.jit
def _some(x, cell, first, H, W, C, rows, columns, BLOCK: tl.constexpr):
    """Channels from `first` on of the four tokens, where they exist, and their places in a cell; `[4, BLOCK]` each."""
    part, channel = tl.arange(0, 4)[:, None], first + tl.arange(0, BLOCK)[None, :]
    y = cell // columns % rows * 2 + part // 2
    at = cell % columns * 2 + part % 2
    address = ((cell // (columns * rows) * H + y) * W + at) * C + channel
    value = tl.load(x + address, mask=(channel < C) & (y < H) & (at < W), other=0.0).to(tl.float32)
    return value, channel < C, part * C + channel


@triton.jit
def _put(out, weight, bias, normal, inside, place):
    """The weights come from the cache as late as this: before the sums they would only fill registers."""
    w = tl.load(weight + place, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(bias + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, normal * w + b, mask=inside)


@triton.jit
def _forward(
    x, weight, bias, out, means, scales, H, W, C, rows, columns, eps, MAIN: tl.constexpr, REST: tl.constexpr
):  # fmt: skip
    cell = tl.program_id(0).to(tl.int64)
    value, inside, place = _some(x, cell, 0, H, W, C, rows, columns, MAIN)
    total = tl.sum(value)
    if REST > 0:
        value_2, inside_2, place_2 = _some(x, cell, MAIN, H, W, C, rows, columns, REST)
        total += tl.sum(value_2)
    mean = total / (4 * C)
    value = tl.where(inside, value - mean, 0.0)
    square = tl.sum(value * value)
    if REST > 0:
        value_2 = tl.where(inside_2, value_2 - mean, 0.0)
        square += tl.sum(value_2 * value_2)
    scale = tl.rsqrt(square / (4 * C) + eps)
    out += cell * (4 * C)
    _put(out, weight, bias, value * scale, inside, place)
    if REST > 0:
        _put(out, weight, bias, value_2 * scale, inside_2, place_2)
    tl.store(means + cell, mean)
    tl.store(scales + cell, scale)


@triton.jit
def _backward(
    x, weight, grad, means, scales, grad_x, grad_weight, grad_bias, cells, H, W, C, rows, columns,
    BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    inside = tl.arange(0, BLOCK)[None, :] < C
    place = tl.arange(0, 4)[:, None] * C + tl.arange(0, BLOCK)[None, :]
    w = tl.load(weight + place, mask=inside, other=0.0).to(tl.float32)
    sum_weight = tl.zeros([4, BLOCK], dtype=tl.float32)
    sum_bias = tl.zeros([4, BLOCK], dtype=tl.float32)
    for cell in range(program, cells, tl.num_programs(0)):
        value, address, real = _gather(x, cell, H, W, C, rows, columns, BLOCK)
        scale = tl.load(scales + cell)
        normal = tl.where(inside, (value - tl.load(means + cell)) * scale, 0.0)
        g = tl.load(grad + cell * (4 * C) + place, mask=inside, other=0.0).to(tl.float32)
        sum_weight += g * normal
        sum_bias += g
        g *= w
        along = tl.sum(g * normal) / (4 * C)
        tl.store(grad_x + address, (g - tl.sum(g) / (4 * C) - normal * along) * scale, mask=real)
    tl.store(grad_weight + program * (4 * C) + place, sum_weight, mask=inside)
    tl.store(grad_bias + program * (4 * C) + place, sum_bias, mask=inside)


def two_powers(channels: int) -> tuple[int, int]:
    """The two powers of 2 (or one and 0) that hold so many channels with the fewest lanes to spare."""
    whole = triton.next_power_of_2(channels)
    rest = triton.next_power_of_2(channels - whole // 2)
    return (whole // 2, rest) if whole // 2 + rest < whole else (whole, 0)


class ShuffleNorm(torch.autograd.Function):
    """`shuffle_norm` with its gradients; the statistics, 8 bytes a cell, are kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        frames, height, width, channels = x.shape
        rows, columns = triton.cdiv(height, 2), triton.cdiv(width, 2)
        out = x.new_empty(frames, rows, columns, 4 * channels)
        means = x.new_empty(frames * rows * columns, dtype=torch.float32)
        scales = torch.empty_like(means)
        main, rest = two_powers(channels)
        _forward[(len(means),)](
            x, weight, bias, out, means, scales, height, width, channels, rows, columns, eps,
            MAIN=main, REST=rest, num_warps=WARPS,
        )  # fmt: skip
        ctx.save_for_backward(x, weight, means, scales)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, means, scales = ctx.saved_tensors
        _, height, width, channels = x.shape
        rows, columns = triton.cdiv(height, 2), triton.cdiv(width, 2)
        programs = min(PROGRAMS, len(means))
        grad_x = torch.empty_like(x)
        grad_weight = x.new_empty(programs, 4 * channels, dtype=torch.float32)
        grad_bias = torch.empty_like(grad_weight)
        block = triton.next_power_of_2(channels)
        _backward[(programs,)](
            x, weight, grads[0].contiguous(), means, scales, grad_x, grad_weight, grad_bias,
            len(means), height, width, channels, rows, columns,
            BLOCK=block, num_warps=max(1, min(16, block // CHANNELS_PER_WARP)),
        )  # fmt: skip
        return grad_x, grad_weight.sum(0).to(weight.dtype), grad_bias.sum(0).to(weight.dtype), None
