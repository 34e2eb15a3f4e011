"""Values that carry time."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a span is told without torch: the command line and `scout` use this module
    from torch import Tensor


@dataclass(frozen=True, order=True)
class Span:
    """A half-open stretch of a video, `[start_seconds, end_seconds)`, counted from the start of the file.

    Raises ValueError unless both are finite and start < end.
    """

    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_seconds) and math.isfinite(self.end_seconds)):
            raise ValueError(f"a span needs finite seconds, not {self.start_seconds}..{self.end_seconds}")
        if self.end_seconds <= self.start_seconds:
            raise ValueError(f"a span must end after it starts, not {self.start_seconds}..{self.end_seconds}")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end_seconds - self.start_seconds

    def __contains__(self, seconds: float) -> bool:
        return self.start_seconds <= seconds < self.end_seconds


@dataclass(frozen=True)
class VisualTokens:
    """What the model sees of B videos, every token with its time and its place.

    features: `[B, T, N, C]`, floating: T frames (or merged slots) of N tokens.
    spans:    `[B, T, 2]` float64, seconds: what frame t stands for, `[start, end)` from the start of the file. The
              tokens of one frame share it; a token that was pooled or merged from several has the union of theirs.
    grid:     `(rows, columns)` of one frame, row-major, rows * columns = N. A sequence whose tokens have spans of their
              own is T tokens on a `(1, 1)` grid: see `flatten`.
    sources:  `[B, T, N, 3]` float32: `(t, y, x)` of every token in the frames that the vision tower saw, in frames,
              rows and columns. Whole numbers for a token that was kept; the (weighted) mean for a pooled or merged one.
    lengths:  `[B]` int64, how many of the T are real; the rest is padding on the right, and means nothing.

    Raises ValueError if shapes or dtypes disagree.
    """

    features: "Tensor"
    spans: "Tensor"
    grid: tuple[int, int]
    sources: "Tensor"
    lengths: "Tensor"

    def __post_init__(self) -> None:
        if self.features.ndim != 4 or not self.features.is_floating_point():
            raise ValueError(f"features are floating [B, T, N, C], not {_told(self.features)}")
        batch, frames, tokens, _ = self.features.shape
        expected = {"spans": (batch, frames, 2), "sources": (batch, frames, tokens, 3), "lengths": (batch,)}
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(
                    f"{name} of features {_told(self.features)} are {shape}, not {_told(getattr(self, name))}"
                )
        for name, dtype in {"spans": "torch.float64", "sources": "torch.float32", "lengths": "torch.int64"}.items():
            if str(getattr(self, name).dtype) != dtype:
                raise ValueError(f"{name} are {dtype}, not {getattr(self, name).dtype}")
        if self.grid[0] * self.grid[1] != tokens:
            raise ValueError(f"a grid of {self.grid} does not hold {tokens} tokens")

    @classmethod
    def from_frames(
        cls, features: "Tensor", spans: "Tensor", grid: tuple[int, int], lengths: "Tensor | None" = None
    ) -> "VisualTokens":
        """Tokens as the vision tower gives them: frame t, row y, column x is its own source.

        features `[B, T, rows * columns, C]`, spans `[B, T, 2]` float64 seconds, lengths `[B]` int64 (all T if None).
        """
        import torch

        if features.ndim != 4:
            raise ValueError(f"features are [B, T, N, C], not {_told(features)}")
        batch, frames, _, _ = features.shape
        axes = [torch.arange(size, device=features.device, dtype=torch.float32) for size in (frames, *grid)]
        place = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # [T, rows, columns, 3]
        sources = place.flatten(1, 2).expand(batch, -1, -1, -1)
        if lengths is None:
            lengths = torch.full((batch,), frames, dtype=torch.int64, device=features.device)
        return cls(features, spans, grid, sources, lengths)

    @property
    def mask(self) -> "Tensor":
        """`[B, T]` bool: true where a frame is real."""
        import torch

        frames = torch.arange(self.features.shape[1], device=self.lengths.device)
        return frames < self.lengths[:, None]

    def flatten(self) -> "VisualTokens":
        """The same tokens as one sequence per video, frame-major: features `[B, T * N, 1, C]` on a (1, 1) grid."""
        batch, frames, tokens, channels = self.features.shape
        return VisualTokens(
            features=self.features.reshape(batch, frames * tokens, 1, channels),
            spans=self.spans.repeat_interleave(tokens, dim=1),
            grid=(1, 1),
            sources=self.sources.reshape(batch, frames * tokens, 1, 3),
            lengths=self.lengths * tokens,
        )


def _told(tensor: "Tensor") -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"
