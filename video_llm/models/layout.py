"""How many visual rows a video becomes, and what time each stands for, before anything is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from tvu.temporal.reduction.means import num_groups
from tvu.temporal.reduction.ragged import join
from tvu.temporal.squeezetime.snippets import snippet_frames
from tvu.temporal.types import VisualTokens
from tvu.video_llm.models.parts import PLAIN_REDUCTIONS, Told, squeezetime_config

TIMELESS = ("keep_changed", "merge_similar", "slots", "cross_attention_slots")
"""Reductions whose tokens have times that depend on what is seen."""


@dataclass(frozen=True)
class TokenLayout:
    """What a model makes of the tokens of its vision tower.

    grid:           (rows, columns) of a frame as the tower gives them.
    space_to_depth: whether the projector puts 2 x 2 tokens side by side; project_first: before the reductions or after.
    reductions:     as in the config. fast_path: as in the config; None: there is none.
    """

    grid: tuple[int, int]
    space_to_depth: bool = False
    project_first: bool = True
    reductions: Sequence[Told] = ()
    fast_path: Told | None = None

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "TokenLayout":
        """From the plain values of `processor_config.json`."""
        return cls(**{**told, "grid": tuple(told["grid"])})

    def row_spans(self, frame_spans: Tensor, fast_spans: Tensor | None = None) -> Tensor:
        """`[R, 2]` float64 seconds: the span of every visual row in its order, NaN where that depends on the content.

        frame_spans: `[T, 2]` float64; fast_spans: `[F, 2]`, of the frames of the fast path where there is one.
        """
        frames, cells = len(frame_spans), self.grid[0] * self.grid[1]
        tokens = VisualTokens.from_frames(torch.zeros(1, frames, cells, 1), frame_spans[None], self.grid)
        if self.space_to_depth and self.project_first:
            tokens = _halved(tokens)
        for told in self.reductions:
            tokens = _planned(told, tokens)
        if self.space_to_depth and not self.project_first:
            tokens = _halved(tokens)
        if self.fast_path is not None and fast_spans is not None:
            tokens = join([tokens, _snippets(self.fast_path, fast_spans)])
        return tokens.flatten().spans[0]

    def num_visual_tokens(self, num_frames: int, num_fast_frames: int | None = None) -> int:
        """How many rows a video of `num_frames` becomes, with `num_fast_frames` for the fast path."""
        fast = None if num_fast_frames is None else torch.zeros(num_fast_frames, 2, dtype=torch.float64)
        return len(self.row_spans(torch.zeros(num_frames, 2, dtype=torch.float64), fast))

    def groups(self, row_spans: Tensor) -> list[tuple[float, int]]:
        """`(start_seconds, rows)` of each run of rows that share a span. Raises ValueError where one is not known."""
        if row_spans.isnan().any():
            raise ValueError(f"times cannot be written before tokens of {', '.join(TIMELESS)}: they are not known yet")
        return [(start, len(list(run))) for (start, _), run in groupby(map(tuple, row_spans.tolist()))]


def _planned(told: Told, tokens: VisualTokens) -> VisualTokens:
    """What a reduction does to shapes and spans; features are one channel of zeros."""
    name, fields = told["name"], {key: value for key, value in told.items() if key != "name"}
    _, frames, cells, _ = tokens.features.shape
    if name == "shuffle":
        left, rest = divmod(cells, fields.get("merge_len", 4))
        if rest:
            raise ValueError(f"{cells} tokens a frame are not groups of {fields.get('merge_len', 4)}")
        return replace(
            tokens, features=tokens.features[:, :, :left], sources=tokens.sources[:, :, :left], grid=(1, left)
        )
    if name == "merge_similar":
        run = min(fields.get("frames") or frames, frames)
        sizes = [min(run, frames - start) * cells for start in range(0, frames, run)]
        return _timeless(sum(min(size, fields["budget"]) for size in sizes))
    if name in TIMELESS:
        if name == "keep_changed":
            return _timeless(PLAIN_REDUCTIONS[name](**fields)(tokens).features.shape[1])
        return _timeless(fields["num_slots"])
    return PLAIN_REDUCTIONS[name](**fields)(tokens)


def _timeless(size: int) -> VisualTokens:
    spans = torch.full((1, size, 2), torch.nan, dtype=torch.float64)
    return VisualTokens.from_frames(torch.zeros(1, size, 1, 1), spans, (1, 1))


def _halved(tokens: VisualTokens) -> VisualTokens:
    if tokens.grid == (1, 1):
        raise ValueError("a flat sequence has no neighbours to put side by side: project first")
    rows, columns = (num_groups(side, 2) for side in tokens.grid)
    features, sources = (x[:, :, : rows * columns] for x in (tokens.features, tokens.sources))
    return replace(tokens, features=features, sources=sources, grid=(rows, columns))


def _snippets(fast_path: Told, spans: Tensor) -> VisualTokens:
    length = squeezetime_config(fast_path["network"]).num_frames
    chosen = spans[snippet_frames(len(spans), length, fast_path.get("hop") or length)]  # [S, length, 2]
    of_snippets = torch.stack([chosen[..., 0].amin(-1), chosen[..., 1].amax(-1)], dim=-1)[None]
    grid = tuple(fast_path.get("grid", (1, 1)))
    return VisualTokens.from_frames(torch.zeros(1, len(chosen), grid[0] * grid[1], 1), of_snippets, (grid[0], grid[1]))
