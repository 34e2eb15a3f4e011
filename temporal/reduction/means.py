"""Means of runs of frames and of blocks of cells: plain functions on tensors, each one pass over what it reads.

Every mean is over what is there: a last group of frames that is cut short, or a cell at the edge of an odd grid, counts
the tokens it has and no padding. Sums are kept in float32 for half-precision inputs and given back in their dtype.
Frames at or past `lengths` are never looked at (they may hold NaN, and get no gradient), and come back as zeros.
"""

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

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


def mean_over_frames(x: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """Mean of each run of `frames` frames (STORM, arXiv 2503.04130, temporal pooling).

    x `[B, T, N, C]`, lengths `[B]`. Returns `[B, ceil(T / frames), N, C]`, of which ceil(lengths / frames) are real.
    """
    groups = num_groups(x.shape[1], frames)
    starts = torch.arange(groups, device=lengths.device) * frames
    counts = (lengths[:, None] - starts).clamp(1, frames)  # a group of padding alone divides its zeros by one
    padded = F.pad(without_padding(x, lengths), (0, 0, 0, 0, 0, groups * frames - x.shape[1]))
    sums = padded.unflatten(1, (groups, frames)).sum(dim=2, dtype=sum_dtype(x))
    return (sums / counts[:, :, None, None]).to(x.dtype)


def mean_over_cells(x: Tensor, lengths: Tensor, grid: tuple[int, int], cells: int) -> Tensor:
    """Mean of each `cells` x `cells` block of the grid (STORM spatial pooling; 2 in LITA's slow frames).

    x `[B, T, rows * columns, C]`, grid `(rows, columns)`. Returns
    `[B, T, ceil(rows / cells) * ceil(columns / cells), C]`. A block at the edge of a grid that `cells` does not divide
    is the mean of the cells it has, where `avg_pool2d` would drop them.
    """
    rows, columns = (num_groups(side, cells) for side in grid)
    heights = (grid[0] - torch.arange(rows, device=x.device) * cells).clamp(max=cells)
    widths = (grid[1] - torch.arange(columns, device=x.device) * cells).clamp(max=cells)
    counts = (heights[:, None] * widths).flatten()
    on_grid = without_padding(x, lengths).unflatten(2, grid)
    padded = F.pad(on_grid, (0, 0, 0, columns * cells - grid[1], 0, rows * cells - grid[0]))
    blocks = padded.unflatten(3, (columns, cells)).unflatten(2, (rows, cells))  # [B, T, rows, cells, columns, cells, C]
    return (blocks.sum(dim=(3, 5), dtype=sum_dtype(x)).flatten(2, 3) / counts[:, None]).to(x.dtype)


def mean_of_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean of all cells of each frame: `[B, T, N, C]` to `[B, T, 1, C]`."""
    return without_padding(x, lengths).mean(dim=2, keepdim=True, dtype=sum_dtype(x)).to(x.dtype)


def mean_over_blocks(x: Tensor, lengths: Tensor, grid: tuple[int, int], frames: int, cells: int) -> Tensor:
    """Mean of each block of `frames` frames by `cells` x `cells` cells, shapes as the two means above, one inside the
    other: frames and cells of a block form a box, so the mean of its means is its mean."""
    if cells > 1:
        x = mean_over_cells(x, lengths, grid, cells)
    return mean_over_frames(x, lengths, frames) if frames > 1 else without_padding(x, lengths)


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


def sum_dtype(x: Tensor) -> torch.dtype:
    """The dtype that sums of `x` are kept in: float32, or float64 for float64."""
    return torch.promote_types(x.dtype, torch.float32)
