"""Positions in time, height and width of a prompt with a video (M-RoPE), with true times on the axis of time."""

from collections.abc import Sequence

import torch
from torch import Tensor


def rotary_positions(
    is_visual: Tensor, grids: Sequence[tuple[int, int, int]], steps: Sequence[Sequence[int]]
) -> Tensor:
    """Positions int64 `[3, L]` of time, row and column (Wang et al. 2024, arXiv 2409.12191, section 2.1).

    is_visual: bool `[L]`, where visual tokens stand; each unbroken run of them is one grid.
    grids:     `(T, rows, columns)` of each run, in tokens.
    steps:     for each run, how far each of its T steps lies behind the first position of the run.

    Text has the same number on all axes; what follows a grid begins behind the largest number in it, as in the
    published models; transformers 5.17 and 5.24 begin behind its rows and columns alone, so that text shares positions
    with the later frames of a long video, and 5.17 cuts the interval of Qwen2.5-VL's frames to whole seconds.

    Raises ValueError where runs and grids do not fit each other.
    """
    parts: list[Tensor] = []
    at = 0
    flags = is_visual.long()
    edges = torch.nonzero(torch.diff(flags, prepend=flags.new_zeros(1), append=flags.new_zeros(1))).flatten().tolist()
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    if len(runs) != len(grids) or len(grids) != len(steps):
        raise ValueError(f"{len(runs)} runs of visual tokens, {len(grids)} grids, {len(steps)} lists of steps")
    done = 0
    for (start, end), (frames, rows, columns), ahead in zip(runs, grids, steps, strict=True):
        if end - start != frames * rows * columns or len(ahead) != frames:
            raise ValueError(f"{end - start} visual tokens for a grid of {frames}x{rows}x{columns}")
        parts.append(torch.arange(at, at + start - done).expand(3, -1))
        at += start - done
        axes = torch.meshgrid(torch.tensor(ahead), torch.arange(rows), torch.arange(columns), indexing="ij")
        parts.append(torch.stack(axes).reshape(3, -1) + at)
        at = int(parts[-1].max()) + 1
        done = end
    parts.append(torch.arange(at, at + len(is_visual) - done).expand(3, -1))
    return torch.cat(parts, dim=1)
