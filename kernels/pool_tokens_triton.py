"""The kernel behind `pool_tokens`: every input row is read once, straight into the sum of its group."""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WARPS = 512, 1


@triton.jit
def _pool(
    x, lengths, out, T, H, W, C, groups, rows, columns,
    stride_b, stride_t, stride_y, stride_x,
    HAS_LENGTHS: tl.constexpr, FRAMES: tl.constexpr, CELLS: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: one output cell, BLOCK of its channels. Addresses are 64-bit."""
    cell = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column = cell % columns
    row = cell // columns % rows
    group = cell // (columns * rows) % groups
    video = cell // (columns * rows * groups)
    real = T
    if HAS_LENGTHS:
        real = tl.minimum(tl.load(lengths + video), T).to(tl.int32)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for f in tl.static_range(FRAMES):
        t = group * (EVERY * FRAMES) + f
        for i in tl.static_range(CELLS):
            y = row * CELLS + i
            for j in tl.static_range(CELLS):
                at = column * CELLS + j
                there = (t < real) & (y < H) & (at < W)
                address = x + video * stride_b + t * stride_t + y * stride_y + at * stride_x
                total += tl.load(address + channel, mask=channel < tl.where(there, C, 0), other=0.0).to(tl.float32)
    count = tl.minimum(tl.maximum(real - group * (EVERY * FRAMES), 0), FRAMES)
    count *= tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
    mean = total / tl.maximum(count, 1).to(tl.float32)
    tl.store(out + cell * C + channel, mean, mask=channel < C)


@triton.jit
def _spread(
    grad, lengths, out, T, H, W, C, groups, rows, columns,
    HAS_LENGTHS: tl.constexpr, FRAMES: tl.constexpr, CELLS: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: BLOCK channels of the gradient of one input row, its group's gradient over the group's count."""
    token = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    at = token % W
    y = token // W % H
    t = token // (W * H) % T
    video = token // (W * H * T)
    real = T
    if HAS_LENGTHS:
        real = tl.minimum(tl.load(lengths + video), T).to(tl.int32)
    run = t // (EVERY * FRAMES)
    kept = (t < real) & (t - run * (EVERY * FRAMES) < FRAMES)
    cell = ((video * groups + run) * rows + y // CELLS) * columns + at // CELLS
    count = tl.minimum(real - run * (EVERY * FRAMES), FRAMES)
    count *= tl.minimum(H - y // CELLS * CELLS, CELLS) * tl.minimum(W - at // CELLS * CELLS, CELLS)
    value = tl.load(grad + cell * C + channel, mask=channel < tl.where(kept, C, 0), other=0.0).to(tl.float32)
    tl.store(out + token * C + channel, value / tl.maximum(count, 1).to(tl.float32), mask=channel < C)


class PoolTokens(torch.autograd.Function):
    """`pool_tokens` with its gradient: the backward pass writes that of x once and reads nothing of its size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Tensor | None, frames: int, cells: int, every: int) -> Tensor:
        if x.stride(-1) != 1:
            x = x.contiguous()
        batch, times, height, width, channels = x.shape
        groups = triton.cdiv(triton.cdiv(times, frames), every)
        rows, columns = triton.cdiv(height, cells), triton.cdiv(width, cells)
        out = x.new_empty(batch, groups, rows, columns, channels)
        ctx.save_for_backward(lengths)
        ctx.settings = (x.shape, frames, cells, every)
        block = min(triton.next_power_of_2(channels), BLOCK)
        _pool[(batch * groups * rows * columns, triton.cdiv(channels, block))](
            x, lengths, out, times, height, width, channels, groups, rows, columns, *x.stride()[:4],
            HAS_LENGTHS=lengths is not None, FRAMES=frames, CELLS=cells, EVERY=every, BLOCK=block,
            num_warps=WARPS,
        )  # fmt: skip
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (lengths,) = ctx.saved_tensors
        shape, frames, cells, every = ctx.settings
        grad = grads[0].contiguous()
        batch, times, height, width, channels = shape
        _, groups, rows, columns, _ = grad.shape
        out = grad.new_empty(shape)
        block = min(triton.next_power_of_2(channels), 1024)
        _spread[(batch * times * height * width, triton.cdiv(channels, block))](
            grad, lengths, out, times, height, width, channels, groups, rows, columns,
            HAS_LENGTHS=lengths is not None, FRAMES=frames, CELLS=cells, EVERY=every, BLOCK=block,
            num_warps=4,
        )  # fmt: skip
        return out, None, None, None, None
