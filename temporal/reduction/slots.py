"""A fixed number of slots, each gathering what it attends to in the whole video (VTG-LLM, arXiv 2405.13382)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tvu.kernels.slot_pool import slot_pool
from tvu.temporal.reduction.means import frame_mask, without_padding
from tvu.temporal.types import VisualTokens

SPAN_ATTENTION = 0.95
"""How much of a slot's attention its span has to hold."""


def slot_attention(x: Tensor, slots: Tensor, lengths: Tensor) -> Tensor:
    """Where each slot looks: softmax of `x @ slots` over the L tokens (the dispatch of Soft MoE).

    x `[B, L, C]`, slots `[C, K]`, lengths `[B]` real tokens. Returns `[B, L, K]`; every column sums to one (of an empty
    video, on its first token).
    No scale, no bias, no normalisation, and one pass instead of the rounds of slot attention. Scores and softmax are
    float32 (float64 for float64); the official GPU path computes the scores in half precision.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    scores = without_padding(x, lengths).to(dtype) @ slots.to(dtype)
    attention = scores.masked_fill(~_attended(lengths, x.shape[1])[..., None], -torch.inf).softmax(dim=1)
    return F.threshold(attention, torch.finfo(dtype).tiny, 0)  # denormal numbers made the next product 20 times slower


def attended_span(attention: Tensor, spans: Tensor) -> Tensor:
    """For each slot the shortest stretch of time whose frames hold 95 % of its attention; the earlier on a tie.

    attention `[B, T, K]`, each column summing to one; spans `[B, T, 2]` seconds, in any order. Returns `[B, K, 2]`
    float64: from the start of the earliest of these frames to the end of the last.
    """
    order = spans[..., 0].argsort(dim=1, stable=True)
    attention, spans = (x.gather(1, order[..., None].expand_as(x)) for x in (attention, spans))
    frames = attention.shape[1]
    held = attention.double().cumsum(dim=1).transpose(1, 2)  # [B, K, T]: up to and with frame t
    before = held - attention.double().transpose(1, 2)
    enough = before + SPAN_ATTENTION * held[..., -1:] - 1e-9  # rounding must not ask for one frame more
    last = torch.searchsorted(held.contiguous(), enough.contiguous())
    starts = spans[:, None, :, 0].expand_as(held)
    ends = spans[:, None, :, 1].cummax(dim=2).values.expand_as(held).gather(2, last.clamp(max=frames - 1))
    seconds = (ends - starts).masked_fill((last == frames) | (before == held), torch.inf)
    first = seconds.argmin(dim=2, keepdim=True)
    return torch.cat([starts.gather(2, first), ends.gather(2, first)], dim=2)


class SlotSampler(nn.Module):
    """All tokens of a video into `num_slots` weighted means of them; parameter under its official key, `slots [C, K]`.

    tokens `[B, T, N, C]`. Returns `[B, num_slots, 1, C]`, a flat sequence in the order of the slots, which is not
    one of time: `attended_span` says what a slot stands for, and its source is the mean of its tokens' sources,
    weighted by its attention. A video without a real frame has no real slot.
    """

    def __init__(self, num_slots: int, channels: int) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(channels, num_slots))

    def attention(self, tokens: VisualTokens) -> Tensor:
        """`[B, T * N, K]`: how much slot k takes of each token, frame-major."""
        flat = tokens.flatten()
        return slot_attention(flat.features.squeeze(2), self.slots, flat.lengths)

    def forward(self, tokens: VisualTokens) -> VisualTokens:
        slots, by_frame, sources = slot_pool(tokens.features, self.slots, tokens.sources, tokens.lengths)
        return gathered(tokens, slots, by_frame, sources)


class CrossAttentionSampler(nn.Module):
    """VTG-LLM's alternative: learned queries that cross-attend to the tokens; keys `query` and `attention.*`.

    Shapes and spans as `SlotSampler`, attention being the mean over the heads. The official module repeats no query for
    a second video and so fails for B > 1; ours repeats it.
    """

    def __init__(self, num_slots: int, channels: int, heads: int = 8) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.query = nn.Parameter(torch.randn(1, num_slots, channels))

    def forward(self, tokens: VisualTokens) -> VisualTokens:
        flat = tokens.flatten()
        x = without_padding(flat.features, flat.lengths).squeeze(2)
        query = self.query.expand(x.shape[0], -1, -1)
        slots, attention = self.attention(query, x, x, key_padding_mask=~_attended(flat.lengths, x.shape[1]))
        attention = attention.detach()  # [B, K, T * N]
        by_frame = attention.unflatten(2, tokens.features.shape[1:3]).sum(dim=3).transpose(1, 2)
        sources = without_padding(tokens.sources, tokens.lengths).flatten(1, 2)
        return gathered(tokens, slots, by_frame, (attention.double() @ sources.double()).float())


def gathered(tokens: VisualTokens, slots: Tensor, by_frame: Tensor, sources: Tensor) -> VisualTokens:
    """Slots `[B, K, C]`, whose attention lies in frames as `by_frame [B, T, K]` says, and sources `[B, K, 3]`."""
    lengths = (tokens.lengths > 0) * slots.shape[1]
    return VisualTokens(
        features=without_padding(slots.unsqueeze(2), lengths),
        spans=attended_span(by_frame, without_padding(tokens.spans, tokens.lengths)),
        grid=(1, 1),
        sources=sources.float().unsqueeze(2),
        lengths=lengths,
    )


def _attended(lengths: Tensor, tokens: int) -> Tensor:
    """The real tokens, and the zeros in place of the first of an empty video: a softmax over nothing is no number."""
    return frame_mask(lengths.clamp(min=1), tokens)
