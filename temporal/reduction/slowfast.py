"""LITA's video tokens: every frame coarsely, a few frames finely (SlowFast visual tokens, arXiv 2403.19046).

The published model joins 100 fast tokens (one a frame) and 4 slow frames of 8 x 8 tokens; the other layouts are those
its code offers. LITA projects every patch to the language model's width before it averages. The projection is affine
and an average commutes with it, so projecting the reduced tokens gives the same numbers with 72 times less work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tvu.temporal.reduction.means import (
    mean_of_frames,
    mean_over_blocks,
    mean_over_frames,
    num_groups,
    union_over_frames,
    without_padding,
)
from tvu.temporal.reduction.ragged import join
from tvu.temporal.types import VisualTokens


@dataclass(frozen=True)
class FrameMeans:
    """One token a frame, the mean of its cells: LITA's fast tokens. `[B, T, N, C]` to `[B, T, 1, C]`."""

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        features, sources = (mean_of_frames(x, tokens.lengths) for x in (tokens.features, tokens.sources))
        spans = without_padding(tokens.spans, tokens.lengths)
        return VisualTokens(features, spans, (1, 1), sources, tokens.lengths)


@dataclass(frozen=True)
class CellMeans:
    """One frame for the whole video, each cell the mean of that cell over time. `[B, T, N, C]` to `[B, 1, N, C]`."""

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        frames = tokens.features.shape[1]
        features, sources = (mean_over_frames(x, tokens.lengths, frames) for x in (tokens.features, tokens.sources))
        spans = union_over_frames(tokens.spans, tokens.lengths, frames)
        return VisualTokens(features, spans, tokens.grid, sources, tokens.lengths.clamp(max=1))


@dataclass(frozen=True)
class SlowFrames:
    """A few frames at even steps, their grids pooled: LITA's slow tokens. `[B, T, N, C]` to `[B, num_frames, N', C]`.

    num_frames: frames looked at finely, the first and the last among them; those of a video with fewer are repeated.
    cells:      each token is the mean of `cells` x `cells` patches. An odd grid keeps its edge as a mean of the patches
                there are, where the official code, which knows only 16 x 16, would drop it.

    Frame i of n is round(i (n - 1) / (num_frames - 1)), halves to even, counted in the real frames of each video.
    """

    num_frames: int = 4
    cells: int = 2

    def __post_init__(self) -> None:
        if self.num_frames < 2 or self.cells < 1:
            raise ValueError(f"slow frames are 2 or more, of cells counted from 1, not {self}")

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        last = (tokens.lengths - 1).clamp(min=0)
        step = last.double() / (self.num_frames - 1)
        index = (step[:, None] * torch.arange(self.num_frames, device=last.device)).round().long()
        video = torch.arange(index.shape[0], device=index.device)[:, None]
        lengths = torch.where(tokens.lengths > 0, self.num_frames, 0)
        features, sources = (
            mean_over_blocks(x[video, index], lengths, tokens.grid, cells=self.cells)
            for x in (tokens.features, tokens.sources)
        )
        rows, columns = (num_groups(side, self.cells) for side in tokens.grid)
        return VisualTokens(features, tokens.spans[video, index], (rows, columns), sources, lengths)


@dataclass(frozen=True)
class Joined:
    """Several views of the same video, one after the other in one flat sequence, each video without gaps."""

    parts: tuple[Callable[[VisualTokens], VisualTokens], ...]

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        return join([part(tokens) for part in self.parts])


def slow_fast(num_frames: int = 4, cells: int = 2) -> Joined:
    """LITA's published layout: every frame as one fast token, then the slow frames, by frame, row and column."""
    return Joined((FrameMeans(), SlowFrames(num_frames, cells)))


VIDEO_ARCHS: Mapping[str, Callable[[VisualTokens], VisualTokens]] = {
    "temporal": FrameMeans(),
    "spatial": CellMeans(),
    "temporal_spatial": Joined((FrameMeans(), CellMeans())),
    "spatial_pool": SlowFrames(),
    "temporal_spatial_pool": slow_fast(),
}
"""What `video_arch` of a LITA checkpoint's config.json names; the published one says `temporal_spatial_pool`."""
