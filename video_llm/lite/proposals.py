"""Spans that may be the answer, and how good each is: runs of shots, and what single tokens tell.

As in 2D-TAN (Zhang et al. 2020, arXiv 1912.03590) every candidate is judged by what is inside it, beside what is around
it; the candidates are not all pairs of tokens but those that begin and end with a cut, and the tokens' own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvu.video_llm.lite.shots import NEAR, Shots, means_of_shots

LONGEST_RUN = 6  # shots
MOST_TOLD = 16  # tokens whose spans are judged
AROUND = 4  # tokens before and after a span
POOLED = 64  # numbers of each token that are compared
NUMBERS = 27  # told of each span beside these, see `_numbers`
KNOWN_WIDTH = 64  # of the layers that judge by them alone
SHARPNESS = 12.0  # of the share that a span is to have of the first place, by its IoU
UNSEEN = 0.5  # of the questions in training are judged by them alone
FEW_SHOTS = 1.5  # up to so many what is seen counts in full; this and the next were chosen on real clips
SOFTENED = 0.6  # share of the logits by which a span is the right one


@dataclass(frozen=True)
class Proposals:
    """Of S questions up to P spans.

    spans: float32 `[S, P, 2]` seconds; is_real: bool `[S, P]`; shots: int64 `[S]`, how many the video has.
    known, seen: float32 `[S, P]`, together the logits of their IoU with what was asked for: by what is known without
    training, and by what the head learned to see.
    """

    spans: Tensor
    known: Tensor
    seen: Tensor
    is_real: Tensor
    shots: Tensor

    @property
    def logits(self) -> Tensor:
        """float32 `[S, P]`."""
        return self.known + self.seen

    def part(self, some: slice) -> "Proposals":
        """Of some of the questions."""
        return Proposals(*(each[some] for each in vars(self).values()))


def weighed(proposals: Proposals) -> Tensor:
    """float32 `[S, P]`: logits in which what the head learned to see counts for less the more shots there are.

    It learned on generated videos, and of a real scene of several shots it prefers the one that looks most like what is
    asked for.
    """
    return proposals.known + (FEW_SHOTS / proposals.shots).clamp(max=1.0)[:, None] * proposals.seen


def chosen_spans(proposals: Proposals, *, max_iou: float, most: int) -> list[tuple[int, float]]:
    """Of one question which spans to tell, best first, and the IoU that each is thought to have by itself, but never
    more than one that is told before it.

    Decisions of least risk (Kumar and Byrne 2004, for translations). The right span is one of the proposals, each as
    likely as the softmax of its logits says, made softer; told is the span whose expected IoU with it is greatest. So
    one that many likely ones agree with comes before one that is the likeliest alone. What it explains is taken away
    before the next is chosen, so that what happens again is told again. One that overlaps a better one by more than
    `max_iou` is not told.
    """
    (logits,), (spans,) = weighed(proposals).detach(), proposals.spans
    left = proposals.is_real[0] & (spans[:, 1] > spans[:, 0])
    chance = (SOFTENED * logits).masked_fill(~left, -torch.inf).softmax(0)
    shared = iou_of(spans[:, None], spans)
    chosen: list[tuple[int, float]] = []
    score = 1.0
    while len(chosen) < most and bool(left.any()):
        best = int((shared @ chance).masked_fill(~left, -1.0).argmax())
        score = min(score, float(logits[best].sigmoid()))
        chosen.append((best, score))
        chance = chance * (1 - shared[best])
        left = left & (shared[best] <= max_iou)
        left[best] = False  # however short it is
    return chosen


def runs_of_shots(shots: Shots) -> tuple[Tensor, Tensor]:
    """Of B videos all runs of up to `LONGEST_RUN` shots: float32 `[B, P, 2]` seconds, and bool `[B, P]`."""
    most = shots.edges.shape[1] - 1
    spans, there = [], []
    for length in range(1, min(LONGEST_RUN, most) + 1):
        spans.append(torch.stack([shots.edges[:, : most + 1 - length], shots.edges[:, length:]], dim=-1))
        last = torch.arange(length, most + 1, device=shots.counts.device)
        there.append(last <= shots.counts[:, None])
    return torch.cat(spans, dim=1), torch.cat(there, dim=1)


@dataclass(frozen=True)
class OfShots:
    """What the judge is told of up to N shots, for each of S questions.

    edges: float32 `[S, N + 1]` seconds; known: float32 `[S, N]`, means of what is known of the tokens; alike: float32
    `[S, N]`, how alike a shot and the next are; of_token: int64 `[S, V]`; counts: int64 `[S]`.
    """

    edges: Tensor
    known: Tensor
    alike: Tensor
    of_token: Tensor
    counts: Tensor

    @classmethod
    def of(cls, shots: Shots, prior: Tensor, video: Tensor, is_real: Tensor) -> "OfShots":
        """prior `[S, V]` standard deviations; video `[S]`; is_real `[S, V]`."""
        known, _ = means_of_shots(prior, shots, video, is_real)
        following = shots.alike[..., NEAR]
        return cls(shots.edges[video], known, following[video], shots.of_token[video], shots.counts[video])

    @classmethod
    def one(cls, seconds: Tensor, is_real: Tensor) -> "OfShots":
        """Where nothing is known: one shot. seconds `[S, V, 2]`."""
        size = len(seconds)
        ends = torch.stack([seconds[:, 0, 0], (seconds[..., 1] * is_real).amax(1)], dim=1).float()
        zeros = ends.new_zeros(size, 1)
        return cls(ends, zeros, zeros, torch.zeros_like(is_real, dtype=torch.long), zeros[:, 0].long() + 1)


class SpanJudge(nn.Module):
    """How well spans fit what was asked for: what is known without training says one part of it, what the head learned
    to see the other. The first carries over to pictures of any kind, so in training it often has to do alone.

    width: of the tokens and of the question.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.small = nn.Sequential(nn.Linear(width, POOLED), nn.Dropout(0.2))
        self.question = nn.Linear(width, POOLED)
        self.known = _layers(NUMBERS, KNOWN_WIDTH)
        self.seen = _layers(4 * POOLED + NUMBERS, width)

    def forward(
        self,
        local: Tensor,
        question: Tensor,
        prior: Tensor,
        shots: OfShots,
        spans: Tensor,
        seconds: Tensor,
        is_real: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Two logits float32 `[S, P]` of spans float32 `[S, P, 2]` seconds, to be added: by what is known, and seen.

        local `[S, V, C]`, question `[S, C]`, prior float32 `[S, V]` standard deviations, seconds float32 `[S, V, 2]`
        and is_real bool `[S, V]` of the tokens.
        """
        count = is_real.sum(1, keepdim=True)
        ends = seconds[..., 1].masked_fill(~is_real, torch.inf).contiguous()
        half = (seconds[:, :1, 1] - seconds[:, :1, 0]) / 2
        # A token belongs to the span that its middle is in; every span has at least one.
        first = torch.searchsorted(ends, spans[..., 0].contiguous() + half).clamp(max=ends.shape[1] - 1)
        first = torch.minimum(first, (count - 1).clamp(min=0))
        last = torch.searchsorted(ends, spans[..., 1].contiguous() + half)
        last = torch.minimum(torch.maximum(last, first + 1), count.clamp(min=1))
        around = first, last, (first - AROUND).clamp(min=0), torch.minimum(last + AROUND, count)

        numbers = _numbers(prior.float() / 3, around, spans, seconds, is_real, shots)
        small = self.small(local) * is_real[..., None]
        first, last, before, after = around
        parts = [_mean(small, a, b) for a, b in ((first, last), (before, first), (last, after))]
        asked = self.question(question)[:, None].expand_as(parts[0])
        numbers = numbers.to(small.dtype)
        seen = self.seen(torch.cat([*parts, asked, numbers], dim=-1)).squeeze(-1).float()
        return self.known(numbers).squeeze(-1).float(), seen


def _layers(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, 1))


def _numbers(
    z: Tensor,
    around: tuple[Tensor, Tensor, Tensor, Tensor],
    spans: Tensor,
    seconds: Tensor,
    is_real: Tensor,
    shots: OfShots,
) -> Tensor:
    """float32 `[S, P, NUMBERS]`: how what is known `[S, V]` inside spans stands beside what is known around them and
    elsewhere, how long they are, and how far their ends are from the edges of shots.

    around: the first token of each span, the one after its last, the first before it and the one after those behind it.
    """
    first, last, before, after = around
    z = z * is_real
    inside, squares = _mean(z[..., None], first, last), _mean(z[..., None] ** 2, first, last)
    ahead, behind = _mean(z[..., None], before, first), _mean(z[..., None], last, after)
    held, count = (last - first)[..., None], is_real.sum(1)[:, None, None]
    overall = z.sum(1)[:, None, None] / count.clamp(min=1)
    outside = (overall * count - inside * held) / (count - held).clamp(min=1)
    best = z.masked_fill(~is_real, -torch.inf).amax(1)[:, None, None].expand_as(inside)

    place = torch.arange(z.shape[1], device=z.device)
    within = (place >= first[..., None]) & (place < last[..., None])  # `[S, P, V]`
    are_near = functional.avg_pool1d(is_real[:, None].to(z.dtype), 3, 1, 1).clamp(min=1 / 3)  # padding is no neighbour
    smooth = functional.avg_pool1d(z[:, None], 3, 1, 1) / are_near
    weakest = smooth.masked_fill(~within, torch.inf).amin(-1, keepdim=True)
    strongest = smooth.masked_fill(~within, -torch.inf).amax(-1, keepdim=True)
    rival = smooth.masked_fill(within | ~is_real[:, None], -torch.inf).amax(-1, keepdim=True)
    rival = torch.where(rival.isinf(), overall.expand_as(rival), rival)

    length = (spans[..., 1] - spans[..., 0]).clamp(min=0.1)[..., None]
    whole = (seconds[..., 1] * is_real).amax(1)[:, None, None] - seconds[:, :1, :1]
    off = [(spans[..., i, None] - shots.edges[:, None]).abs().amin(-1, keepdim=True).clamp(max=2.0) for i in (0, 1)]
    numbers = (
        *(inside, (squares - inside**2).clamp(min=0).sqrt(), ahead, behind, outside, best),
        *(inside - ahead, inside - behind, inside - outside, best - inside),
        *(weakest, strongest, rival, weakest - rival),
        *(length.log(), length / whole.clamp(min=0.1), *off),
        *_of_runs(shots, first, last),
    )
    return torch.cat(numbers, dim=-1)


def _of_runs(shots: OfShots, first: Tensor, last: Tensor) -> list[Tensor]:
    """`[S, P, 1]` each: of the shots that spans hold how weakly the weakest of them is known, and how unlike two that
    meet are; of those around them how well they are known, and how like what they meet."""
    begins, ends = shots.of_token.gather(1, first), shots.of_token.gather(1, last - 1)
    place = torch.arange(shots.known.shape[1], device=first.device)
    within = (place >= begins[..., None]) & (place <= ends[..., None])  # `[S, P, N]`
    weakest = shots.known[:, None].masked_fill(~within, torch.inf).amin(-1, keepdim=True)
    meets = within & (place < ends[..., None])
    unlike = shots.alike[:, None].masked_fill(~meets, 1.0).amin(-1, keepdim=True)
    count = (ends - begins)[..., None].to(shots.known.dtype)
    has = [(begins > 0)[..., None], (ends + 1 < shots.counts[:, None])[..., None]]
    before, after = (begins - 1).clamp(min=0), torch.minimum(ends + 1, (shots.counts - 1)[:, None])
    near = [shots.known.gather(1, at)[..., None] for at in (before, after)]
    like = [shots.alike.gather(1, at)[..., None] for at in (before, ends)]
    told = [weakest, unlike, count]
    for there, known, alike in zip(has, near, like, strict=True):
        told += [there.to(shots.known.dtype), (known - weakest) * there, alike * there]
    return told


def _mean(values: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """`[S, P, C]`: mean of `[S, V, C]` from `first` to before `last`, both `[S, P]`; 0 where that is nothing."""
    total = functional.pad(values.float().cumsum(1), (0, 0, 1, 0))
    wide = first[..., None].expand(-1, -1, values.shape[-1])
    width = (last - first)[..., None]
    held = total.gather(1, wide + width.expand_as(wide)) - total.gather(1, wide)
    return (held / width.clamp(min=1)).to(values.dtype)


def iou_of(a: Tensor, b: Tensor) -> Tensor:
    """`[...]` of spans `[..., 2]`, one beside the other."""
    shared = (torch.minimum(a[..., 1], b[..., 1]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    together = (torch.maximum(a[..., 1], b[..., 1]) - torch.minimum(a[..., 0], b[..., 0])).clamp(min=1e-4)
    return shared / together


def proposal_loss(proposals: Proposals, truth: Tensor, is_event: Tensor, is_asked: Tensor) -> Tensor:
    """Whether the best comes first, and whether every logit tells the IoU.

    truth float `[S, E, 2]` seconds, is_event bool `[S, E]`, is_asked bool `[S]`: others count for nothing.
    """
    iou = iou_of(proposals.spans[:, :, None], truth[:, None]).masked_fill(~is_event[:, None], 0.0).amax(-1)
    asked = (is_asked[:, None] & proposals.is_real).float()
    graded = functional.binary_cross_entropy_with_logits(proposals.logits, iou, reduction="none")
    # Most spans are nowhere near: together they count as much as those that are.
    near = asked * (iou > 0.1)
    far = asked - near
    told = ((graded * near).sum() / near.sum().clamp(min=1) + (graded * far).sum() / far.sum().clamp(min=1)) / 2
    has = is_asked & ((iou * asked).amax(1) > 0.3)
    target = (SHARPNESS * iou).masked_fill(~proposals.is_real, -1e4).softmax(1)
    chosen = proposals.logits.masked_fill(~proposals.is_real, -1e4).log_softmax(1)
    ranked = -(target * chosen).sum(1).masked_fill(~has, 0.0).sum() / has.sum().clamp(min=1)
    return told + 0.25 * ranked
