"""Keep what changed: tokens that look like the same place one frame earlier go first (EVS, arXiv 2510.14624)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tvu.kernels.frame_similarity import frame_similarity
from tvu.temporal.reduction.means import frame_mask
from tvu.temporal.reduction.ragged import pack
from tvu.temporal.types import VisualTokens

SAME = 2.0**-20
"""Cosines closer than this are a tie: the rounding of a device must not say which of two still tokens changed more."""


@dataclass(frozen=True)
class KeepChanged:
    """The tokens least like their predecessor, as many as the budget allows, in their order.

    dropped: q, the share of a video's tokens to drop, in [0, 1). T frames of N tokens keep max(N, int(T N (1 - q))).

    Tokens are ranked over the whole video by the cosine to the token at the same place of the previous frame, as
    serving engines do on the embeddings that the language model sees (the paper compares pixels). The first frame is
    kept whole; on a tie the earlier token stays. A kept token keeps its own span and source: where a place did not
    change its earlier token speaks for the time in between, but its span does not grow.

    `[B, T, N, C]` becomes a flat sequence `[B, budget of T, 1, C]`; a shorter video has its own budget and the rest is
    padding. Sizes follow from shapes alone: no device is waited for.
    """

    dropped: float = 0.75

    def __post_init__(self) -> None:
        if not 0 <= self.dropped < 1:
            raise ValueError(f"the dropped share is in [0, 1), not {self.dropped}")

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        frames, cells = tokens.features.shape[1:3]
        size = max(cells, int(frames * cells * (1 - self.dropped)))
        counts = tokens.lengths * cells
        budgets = (counts.double() * (1 - self.dropped)).long().clamp(min=cells).minimum(counts)
        similarity = (frame_similarity(tokens.features).flatten(1) / SAME).round()
        order = torch.where(frame_mask(counts, frames * cells), similarity, torch.inf).sort(dim=1, stable=True).indices
        return pack(tokens.flatten(), at_places(frame_mask(budgets, frames * cells), order), size)


def at_places(ranked: Tensor, order: Tensor) -> Tensor:
    """What `ranked [B, L]` says of the best, second, ... put back to where `order [B, L]` found them."""
    return torch.empty_like(ranked).scatter(1, order, ranked)
