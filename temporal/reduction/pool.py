"""Fewer tokens by averaging neighbours and by skipping frames (STORM, arXiv 2503.04130)."""

from dataclasses import dataclass

from tvu.temporal.reduction.means import mean_over_blocks, num_groups, union_over_frames
from tvu.temporal.types import VisualTokens


@dataclass(frozen=True)
class PoolTokens:
    """Mean over `frames` consecutive frames and `cells` x `cells` cells, then every `every`-th frame of the result.

    frames: k of the paper's temporal pooling; 1 leaves time alone.
    cells:  p of its spatial pooling, on each side; 1 leaves the grid alone.
    every:  s of its sampling at test time; 1 keeps all.

    A pooled token has the union of its frames' spans and the mean of their sources, so that pooled spans tile whatever
    the frames tiled; a frame that sampling skips is seen by nobody, and its time is not claimed by its neighbour. The
    last group of a video and the edge of an odd grid are means of what is there: nothing is dropped, nothing repeated.
    """

    frames: int = 1
    cells: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        if min(self.frames, self.cells, self.every) < 1:
            raise ValueError(f"pooling counts from 1, not {self}")

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        if tokens.grid == (1, 1) and self.cells > 1:
            raise ValueError("a flat sequence has no cells to pool; pool before flattening")
        features, sources = (
            mean_over_blocks(x, tokens.lengths, tokens.grid, frames=self.frames, cells=self.cells, every=self.every)
            for x in (tokens.features, tokens.sources)
        )
        spans = union_over_frames(tokens.spans, tokens.lengths, self.frames)[:, :: self.every]
        rows, columns = (num_groups(side, self.cells) for side in tokens.grid)
        lengths = num_groups(num_groups(tokens.lengths, self.frames), self.every)
        return VisualTokens(features, spans, (rows, columns), sources, lengths)
