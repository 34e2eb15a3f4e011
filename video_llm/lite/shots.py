"""Where the picture changes for good: the shots of a video, from what Lite0 sees of it and without training.

`scout/shots.py` finds them in pixels, which the feature videos that the head learns from do not have.

What is asked for mostly lasts as long as a shot or a few, and where shots meet is seen surely: so the head is told the
shots, what is known of each for a question, and may point at their edges instead of measuring a distance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tvu.temporal.types import VisualTokens
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND

AROUND = 4  # steps before and after a cut that are compared
LEAST_CHANGE = 0.4  # of two neighbouring steps, and of what is around them: one less the cosine
NEAR = 3  # shots before and after the own that a token is told of
SHOT_NUMBERS = 32  # told of each token: see `features_of`


@dataclass(frozen=True)
class Shots:
    """Of B videos with up to V tokens and N shots each; what a video has fewer of is empty, at its end.

    edges:    float32 `[B, N + 1]` seconds where shots begin, and the end; changes: float32 `[B, N + 1]`, how much the
              picture changes there.
    of_token: int64 `[B, V]`, the shot that the middle of each token is in.
    alike:    float32 `[B, N, 2 * NEAR]`, cosine of a shot's mean and those before (nearest last) and after it; 0: none.
    counts:   int64 `[B]`.
    """

    edges: Tensor
    changes: Tensor
    of_token: Tensor
    alike: Tensor
    counts: Tensor

    @property
    def is_shot(self) -> Tensor:
        """bool `[B, N]`."""
        return torch.arange(self.alike.shape[1], device=self.counts.device) < self.counts[:, None]


def find_shots(features: Tensor, there: Tensor, lengths: Tensor, tokens: VisualTokens) -> Shots:
    """features float `[B, T, C]` of the steps, less the usual look; there bool `[B, T]`: those that have a picture;
    lengths int64 `[B]`; tokens: of the same videos."""
    batch, steps, _ = features.shape
    unit = functional.normalize(features.float(), dim=-1) * there[..., None]
    change, wide = _changes(unit, there)
    inner = torch.arange(1, steps, device=unit.device)
    highest = functional.max_pool1d(functional.pad(wide, (0, 1))[:, None], 5, 1, 2)[:, 0, :-1]  # of one step too
    is_cut = (change > LEAST_CHANGE) & (wide > LEAST_CHANGE) & (wide >= highest) & (inner < lengths[:, None])
    number = functional.pad(is_cut.long().cumsum(1), (1, 0))  # `[B, T]`, the shot of each step
    counts = is_cut.sum(1) + 1
    most = int(counts.max())

    place = torch.where(is_cut, number[:, 1:], most + 1)  # the others go to a column that is thrown away
    first = tokens.spans[:, :1, 0].float()
    last = tokens.spans[..., 1].float().gather(1, (tokens.lengths - 1).clamp(min=0)[:, None])
    edges = last.expand(batch, most + 2).clone()
    edges[:, 0] = first[:, 0]
    edges.scatter_(1, place, first + inner.float() / STEPS_PER_SECOND)
    edges = torch.where(torch.arange(most + 2, device=unit.device) < counts[:, None], edges, last)
    changes = edges.new_zeros(batch, most + 2).scatter_(1, place, wide)[:, : most + 1]
    changes = changes.masked_fill(torch.arange(most + 1, device=unit.device) >= counts[:, None], 0.0)

    middle = tokens.spans.float().mean(-1)
    of_token = torch.searchsorted(edges[:, 1 : most + 1].contiguous(), middle.contiguous(), right=True)
    of_token = torch.minimum(of_token, counts[:, None] - 1)
    real = (torch.arange(steps, device=unit.device) < lengths[:, None]) & there
    member = functional.one_hot(number, most).float() * real[..., None]  # `[B, T, N]`
    mean = functional.normalize(torch.einsum("btn,btc->bnc", member, unit), dim=-1)
    alike = neighbours(torch.einsum("bnc,bmc->bnm", mean, mean))
    return Shots(edges[:, : most + 1], changes, of_token, alike, counts)


def _changes(unit: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """`[B, T - 1]` twice: between neighbouring steps, and between the means of those around; 0 where none is seen."""
    steps = unit.shape[1]
    both = there[:, 1:] & there[:, :-1]
    change = (1 - (unit[:, 1:] * unit[:, :-1]).sum(-1)) * both
    total = functional.pad(unit.cumsum(1), (0, 0, 1, 0))
    at = torch.arange(1, steps, device=unit.device)
    before = total[:, at] - total[:, (at - AROUND).clamp(min=0)]
    after = total[:, (at + AROUND).clamp(max=steps)] - total[:, at]
    return change, (1 - functional.cosine_similarity(before, after, dim=-1)) * both


def neighbours(table: Tensor) -> Tensor:
    """`[B, N, 2 * NEAR]` of `[B, N, N]`: row n at n - NEAR .. n - 1 and n + 1 .. n + NEAR; 0 beyond."""
    count = table.shape[1]
    wide = functional.pad(table, (NEAR, NEAR))
    offsets = [o for o in range(2 * NEAR + 1) if o != NEAR]
    at = torch.arange(count, device=table.device)[:, None] + torch.tensor(offsets, device=table.device)
    return wide.gather(2, at.expand(table.shape[0], -1, -1))


def candidates(shots: Shots, video: Tensor) -> tuple[Tensor, Tensor]:
    """float32 `[S, V, NEAR + 1]` twice, seconds: the starts of a token's own shot and of those before it, and the ends
    of its own and of those after; the first and the last edge beyond."""
    edges, own = shots.edges[video], shots.of_token[video]
    last = shots.counts[video][:, None, None]
    steps = torch.arange(NEAR + 1, device=own.device)
    starts = (own[..., None] - steps).clamp(min=0)
    ends = torch.minimum(own[..., None] + 1 + steps, last)
    size = own.shape

    def at(places: Tensor) -> Tensor:
        return edges.gather(1, places.flatten(1)).view(*size, NEAR + 1)

    return at(starts), at(ends)


def means_of_shots(prior: Tensor, shots: Shots, video: Tensor, is_real: Tensor) -> tuple[Tensor, Tensor]:
    """float32 `[S, N]`: a third of the mean of `prior` `[S, V]` in each shot, 0 where no token has its middle in it;
    and bool `[S, N]`: where one has."""
    member = functional.one_hot(shots.of_token[video], shots.alike.shape[1]).float() * is_real[..., None]
    held = member.sum(1)
    is_told = shots.is_shot[video] & (held > 0)
    return torch.einsum("svn,sv->sn", member, prior.float()) / held.clamp(min=1) / 3 * is_told, is_told


def features_of(prior: Tensor, shots: Shots, video: Tensor, is_real: Tensor, seconds: Tensor) -> Tensor:
    """float32 `[S, V, SHOT_NUMBERS]`: of a token's own shot and its neighbours what is known for a question, how long
    they are, and how alike; how far the token is inside its own.

    prior `[S, V]`: standard deviations of each token; video `[S]`: which of the B videos each question is about;
    seconds `[S, V, 2]` of the tokens, as the edges.
    """
    own = shots.of_token[video]  # `[S, V]`
    count = shots.alike.shape[1]
    of_shots, is_told = means_of_shots(prior, shots, video, is_real)
    best = of_shots.masked_fill(~is_told, -torch.inf).amax(1, keepdim=True)
    lengths = ((shots.edges[:, 1:] - shots.edges[:, :-1]).clamp(min=0) + 0.25).log()[video] * is_told
    around = torch.arange(-NEAR, NEAR + 1, device=own.device)
    place = own[..., None] + around  # `[S, V, 2 NEAR + 1]`
    inside = (place >= 0) & (place < shots.counts[video][:, None, None])
    place = place.clamp(0, count - 1)

    def at(values: Tensor) -> Tensor:
        return values.gather(1, place.flatten(1)).view(place.shape) * inside

    alike = shots.alike[video].gather(1, own[..., None].expand(-1, -1, 2 * NEAR))
    changes = shots.changes[video]
    starts, ends = candidates(shots, video)
    start, end = starts[..., 0], ends[..., 0]
    done = (seconds.float().mean(-1) - start) / (end - start).clamp(min=0.25)
    told = [
        at(of_shots),
        (best - of_shots).gather(1, own)[..., None],
        best[..., None].expand(*own.shape, 1),
        at(lengths),
        inside[..., around != 0].float(),
        alike,
        changes.gather(1, own)[..., None],
        changes.gather(1, own + 1)[..., None],
        done[..., None],
        (end - start + 0.25).log()[..., None],
    ]
    return torch.cat(told, dim=-1) * is_real[..., None]
