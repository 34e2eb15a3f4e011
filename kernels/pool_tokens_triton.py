"""The kernels behind `pool_tokens`: every input row is read once, straight into the sum of its group."""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.shuffle_norm_triton import two_powers

BLOCK, WARPS = 128, 1
COMPARE_WARPS = 2


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


@triton.jit
def _pool_and_compare(
    x, out, similarity, norms, T, H, W, C, groups, rows, columns,
    FRAMES: tl.constexpr, LANES: tl.constexpr, CELLS: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr,
):  # fmt: skip
    """One program: one output cell. A frame is read as itself and, from the cache, as the one before the next."""
    cell = tl.program_id(0).to(tl.int64)
    column = cell % columns
    row = cell // columns % rows
    group = cell // (columns * rows) % groups
    video = cell // (columns * rows * groups)
    lane = tl.arange(0, LANES)
    t = group * FRAMES + lane
    real = (lane < FRAMES) & (t < T)
    channel, channel_2 = tl.arange(0, MAIN)[None, :], MAIN + tl.arange(0, max(REST, 1))[None, :]
    total = tl.zeros([LANES, MAIN], dtype=tl.float32)
    total_2 = tl.zeros([LANES, max(REST, 1)], dtype=tl.float32)
    for place in range(CELLS * CELLS):
        y, at = row * CELLS + place // CELLS, column * CELLS + place % CELLS
        there = real & (y < H) & (at < W)
        token = ((video * T + t) * H + y) * W + at
        now = x + token[:, None] * C
        before = now - H * W * C
        has_before = there & (t > 0)
        a = tl.load(now + channel, mask=there[:, None] & (channel < C), other=0.0).to(tl.float32)
        b = tl.load(before + channel, mask=has_before[:, None] & (channel < C), other=0.0).to(tl.float32)
        total += a
        dot, square, square_before = tl.sum(a * b, axis=1), tl.sum(a * a, axis=1), tl.sum(b * b, axis=1)
        if REST > 0:
            a = tl.load(now + channel_2, mask=there[:, None] & (channel_2 < C), other=0.0).to(tl.float32)
            b = tl.load(before + channel_2, mask=has_before[:, None] & (channel_2 < C), other=0.0).to(tl.float32)
            total_2 += a
            dot += tl.sum(a * b, axis=1)
            square += tl.sum(a * a, axis=1)
            square_before += tl.sum(b * b, axis=1)
        cosine = dot * tl.rsqrt(tl.maximum(square * square_before, 1.1754944e-38))  # the least normal float32
        cosine = tl.where(t == 0, -1.0, tl.minimum(tl.maximum(cosine, -1.0), 1.0))
        tl.store(similarity + token, cosine, mask=there)
        tl.store(norms + token, tl.sqrt(square), mask=there)
    count = tl.minimum(T - group * FRAMES, FRAMES)
    count *= tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
    mean = tl.sum(total, axis=0)[None, :] / count.to(tl.float32)
    tl.store(out + cell * C + channel, mean, mask=channel < C)
    if REST > 0:
        mean = tl.sum(total_2, axis=0)[None, :] / count.to(tl.float32)
        tl.store(out + cell * C + channel_2, mean, mask=channel_2 < C)


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
        return _spread_over(grads[0], lengths, *ctx.settings), None, None, None, None


class PoolAndCompare(torch.autograd.Function):
    """`pool_and_compare`; the gradient is that of pooling."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: int, cells: int) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous()
        batch, times, height, width, channels = x.shape
        sizes = (triton.cdiv(times, frames), triton.cdiv(height, cells), triton.cdiv(width, cells))
        out = x.new_empty(batch, *sizes, channels)
        similarity, norms = x.new_empty(2, batch, times, height, width, dtype=torch.float32)
        main, rest = two_powers(channels)
        _pool_and_compare[(out.numel() // channels,)](
            x, out, similarity, norms, times, height, width, channels, *sizes,
            FRAMES=frames, LANES=triton.next_power_of_2(frames), CELLS=cells, MAIN=main, REST=rest,
            num_warps=COMPARE_WARPS,
        )  # fmt: skip
        ctx.settings = (x.shape, frames, cells, 1)
        ctx.mark_non_differentiable(similarity, norms)
        return out, similarity, norms

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _spread_over(grads[0], None, *ctx.settings), None, None


def _spread_over(
    grad: Tensor, lengths: Tensor | None, shape: tuple[int, ...], frames: int, cells: int, every: int
) -> Tensor:
    """The gradient of x `shape` from that of its means."""
    grad = grad.contiguous()
    batch, times, height, width, channels = shape
    _, groups, rows, columns, _ = grad.shape
    out = grad.new_empty(shape)
    block = min(triton.next_power_of_2(channels), 1024)
    _spread[(batch * times * height * width, triton.cdiv(channels, block))](
        grad, lengths, out, times, height, width, channels, groups, rows, columns,
        HAS_LENGTHS=lengths is not None, FRAMES=frames, CELLS=cells, EVERY=every, BLOCK=block,
        num_warps=4,
    )  # fmt: skip
    return out
