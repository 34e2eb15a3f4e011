"""Mean over k frames and p x p cells, optionally of every s-th group only, from one read."""

import torch
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton
from tvu.kernels.frame_similarity import frame_similarity_plain


def pool_tokens(x: Tensor, lengths: Tensor | None = None, *, frames: int = 1, cells: int = 1, every: int = 1) -> Tensor:
    """The mean of each group of `frames` frames and `cells` x `cells` places (STORM, arXiv 2503.04130, section 3.3).

    x:       `[B, T, H, W, C]`, floating.
    lengths: `[B]` int64, real frames of each video (all T if None); the others are not read.
    every:   keep one group of frames in `every`, the first of each run (the paper's temporal sampling).

    Returns `[B, ceil(ceil(T / frames) / every), ceil(H / cells), ceil(W / cells), C]` in the dtype of x, accumulated in
    float32 (float64 for float64). Groups at the end of a video or of the grid that are not full are the mean of what is
    there; groups without a real frame are zero. Where the paper's sizes divide, nothing differs from it.
    Raises ValueError unless frames, cells and every are positive.
    """
    _check(x, frames, cells, every)
    if runs_on_triton(x):
        from tvu.kernels.pool_tokens_triton import PoolTokens

        return PoolTokens.apply(x, lengths, frames, cells, every)
    if lengths is not None and bool((lengths >= x.shape[1]).all()):
        lengths = None  # on a CPU it costs nothing to ask, and masking a video copies it
    return pool_tokens_plain(x, lengths, frames=frames, cells=cells, every=every)


def pool_tokens_plain(
    x: Tensor, lengths: Tensor | None = None, *, frames: int = 1, cells: int = 1, every: int = 1
) -> Tensor:
    """The specification of `pool_tokens`: pad to whole groups, sum, divide by how many were real."""
    _check(x, frames, cells, every)
    batch, times, rows, columns, channels = x.shape
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    real = torch.ones(batch, times, rows, columns, dtype=torch.bool, device=x.device)
    if lengths is not None:
        real &= (torch.arange(times, device=x.device) < lengths[:, None])[:, :, None, None]
        wide = wide.masked_fill(~real[..., None], 0)  # NaN in padding too
    missing = (-columns % cells, -rows % cells, -times % frames)
    padding = [0, missing[0], 0, missing[1], 0, missing[2]]
    sizes = ((times + missing[2]) // frames, (rows + missing[1]) // cells, (columns + missing[0]) // cells)
    groups = (batch, sizes[0], frames, sizes[1], cells, sizes[2], cells)
    if any(missing):
        wide = torch.nn.functional.pad(wide, [0, 0, *padding])
    total = wide.reshape(*groups, channels)[:, ::every].sum((2, 4, 6))
    count = torch.nn.functional.pad(real, padding).reshape(groups)[:, ::every].sum((2, 4, 6))
    return (total / count.clamp(min=1)[..., None]).to(x.dtype)


def pool_and_compare(x: Tensor, *, frames: int = 1, cells: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled tokens, and what tells which of the unpooled ones changed, from one read.

    x: `[B, T, H, W, C]`, floating. Returns `pool_tokens(x, frames=frames, cells=cells)`, which gives a gradient; and,
    both `[B, T, H, W]` float32 (float64 for float64) without one, the cosine of each token to the same place of the
    previous frame as in `frame_similarity`, and its Euclidean norm.
    Raises ValueError unless frames and cells are positive.
    """
    _check(x, frames, cells, 1)
    if runs_on_triton(x):
        from tvu.kernels.pool_tokens_triton import PoolAndCompare

        return PoolAndCompare.apply(x, frames, cells)
    return pool_and_compare_plain(x, frames=frames, cells=cells)


def pool_and_compare_plain(x: Tensor, *, frames: int = 1, cells: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """The specification of `pool_and_compare`."""
    similarity = frame_similarity_plain(x.flatten(2, 3)).unflatten(2, x.shape[2:4])
    norms = x.detach().to(similarity.dtype).norm(dim=-1)
    return pool_tokens_plain(x, frames=frames, cells=cells), similarity, norms


def _check(x: Tensor, frames: int, cells: int, every: int) -> None:
    if x.ndim != 5:
        raise ValueError(f"x is [B, T, H, W, C], not {tuple(x.shape)}")
    if min(frames, cells, every) < 1:
        raise ValueError(f"frames, cells and every are at least 1, not {frames}, {cells}, {every}")
