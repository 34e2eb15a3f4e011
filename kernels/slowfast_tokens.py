"""LITA's fast and slow tokens of a video."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tvu.kernels.pool_tokens import pool_tokens


def slowfast_tokens(x: Tensor, slow_frames: Sequence[int], *, cells: int = 2) -> Tensor:
    """One fast token for every frame, and the pooled grid of a few (LITA, arXiv 2403.19046, section 3.2).

    x:           `[B, T, H, W, C]`, floating.
    slow_frames: which frames are also seen in space, indices into T.
    cells:       the slow frames are averaged over `cells` x `cells` places; partial ones at the edge over what is there
                 (the paper's 16 x 16 grid has none).

    Two reductions of PyTorch: a kernel that did both from one read was no faster than torch.compile, and is gone.

    Returns `[B, T + S * ceil(H / cells) * ceil(W / cells), C]` in the dtype of x, accumulated in float32: the fast
    tokens in the order of time, then the slow ones, frame-major, row-major.
    Raises ValueError for a slow frame outside the video.
    """
    if x.ndim != 5:
        raise ValueError(f"x is [B, T, H, W, C], not {tuple(x.shape)}")
    if not all(0 <= frame < x.shape[1] for frame in slow_frames):
        raise ValueError(f"slow frames {list(slow_frames)} are not all among {x.shape[1]} frames")
    fast = x.mean((2, 3), dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)
    if not slow_frames:
        return fast
    # One slice after another: a list of indices would be copied to the device, which no graph can capture.
    slow = pool_tokens(torch.stack([x[:, frame] for frame in slow_frames], dim=1), cells=cells)
    return torch.cat([fast, slow.flatten(1, 3)], dim=1)
