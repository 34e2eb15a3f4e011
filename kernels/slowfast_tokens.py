"""LITA's fast and slow tokens of a video."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tvu.kernels.dispatch import runs_on_triton
from tvu.kernels.pool_tokens import pool_tokens_plain


def slowfast_tokens(x: Tensor, slow_frames: Sequence[int], *, cells: int = 2) -> Tensor:
    """One fast token for every frame, and the pooled grid of a few (LITA, arXiv 2403.19046, section 3.2).

    x:           `[B, T, H, W, C]`, floating.
    slow_frames: which frames are also seen in space, indices into T.
    cells:       the slow frames are averaged over `cells` x `cells` places; partial ones at the edge over what is there
                 (the paper's 16 x 16 grid has none).

    Returns `[B, T + S * ceil(H / cells) * ceil(W / cells), C]` in the dtype of x, accumulated in float32: the fast
    tokens in the order of time, then the slow ones, frame-major, row-major.
    Raises ValueError for a slow frame outside the video.
    """
    if x.ndim != 5:
        raise ValueError(f"x is [B, T, H, W, C], not {tuple(x.shape)}")
    if not all(0 <= frame < x.shape[1] for frame in slow_frames):
        raise ValueError(f"slow frames {list(slow_frames)} are not all among {x.shape[1]} frames")
    if runs_on_triton(x):
        from tvu.kernels.slowfast_tokens_triton import SlowFastTokens

        return SlowFastTokens.apply(x, tuple(slow_frames), cells)
    return slowfast_tokens_plain(x, slow_frames, cells=cells)


def slowfast_tokens_plain(x: Tensor, slow_frames: Sequence[int], *, cells: int = 2) -> Tensor:
    """The specification of `slowfast_tokens`."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    fast = wide.mean((2, 3))
    slow = pool_tokens_plain(wide[:, list(slow_frames)], cells=cells)
    return torch.cat([fast, slow.flatten(1, 3)], dim=1).to(x.dtype)
