"""The kernels behind `gated_norm` and `gated_norm_pool`: one program holds the channels of one mean square.

The plain norm is pooling of one token a cell.
"""

# mypy: allow-untyped-defs

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS_PER_WARP = 1024
CHANNELS_PER_WARP_BACKWARD = 512
PROGRAMS = 1024  # of the backward pass: each sums the weight's gradient of its share of rows


@dataclass(frozen=True)
class Pooling:
    """Rows as videos `[B, T, H, W]`, of which every `every`-th group of `frames` frames is kept, by cells."""

    shape: tuple[int, int, int, int]
    frames: int = 1
    cells: int = 1
    every: int = 1

    @property
    def pooled(self) -> tuple[int, int, int]:
        """Groups that are kept, and the grid that is left."""
        _, times, height, width = self.shape
        kept = triton.cdiv(triton.cdiv(times, self.frames), self.every)
        return kept, triton.cdiv(height, self.cells), triton.cdiv(width, self.cells)

    @property
    def constants(self) -> dict[str, int]:
        return {"FRAMES": self.frames, "CELLS": self.cells, "EVERY": self.every}


@triton.jit
def _gated(x, z, channel, inside, C, eps, GATE_LAST: tl.constexpr):
    """One row, gated and normed, but for the weight."""
    value = tl.load(x + channel, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(z + channel, mask=inside, other=0.0).to(tl.float32)
    gate = gate / (1.0 + tl.exp(-gate))
    if not GATE_LAST:
        value *= gate
    value *= tl.rsqrt(tl.sum(value * value) / C + eps)
    if GATE_LAST:
        value *= gate
    return value


@triton.jit
def _normalise(
    x, z, weight, lengths, out, C, groups, stride_x, stride_z, T, H, W, kept, rows, columns, eps,
    HAS_LENGTHS: tl.constexpr, GATE_LAST: tl.constexpr,
    FRAMES: tl.constexpr, CELLS: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: one cell of one group of channels."""
    cell, group = (tl.program_id(0) // groups).to(tl.int64), tl.program_id(0) % groups
    channel = tl.arange(0, BLOCK)
    first = group * C
    column, row = cell % columns, cell // columns % rows
    run, video = cell // (columns * rows) % kept * EVERY, cell // (columns * rows * kept)
    real = T
    if HAS_LENGTHS:
        real = tl.minimum(tl.load(lengths + video), T)
    x += first
    z += first
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for member in range(FRAMES * CELLS * CELLS):
        t = run * FRAMES + member // (CELLS * CELLS)
        y = row * CELLS + member // CELLS % CELLS
        at = column * CELLS + member % CELLS
        limit = tl.where((t < real) & (y < H) & (at < W), C, 0)
        token = ((video * T + t) * H + y) * W + at
        total += _gated(x + token * stride_x, z + token * stride_z, channel, channel < limit, C, eps, GATE_LAST)
    count = tl.maximum(tl.minimum(real - run * FRAMES, FRAMES), 1)  # a cell with no real frame is zero
    count *= tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
    w = tl.load(weight + first + channel, mask=channel < C, other=0.0).to(tl.float32)
    tl.store(out + cell * (groups * C) + first + channel, total / count.to(tl.float32) * w, mask=channel < C)


@triton.jit
def _gradients(
    x, z, weight, lengths, grad, grad_x, grad_z, grad_weight, tokens, C, groups, stride_x, stride_z, stride_g,
    T, H, W, kept, rows, columns, eps,
    HAS_LENGTHS: tl.constexpr, GATE_LAST: tl.constexpr,
    FRAMES: tl.constexpr, CELLS: tl.constexpr, EVERY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: a run of tokens of one group; the statistics are computed again."""
    program, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel = tl.arange(0, BLOCK)
    inside, first = channel < C, group * C
    w = tl.load(weight + first + channel, mask=inside, other=0.0).to(tl.float32)
    sum_weight = tl.zeros([BLOCK], dtype=tl.float32)
    for token in range(program, tokens, tl.num_programs(0)):
        t, video = token // (H * W) % T, token // (H * W * T)
        run, row, column = t // FRAMES, token // W % H // CELLS, token % W // CELLS
        real = T
        if HAS_LENGTHS:
            real = tl.minimum(tl.load(lengths + video), T)
        seen = inside & (t < real) & (run % EVERY == 0)
        count = tl.maximum(tl.minimum(real - run * FRAMES, FRAMES), 1)
        count *= tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
        cell = ((video * kept + run // EVERY) * rows + row) * columns + column
        a = tl.load(x + token * stride_x + first + channel, mask=seen, other=0.0).to(tl.float32)
        b = tl.load(z + token * stride_z + first + channel, mask=seen, other=0.0).to(tl.float32)
        dy = tl.load(grad + cell * stride_g + first + channel, mask=seen, other=0.0).to(tl.float32)
        dy /= count.to(tl.float32)
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
        address = token * (groups * C) + first + channel
        tl.store(grad_x + address, to_x, mask=inside)
        tl.store(grad_z + address, to_z, mask=inside)
    tl.store(grad_weight + program * (groups * C) + first + channel, sum_weight, mask=inside)


class GatedNorm(torch.autograd.Function):
    """`gated_norm` and `gated_norm_pool` with their gradients; leading dimensions that are one run of rows, as cuts of
    a projection are, are not copied.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        z: Tensor,
        eps: float,
        group_size: int,
        gate_last: bool,
        lengths: Tensor | None = None,
        pooling: Pooling | None = None,
    ) -> Tensor:
        """Without a pooling the result has the shape of x; with one it is `[B, groups, rows, columns, C]`."""
        rows, gates = _rows(x), _rows(z)
        blocks = pooling or Pooling((rows.shape[0], 1, 1, 1))
        ctx.save_for_backward(x, weight, z, lengths)
        ctx.settings = (eps, group_size, gate_last, blocks)
        shape = x.shape if pooling is None else (blocks.shape[0], *blocks.pooled, x.shape[-1])
        out = torch.empty(shape, dtype=x.dtype, device=x.device)
        groups = x.shape[-1] // group_size
        block = triton.next_power_of_2(group_size)
        _normalise[(out.numel() // group_size,)](
            rows, gates, weight.contiguous(), lengths, out, group_size, groups, rows.stride(0), gates.stride(0),
            *blocks.shape[1:], *blocks.pooled, eps,
            HAS_LENGTHS=lengths is not None, GATE_LAST=gate_last, **blocks.constants, BLOCK=block,
            num_warps=max(1, min(8, block // CHANNELS_PER_WARP)),
        )  # fmt: skip
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, z, lengths = ctx.saved_tensors
        eps, group_size, gate_last, blocks = ctx.settings
        rows, gates, grad = _rows(x), _rows(z), _rows(grads[0])
        groups, programs = x.shape[-1] // group_size, min(PROGRAMS, rows.shape[0])
        grad_x, grad_z = (torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (x, z))
        grad_weight = x.new_empty(programs, x.shape[-1], dtype=torch.float32)
        block = triton.next_power_of_2(group_size)
        _gradients[(programs, groups)](
            rows, gates, weight.contiguous(), lengths, grad, grad_x, grad_z, grad_weight, rows.shape[0], group_size,
            groups, rows.stride(0), gates.stride(0), grad.stride(0), *blocks.shape[1:], *blocks.pooled, eps,
            HAS_LENGTHS=lengths is not None, GATE_LAST=gate_last, **blocks.constants, BLOCK=block,
            num_warps=max(1, min(16, block // CHANNELS_PER_WARP_BACKWARD)),
        )  # fmt: skip
        return grad_x, grad_weight.sum(0).to(weight.dtype), grad_z, None, None, None, None, None


def _rows(tensor: Tensor) -> Tensor:
    """`[..., C]` as `[rows, C]` with channels beside each other."""
    tensor = tensor.reshape(-1, tensor.shape[-1])
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
