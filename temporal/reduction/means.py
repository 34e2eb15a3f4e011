"""Means and unions over runs of frames and blocks of cells: plain functions on tensors.

Every mean is over what is there: a last group of frames that is cut short, or a cell at the edge of an odd grid, counts
the tokens it has and no padding. Sums are kept in float32 for half-precision inputs and given back in their dtype.
Frames at or past `lengths` are never looked at (they may hold NaN, and get no gradient), and come back as zeros.
"""

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tvu.kernels.pool_tokens import pool_tokens

Length = TypeVar("Length", int, Tensor)


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """`[B, frames]` bool: true where a frame is real, for `lengths [B]`."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def without_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """`x [B, T, ...]` with zeros at and past each of `lengths [B]`."""
    mask = frame_mask(lengths, x.shape[1])
    return torch.where(mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), x, 0)


def num_groups(length: Length, size: int) -> Length:
    """How many groups of `size` hold `length` things, the last one perhaps cut short."""
    return -(-length // size)


def mean_over_blocks(
    x: Tensor, lengths: Tensor, grid: tuple[int, int], *, frames: int = 1, cells: int = 1, every: int = 1
) -> Tensor:
    """Mean of each block of `frames` frames by `cells` x `cells` cells, of every `every`-th run of frames.

    x `[B, T, rows * columns, C]`, lengths `[B]`, grid `(rows, columns)`. Returns
    `[B, ceil(ceil(T / frames) / every), ceil(rows / cells) * ceil(columns / cells), C]`.
    """
    pooled = pool_tokens(x.unflatten(2, grid), lengths, frames=frames, cells=cells, every=every)
    return pooled.flatten(2, 3)


def mean_over_frames(x: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """Mean of each run of `frames` frames: `[B, T, N, C]` to `[B, ceil(T / frames), N, C]`."""
    return mean_over_blocks(x, lengths, (1, x.shape[2]), frames=frames)


def mean_of_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean of all cells of each frame: `[B, T, N, C]` to `[B, T, 1, C]`."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    return without_padding(x, lengths).mean(dim=2, keepdim=True, dtype=dtype).to(x.dtype)


def union_over_frames(spans: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """The smallest span that covers each run of `frames` frames.

    spans `[B, T, 2]` seconds. Returns `[B, ceil(T / frames), 2]`, zeros where there is no real frame.
    """
    groups = num_groups(spans.shape[1], frames)
    short = groups * frames - spans.shape[1]
    real = F.pad(frame_mask(lengths, spans.shape[1]), (0, short)).unflatten(1, (groups, frames))
    runs = F.pad(spans, (0, 0, 0, short)).unflatten(1, (groups, frames))
    starts = runs[..., 0].masked_fill(~real, torch.inf).amin(dim=2)
    ends = runs[..., 1].masked_fill(~real, -torch.inf).amax(dim=2)
    return torch.where(real.any(dim=2)[..., None], torch.stack([starts, ends], dim=-1), 0)
