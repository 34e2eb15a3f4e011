"""Merge what is alike: bipartite soft matching of tokens (ToMe, arXiv 2210.09461)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tvu.temporal.reduction.means import frame_mask, num_groups, without_padding
from tvu.temporal.types import VisualTokens


@torch.no_grad()
def match_similar(metric: Tensor, lengths: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """Which of `budget` tokens each token becomes part of.

    metric `[B, L, C]`: what two tokens are compared by, by cosine; lengths `[B]` real tokens.
    Returns the output of every token, `[B, L]` int64 (padding: 0, and counted nowhere), and `[B]` int64, how many
    outputs each video has: budget, or all its tokens where they are fewer.

    One round splits the tokens into those at even and odd places, lets each even one find the odd one most like it, and
    merges the pairs most alike (the earlier on a tie), at most half of the tokens; rounds follow until the budget is
    met. A merged token is compared by the mean of its members' metric. Outputs are in the order of the odd token, or
    the lonely even one, that the others joined. Every video of a ragged batch is matched as if it were alone.
    """
    batch, size, _ = metric.shape
    metric = without_padding(metric, lengths).to(torch.promote_types(metric.dtype, torch.float32))
    weight = frame_mask(lengths, size).to(metric.dtype)
    assignment = torch.arange(size, device=metric.device).expand(batch, -1)
    while size > budget:
        merges = (lengths - budget).clamp(min=0).minimum(lengths // 2)
        kept = size - min(size // 2, size - budget)
        target = _one_round(metric, lengths, merges)
        assignment = target.gather(1, assignment)
        lengths = lengths - merges
        metric = weighted_mean(metric, weight, target, kept)
        weight = metric.new_zeros(batch, kept).scatter_add(1, target, weight)
        size = kept
    return assignment, lengths


def _one_round(metric: Tensor, lengths: Tensor, merges: Tensor) -> Tensor:
    """Where each token of `metric [B, L, C]` goes when `merges [B]` pairs become one: `[B, L]` new places."""
    unit = F.normalize(metric, dim=-1)
    real = frame_mask(lengths, metric.shape[1])
    alike = (unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)).masked_fill(~real[:, None, 1::2], -torch.inf)
    best, partner = alike.max(dim=2)
    order = best.masked_fill(~real[:, ::2], -torch.inf).sort(dim=1, descending=True, stable=True).indices
    joins = torch.zeros_like(order, dtype=torch.bool).scatter(1, order, frame_mask(merges, order.shape[1]))
    place = torch.arange(metric.shape[1], device=metric.device).repeat(len(metric), 1)
    place[:, ::2] = torch.where(joins, 2 * partner + 1, place[:, ::2])
    stays = real.clone()
    stays[:, ::2] &= ~joins
    rank = (stays.cumsum(dim=1) - 1).clamp(min=0)
    return torch.where(real, rank.gather(1, place), 0)


def weighted_mean(x: Tensor, weight: Tensor, assignment: Tensor, size: int) -> Tensor:
    """x `[B, L, C]` averaged by `weight [B, L]` within each of the `size` outputs that `assignment [B, L]` names."""
    rows = (assignment + size * torch.arange(len(x), device=x.device)[:, None]).flatten()
    total = x.new_zeros(len(x) * size, x.shape[2]).index_add(0, rows, (x * weight[..., None]).flatten(0, 1))
    share = x.new_zeros(len(x) * size).index_add(0, rows, weight.to(x.dtype).flatten())
    return (total / share.clamp(min=1)[:, None]).unflatten(0, (-1, size))


@dataclass(frozen=True)
class Merged:
    """Tokens with the exact trace of how they came about.

    tokens:     a flat sequence `[B, K, 1, C]`.
    assignment: `[B, T * N]` int64, the output that each token of the input, frame-major, is part of; -1 for padding.
    sizes:      `[B, K]` int64, of how many tokens each output is the mean; 0 for padding.
    """

    tokens: VisualTokens
    assignment: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class MergeSimilar:
    """Merge tokens within each run of `frames` frames until `budget` are left of it.

    budget: tokens that a full or cut short run may keep.
    frames: how far in time tokens may merge; None: over the whole video. A merged token stands for all the time of its
            members, so short runs keep time sharp. They also bound the work: a round compares half of a run's tokens
            with the other half.

    `[B, T, N, C]` becomes a flat sequence: every token is the plain mean of its members, as rounds of means weighted by
    size are, has the union of their spans and the mean of their sources. ToMe merges inside each block of a vision
    tower, comparing attention keys; here the merging follows the tower and compares the features themselves, or what
    `trace` is given.
    """

    budget: int
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.budget < 1 or (self.frames is not None and self.frames < 1):
            raise ValueError(f"merging counts from 1, not {self}")

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        return self.trace(tokens).tokens

    def trace(self, tokens: VisualTokens, metric: Tensor | None = None) -> Merged:
        """The merged tokens and their members; metric `[B, T, N, C']` to compare by (the features if None)."""
        frames, cells = tokens.features.shape[1:3]
        run = min(self.frames or frames, frames)
        runs = num_groups(frames, run)
        flat = tokens.flatten()
        compared = flat.features.squeeze(2) if metric is None else metric.flatten(1, 2)
        in_runs = F.pad(compared, (0, 0, 0, (runs * run - frames) * cells)).unflatten(1, (runs, -1))
        starts = torch.arange(runs, device=flat.lengths.device) * run * cells
        lengths = (flat.lengths[:, None] - starts).clamp(0, run * cells)
        inside, left = match_similar(in_runs.flatten(0, 1), lengths.flatten(), self.budget)

        left = left.view_as(lengths)
        before = left.cumsum(dim=1) - left  # the outputs of one run follow those of the runs before it
        trace = (inside.unflatten(0, lengths.shape) + before[..., None]).flatten(1)[:, : frames * cells]
        outputs = _grouped(flat, trace, left.sum(dim=1), runs * min(self.budget, run * cells))
        trace = trace.masked_fill(~flat.mask, -1)
        sizes = torch.zeros(outputs.features.shape[:2], dtype=torch.int64, device=trace.device)
        return Merged(outputs, trace, sizes.scatter_add(1, trace.clamp(min=0), flat.mask.long()))


def _grouped(flat: VisualTokens, assignment: Tensor, lengths: Tensor, size: int) -> VisualTokens:
    """A flat sequence of `size` tokens, `lengths [B]` of them real, merged as `assignment [B, L]` says."""
    real = frame_mask(lengths, size)[..., None]
    features, sources = (
        weighted_mean(
            without_padding(x.squeeze(2), flat.lengths).to(torch.promote_types(x.dtype, torch.float32)),
            flat.mask,
            assignment,
            size,
        )
        for x in (flat.features, flat.sources)
    )
    starts = _extreme(flat.spans[..., 0].masked_fill(~flat.mask, torch.inf), assignment, size, "amin")
    ends = _extreme(flat.spans[..., 1].masked_fill(~flat.mask, -torch.inf), assignment, size, "amax")
    return VisualTokens(
        features=features.to(flat.features.dtype).unsqueeze(2),
        spans=torch.where(real, torch.stack([starts, ends], dim=-1), 0),
        grid=(1, 1),
        sources=sources.unsqueeze(2),
        lengths=lengths,
    )


def _extreme(x: Tensor, assignment: Tensor, size: int, which: str) -> Tensor:
    """The least or greatest of x `[B, L]` in each of `size` outputs."""
    return x.new_zeros(len(x), size).scatter_reduce(1, assignment, x, which, include_self=False)
