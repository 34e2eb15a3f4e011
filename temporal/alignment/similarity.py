"""What every aligner ends in: unit vectors of texts and of frames, their cosines, and what padding may not say."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.07
"""Cosines are divided by it before any softmax (NSVA and TAN alike)."""

MASKED = -6e4
"""The logit of what must not be chosen: its exponential is zero, and float16 still holds it."""


@dataclass(frozen=True)
class UnitVectors:
    """Texts and video in the space where their cosine is their similarity, once for each of L layers.

    text:  `[L, B, S, D]`, norm 1.
    video: `[L, B, T, D]`, norm 1; where layers share it, an expanded view.
    """

    text: Tensor
    video: Tensor

    def cosine(self) -> Tensor:
        """`[L, B, S, T]` in [-1, 1]: every text against the frames of its own video."""
        return self.text @ self.video.transpose(-1, -2)

    def cosine_across_batch(self) -> Tensor:
        """`[L, B * S, B * T]`: every text of the batch against every frame of the batch, what the losses compare."""
        return self.text.flatten(1, 2) @ self.video.flatten(1, 2).transpose(-1, -2)


def unit(vectors: Tensor) -> Tensor:
    """`[..., D]` divided by its norm; the zero vector stays zero, where the official TAN code gives NaN."""
    return F.normalize(vectors, dim=-1)


def mask_padding(logits: Tensor, video_padding: Tensor | None, text_padding: Tensor | None) -> Tensor:
    """`[..., B, S, T]` with MASKED where the frame or the text is padding; paddings `[B, T]`, `[B, S]` bool or None."""
    if video_padding is not None:
        logits = logits.masked_fill(video_padding[:, None, :], MASKED)
    if text_padding is not None:
        logits = logits.masked_fill(text_padding[:, :, None], MASKED)
    return logits


def silence_padding(features: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Features `[B, T, C]` whose padding is zero, and the mask `[B, T]` to attend with.

    Zero, because a masked key still poisons attention when it holds NaN. Where everything is padding nothing is masked:
    a softmax over no key is NaN, and what comes of such a row is never read.
    """
    if padding is None:
        return features, None
    return features.masked_fill(padding[..., None], 0), padding & ~padding.all(dim=-1, keepdim=True)


def feature_similarity(
    video: Tensor, text: Tensor, video_padding: Tensor | None = None, text_padding: Tensor | None = None
) -> Tensor:
    """The baseline without a model: 100 times the cosine of the features themselves, as their own training scaled it.

    video `[B, T, C]`, text `[B, S, C]`. Returns `[B, S, T]`, MASKED at padding.
    """
    cosine = unit(text) @ unit(video).transpose(-1, -2)
    return mask_padding(100 * cosine, video_padding, text_padding)


def best_frames(logits: Tensor) -> Tensor:
    """`[..., S]` int64: the frame that each text `[..., S, T]` fits best, the first on a tie; 0 for a padded text.

    At one vector per second this is the answer in whole seconds that NSVA is scored by.
    """
    return torch.argmax(logits, dim=-1)
