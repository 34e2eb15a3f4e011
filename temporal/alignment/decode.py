"""Similarity rows to answers: intervals in seconds, an order that time allows, and whether a text is seen at all."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tvu.temporal.alignment.similarity import MASKED


@dataclass(frozen=True)
class TextIntervals:
    """When each of S texts is shown.

    frames:  `[S, 2]` int64, first and last frame, both included.
    seconds: `[S, 2]` float64, from the start of the first frame's span to the end of the last one's.
    scores:  `[S]` float64, the share of the text's probability that lies inside, in [0, 1]; 0 for a text that is
             padding or that no window looked at, whose interval means nothing.
    """

    frames: Tensor
    seconds: Tensor
    scores: Tensor


def intervals_around_peak(logits: Tensor, spans: Tensor, alpha: float = 0.6) -> TextIntervals:
    """Each text's best frame, grown both ways while its probability stays at `alpha` times the peak or above.

    logits: `[S, T]`, as the aligners give them; softmax over frames makes them probabilities.
    spans:  `[T, 2]` float64, seconds: what each frame stands for; frames need not be a second apart, nor equally long.
    alpha:  in (0, 1]. NSVA and TAN answer with one second and have no rule for intervals; this one is ours.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha is in (0, 1], not {alpha}")
    probability = logits.double().softmax(dim=-1)
    peak = probability.argmax(dim=-1, keepdim=True)  # [S, 1], the first on a tie
    weak = probability < alpha * probability.gather(-1, peak)
    frame = torch.arange(logits.shape[-1], device=logits.device)
    first = torch.where(weak & (frame < peak), frame, -1).amax(dim=-1) + 1
    last = torch.where(weak & (frame > peak), frame, logits.shape[-1]).amin(dim=-1) - 1
    return _intervals(logits, probability, spans, first, last)


def intervals_of_duration(logits: Tensor, spans: Tensor, seconds: float | Tensor) -> TextIntervals:
    """Each text's best run of frames of a known duration: the one whose mean probability is the highest.

    The first on a tie. A run takes as many whole frames as it needs to last `seconds` (a number, or `[S]`), or the
    whole video where that is shorter. logits `[S, T]`, spans `[T, 2]` float64 seconds, in order.
    """
    probability = logits.double().softmax(dim=-1)
    num_texts, num_frames = logits.shape
    wanted = torch.as_tensor(seconds, dtype=torch.float64, device=spans.device).expand(num_texts)
    if not bool((wanted > 0).all()):
        raise ValueError("a duration is more than zero seconds")
    until = spans[:, 0] + wanted[:, None] - 1e-9  # [S, T]; three times a tenth is more than 0.3 by its rounding only
    last = torch.searchsorted(spans[:, 1].contiguous(), until)  # first frame that ends at `until` or later
    whole = last < num_frames  # a run that reaches past the video is no candidate
    whole[:, 0] |= ~whole.any(dim=-1)
    frame = torch.arange(num_frames, device=logits.device)
    last = last.clamp(max=num_frames - 1).maximum(frame)
    total = torch.cat((probability.new_zeros(num_texts, 1), probability.cumsum(dim=-1)), dim=-1)
    mean = (total.gather(-1, last + 1) - total[:, :-1]) / (last - frame + 1)
    first = mean.masked_fill(~whole, -1).argmax(dim=-1)
    return _intervals(logits, probability, spans, first, last.gather(-1, first[:, None]).squeeze(-1))


def _intervals(logits: Tensor, probability: Tensor, spans: Tensor, first: Tensor, last: Tensor) -> TextIntervals:
    frame = torch.arange(probability.shape[-1], device=probability.device)
    inside = (first[:, None] <= frame) & (frame <= last[:, None]) & (logits > MASKED / 2)  # bfloat16 rounds MASKED
    return TextIntervals(
        frames=torch.stack((first, last), dim=-1),
        seconds=torch.stack((spans[first, 0], spans[last, 1]), dim=-1),
        scores=(probability * inside).sum(dim=-1),
    )


@dataclass(frozen=True)
class MonotonePath:
    """The best frames in an order that time allows.

    frames: `[..., S]` int64; -1 for a text left out, or one that -inf keeps out of every frame.
    score:  `[...]` float64, the sum of the similarities along the path, less the cost of what was left out.
    """

    frames: Tensor
    score: Tensor


def monotone_path(similarity: Tensor, *, strict: bool = False, skip_cost: float | None = None) -> MonotonePath:
    """The frames `t_1 <= t_2 <= ... <= t_S` with the highest sum of `similarity[i, t_i]`, exactly, in O(S T).

    similarity: `[..., S, T]`, finite or -inf; texts in the order they were said. MASKED frames are chosen last.
    strict:     whether two texts may not share a frame: `t_i < t_{i+1}`.
    skip_cost:  what leaving a text out costs; None: every text gets a frame.

    Among equal sums the last text takes the earliest frame it can, then the one before it, and so on; a text is left
    out only where that is strictly better.
    Raises ValueError if there is no such path: no frame, or fewer frames than texts where `strict` wants them all.
    """
    num_texts, num_frames = similarity.shape[-2:]
    needed = 0 if skip_cost is not None else num_texts if strict else min(num_texts, 1)
    if num_frames < needed:
        raise ValueError(f"{num_texts} texts find no place in {num_frames} frames")
    value = similarity.double()
    lead = value.shape[:-2]
    frame = torch.arange(num_frames, device=value.device)
    # best[..., t]: the highest score of the texts so far with all their frames before t; best[..., 0] has none yet
    best = value.new_zeros(*lead, num_frames + 1)
    chosen = torch.empty(*lead, num_texts, num_frames + 1, dtype=torch.int64, device=value.device)
    for i in range(num_texts):
        here = value[..., i, :] + (best[..., :-1] if strict else best[..., 1:])
        top = here.cummax(dim=-1).values
        before = torch.cat((torch.full_like(top[..., :1], -torch.inf), top[..., :-1]), dim=-1)
        found = torch.where(top > before, frame, -1).cummax(dim=-1).values  # the first frame that reaches the top
        taken = torch.cat((torch.full_like(top[..., :1], -torch.inf), top), dim=-1)
        left_out = torch.full_like(best, -torch.inf) if skip_cost is None else best - skip_cost
        skips = left_out > taken
        best = torch.where(skips, left_out, taken)
        chosen[..., i, 1:] = found
        chosen[..., i, 0] = -1
        chosen[..., i, :].masked_fill_(skips, -1)
    frames = torch.empty(*lead, num_texts, dtype=torch.int64, device=value.device)
    end = torch.full(lead, num_frames, dtype=torch.int64, device=value.device)
    for i in reversed(range(num_texts)):
        frames[..., i] = chosen[..., i, :].gather(-1, end[..., None]).squeeze(-1)
        end = torch.where(frames[..., i] < 0, end, frames[..., i] + (0 if strict else 1))
    return MonotonePath(frames, best[..., -1])


def permutation_scores(similarity: Tensor, orders: Tensor, *, strict: bool = True) -> Tensor:
    """`[P]` float64: the score of the best monotone path when the texts are told in each of P orders.

    similarity `[S, T]`; orders `[P, S]` int64, each a permutation of the texts.
    """
    return monotone_path(similarity[orders], strict=strict).score


def prefers_true_order(similarity: Tensor, orders: Tensor, *, strict: bool = True) -> Tensor:
    """`[P]` bool: whether the texts as given score above each other order of them; a tie is a failure.

    Chronologically accurate retrieval (CAR, ECCV 2024) for a model that scores texts against frames: a sequence of
    events is as likely as its best path. Arguments as in `permutation_scores`.
    """
    return monotone_path(similarity, strict=strict).score > permutation_scores(similarity, orders, strict=strict)


def alignability(logits: Tensor) -> Tensor:
    """`[..., S]`: how well a text `[..., S, T]` fits its best frame; says for a model without a head if it is seen."""
    return logits.amax(dim=-1)


def quantile_among(scores: Tensor, reference: Tensor) -> Tensor:
    """`[...]` float64 in [0, 1]: the share of `reference` `[N]` that each score reaches.

    Similarities have no scale of their own; against those of texts of which it is known how many are seen, "among the
    best 40 %" has one.
    """
    ordered = reference.flatten().sort().values
    return torch.searchsorted(ordered, scores.contiguous(), right=True).double() / len(ordered)


def hits_rounded_outwards(seconds: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """`[S]` bool: whether `floor(start) <= t <= ceil(end)`, TAN's rule on HTM-Align; all `[S]`, seconds."""
    return (starts.floor() <= seconds) & (seconds <= ends.ceil())


def hits_inside(seconds: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """`[S]` bool: whether `start <= t <= end`, NSVA's rule on HTM-Align, which some short texts cannot meet."""
    return (starts <= seconds) & (seconds <= ends)
