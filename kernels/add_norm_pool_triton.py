"""The kernels behind `add_norm_pool`: each row of the three inputs is read once and never written back."""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS_PER_WARP = 1024
PROGRAMS = 1024  # of the backward pass: each sums the weight's gradient of its share of tokens


@triton.jit
def _normal(x, forward, backward, address, channel, limit, C, eps, CENTRED: tl.constexpr):
    """One token, summed and normalised, and the factor it was multiplied by. Zero beyond `limit`."""
    inside = channel < limit
    total = tl.load(x + address + channel, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(forward + address + channel, mask=inside, other=0.0).to(tl.float32)
    total += tl.load(backward + address + channel, mask=inside, other=0.0).to(tl.float32)
    if CENTRED:
        total = tl.where(inside, total - tl.sum(total) / C, 0.0)
    scale = tl.rsqrt(tl.sum(total * total) / C + eps)
    return total * scale, scale


@triton.jit
def _forward(
    x, forward, backward, weight, bias, out, T, H, W, C, groups, rows, columns, eps,
    CENTRED: tl.constexpr, FRAMES: tl.constexpr, CELLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    cell = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    column = cell % columns
    row = cell // columns % rows
    group = cell // (columns * rows) % groups
    video = cell // (columns * rows * groups)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for member in range(FRAMES * CELLS * CELLS):
        t = group * FRAMES + member // (CELLS * CELLS)
        y = row * CELLS + member // CELLS % CELLS
        at = column * CELLS + member % CELLS
        limit = tl.where((t < T) & (y < H) & (at < W), C, 0)
        address = (((video * T + t) * H + y) * W + at) * C
        normal, _ = _normal(x, forward, backward, address, channel, limit, C, eps, CENTRED)
        total += normal
    count = tl.minimum(T - group * FRAMES, FRAMES)
    count *= tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
    mean = total / count.to(tl.float32) * tl.load(weight + channel, mask=channel < C, other=0.0).to(tl.float32)
    if CENTRED:
        mean += tl.load(bias + channel, mask=channel < C, other=0.0).to(tl.float32)
    tl.store(out + cell * C + channel, mean, mask=channel < C)


@triton.jit
def _backward(
    x, forward, backward, weight, grad, grad_x, grad_weight, tokens, T, H, W, C, groups, rows, columns, eps,
    CENTRED: tl.constexpr, FRAMES: tl.constexpr, CELLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The statistics are computed again: keeping the tokens normalised would cost as many bytes as reading them."""
    program = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, BLOCK)
    w = tl.load(weight + channel, mask=channel < C, other=0.0).to(tl.float32)
    sum_weight = tl.zeros([BLOCK], dtype=tl.float32)
    for token in range(program, tokens, tl.num_programs(0)):
        at = token % W
        y = token // W % H
        t = token // (W * H) % T
        video = token // (W * H * T)
        group, row, column = t // FRAMES, y // CELLS, at // CELLS
        count = tl.minimum(T - group * FRAMES, FRAMES)
        count *= tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
        cell = ((video * groups + group) * rows + row) * columns + column
        address = token * C
        normal, scale = _normal(x, forward, backward, address, channel, C, C, eps, CENTRED)
        g = tl.load(grad + cell * C + channel, mask=channel < C, other=0.0).to(tl.float32) / count.to(tl.float32)
        sum_weight += g * normal
        g *= w
        inner = g - normal * (tl.sum(g * normal) / C)
        if CENTRED:
            inner -= tl.sum(g) / C
        tl.store(grad_x + address + channel, inner * scale, mask=channel < C)
    tl.store(grad_weight + program * C + channel, sum_weight, mask=channel < C)


def _warps(block: int) -> int:
    return max(1, min(8, block // CHANNELS_PER_WARP))


class AddNormPool(torch.autograd.Function):
    """`add_norm_pool` with its gradients; the three inputs share theirs."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        forward: Tensor,
        backward: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        eps: float,
        frames: int,
        cells: int,
    ) -> Tensor:
        x, forward, backward = x.contiguous(), forward.contiguous(), backward.contiguous()
        batch, times, height, width, channels = x.shape
        sizes = (triton.cdiv(times, frames), triton.cdiv(height, cells), triton.cdiv(width, cells))
        out = x.new_empty(batch, *sizes, channels)
        block = triton.next_power_of_2(channels)
        _forward[(out.numel() // channels,)](
            x, forward, backward, weight, bias, out, times, height, width, channels, *sizes, eps,
            CENTRED=bias is not None, FRAMES=frames, CELLS=cells, BLOCK=block,
            num_warps=_warps(block),
        )  # fmt: skip
        ctx.save_for_backward(x, forward, backward, weight)
        ctx.settings = (sizes, bias is not None, eps, frames, cells)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, forward, backward, weight = ctx.saved_tensors
        sizes, centred, eps, frames, cells = ctx.settings
        _, times, height, width, channels = x.shape
        tokens = x.numel() // channels
        programs = min(PROGRAMS, tokens)
        grad = grads[0].contiguous()
        grad_x = torch.empty_like(x)
        grad_weight = x.new_empty(programs, channels, dtype=torch.float32)
        block = triton.next_power_of_2(channels)
        _backward[(programs,)](
            x, forward, backward, weight, grad, grad_x, grad_weight,
            tokens, times, height, width, channels, *sizes, eps,
            CENTRED=centred, FRAMES=frames, CELLS=cells, BLOCK=block,
            num_warps=_warps(block),
        )  # fmt: skip
        grad_bias = grad.float().sum((0, 1, 2, 3)).to(weight.dtype) if centred else None
        return grad_x, grad_x, grad_x, grad_weight.sum(0).to(weight.dtype), grad_bias, None, None, None
