"""Slots that gather the tokens of a whole video by a softmax over its tokens (VTG-LLM, arXiv 2405.13382)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tvu.kernels.dispatch import runs_on_triton


def slot_pool(x: Tensor, slots: Tensor, places: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """For every slot the mean of all tokens, weighted by the softmax of `x @ slots` over the tokens of the video.

    x:       `[B, T, N, C]`, floating; slots `[C, K]`.
    places:  `[B, T, N, 3]` floating, where each token stands.
    lengths: `[B]` int64, real frames of each video (all T if None); the others are not read.

    Returns the means of x `[B, K, C]` in the dtype of x, which give gradients to x and slots; how much of each slot's
    weight lies in each frame, `[B, T, K]`; and the means of the places `[B, K, 3]`, both float32 (float64 for float64)
    and without gradients. A video without a frame gives zeros. Scores and softmax are float32; the kernels then round
    the weights to the dtype of x. No scores are written: the kernels keep, of each token, the weights alone.
    """
    if x.ndim != 4 or slots.ndim != 2 or x.shape[-1] != slots.shape[0] or places.shape != (*x.shape[:3], 3):
        raise ValueError(f"x is [B, T, N, C], slots [C, K], not {tuple(x.shape)} and {tuple(slots.shape)}")
    if runs_on_triton(x, slots, places) and x.dtype == slots.dtype:
        from tvu.kernels.slot_pool_triton import SlotPool

        return SlotPool.apply(x, slots, places, lengths)
    return slot_pool_plain(x, slots, places, lengths)


def slot_pool_plain(
    x: Tensor, slots: Tensor, places: Tensor, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The specification of `slot_pool`."""
    wide = torch.promote_types(x.dtype, torch.float32)
    frames, tokens = x.shape[1:3]
    flat, where = x.flatten(1, 2).to(wide), places.flatten(1, 2).to(wide)
    there = torch.ones(flat.shape[:2], dtype=torch.bool, device=x.device)
    if lengths is not None:
        there = torch.arange(frames * tokens, device=x.device) < lengths[:, None] * tokens
        flat, where = (t.masked_fill(~there[..., None], 0) for t in (flat, where))
    scores = (flat @ slots.to(wide)).masked_fill(~there[..., None], torch.finfo(wide).min)
    weights = scores.softmax(dim=1).masked_fill(~there[..., None], 0)  # [B, T N, K]
    weights = F.threshold(weights, torch.finfo(wide).tiny, 0)  # denormal numbers made the next product 20 times slower
    pooled = (weights.mT @ flat).to(x.dtype)
    weights = weights.detach()
    return pooled, weights.unflatten(1, (frames, tokens)).sum(2), weights.mT @ where
