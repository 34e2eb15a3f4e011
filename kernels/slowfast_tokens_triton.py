"""The kernel behind `slowfast_tokens`: one launch whose first programs average frames and whose last ones cells."""

# mypy: allow-untyped-defs

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

WARPS = 1
ROWS = 8  # tokens that a program has in flight


@triton.jit
def _slowfast(
    x, slow, out, T, H, W, C, num_slow, rows, columns, fast_programs,
    ROWS: tl.constexpr, CELLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A fast program averages one frame; a slow one reads its cells again, a few percent of the whole."""
    program = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    per_video = T + num_slow * rows * columns
    if program < fast_programs:
        frame = x + program * (H * W) * C
        lane = tl.arange(0, ROWS)
        total = tl.zeros([ROWS, BLOCK], dtype=tl.float32)
        for first in range(0, H * W, ROWS):
            token = (first + lane).to(tl.int64)
            there = (token < H * W)[:, None] & (channel < C)[None, :]
            total += tl.load(frame + token[:, None] * C + channel[None, :], mask=there, other=0.0).to(tl.float32)
        mean = tl.sum(total, axis=0) / (H * W)
        place = program // T * per_video + program % T
        tl.store(out + place * C + channel, mean, mask=channel < C)
    else:
        cell = program - fast_programs
        column = cell % columns
        row = cell // columns % rows
        index = cell // (columns * rows) % num_slow
        video = cell // (columns * rows * num_slow)
        frame_index = video * T + tl.load(slow + index)
        sum_of_cell = tl.zeros([BLOCK], dtype=tl.float32)
        for i in tl.static_range(CELLS):
            y = row * CELLS + i
            for j in tl.static_range(CELLS):
                at = column * CELLS + j
                limit = tl.where((y < H) & (at < W), C, 0)
                address = x + ((frame_index * H + y) * W + at) * C
                sum_of_cell += tl.load(address + channel, mask=channel < limit, other=0.0).to(tl.float32)
        count = tl.minimum(H - row * CELLS, CELLS) * tl.minimum(W - column * CELLS, CELLS)
        place = video * per_video + T + cell % (num_slow * rows * columns)
        tl.store(out + place * C + channel, sum_of_cell / count.to(tl.float32), mask=channel < C)


@cache
def _on(device: torch.device, frames: tuple[int, ...]) -> Tensor:
    """Kept, since a copy from the host cannot be captured in a graph."""
    return torch.tensor(frames, dtype=torch.int64, device=device)


class SlowFastTokens(torch.autograd.Function):
    """`slowfast_tokens`; its gradient is plain PyTorch, which is one write of the size of x as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slow_frames: tuple[int, ...], cells: int) -> Tensor:
        x = x.contiguous()
        batch, times, height, width, channels = x.shape
        rows, columns = triton.cdiv(height, cells), triton.cdiv(width, cells)
        slow = _on(x.device, slow_frames)
        out = x.new_empty(batch, times + len(slow_frames) * rows * columns, channels)
        ctx.settings = (x.shape, slow_frames, cells)
        block = min(triton.next_power_of_2(channels), 128)
        programs = batch * out.shape[1]
        _slowfast[(programs, triton.cdiv(channels, block))](
            x, slow, out, times, height, width, channels, len(slow_frames), rows, columns, batch * times,
            ROWS=ROWS, CELLS=cells, BLOCK=block, num_warps=WARPS,
        )  # fmt: skip
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (batch, times, height, width, channels), slow_frames, cells = ctx.settings
        fast, slow = grads[0].split([times, grads[0].shape[1] - times], dim=1)
        out = (fast / (height * width))[:, :, None, None].expand(-1, -1, height, width, -1).contiguous()
        rows, columns = triton.cdiv(height, cells), triton.cdiv(width, cells)
        grid = slow.reshape(batch, len(slow_frames), rows, columns, channels)
        tall = torch.full((rows, 1), cells, device=out.device)
        tall[-1] = height - (rows - 1) * cells
        wide = torch.full((1, columns), cells, device=out.device)
        wide[:, -1] = width - (columns - 1) * cells
        spread = (grid / (tall * wide)[..., None]).repeat_interleave(cells, 2).repeat_interleave(cells, 3)
        for index, frame in enumerate(slow_frames):  # a frame that is slow twice gets both
            out[:, frame] += spread[:, index, :height, :width]
        return out, None, None
