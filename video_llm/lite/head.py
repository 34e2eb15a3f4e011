"""When, from visual tokens and the words of a question, and what a language model makes of the tokens where it read.

Visual tokens attend to each other and to the words, as in Moment-DETR (Lei et al. 2021, arXiv 2107.09609); the meaning
of the whole question meets each token in a low-rank bilinear product (Kim et al. 2017, arXiv 1610.04325), so that what
is asked is compared with what is seen and not only added to it. Anchor-free, as in FCOS (Tian et al. 2019, arXiv
1904.01355) and ActionFormer (Zhang et al. 2022, arXiv 2202.07925): every token says whether it is inside what was asked
for, how far its start and its end are, and how good that span is. What the likeliest of them tell is judged beside runs
of shots (`proposals.py`), and those that agree best are told.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvu.temporal.position_table import sinusoid_table
from tvu.video_llm.lite.prior import Meaning
from tvu.video_llm.lite.proposals import (
    MOST_TOLD,
    UNSEEN,
    OfShots,
    Proposals,
    SpanJudge,
    chosen_spans,
    iou_of,
    proposal_loss,
    runs_of_shots,
)
from tvu.video_llm.lite.shots import NEAR, SHOT_NUMBERS, Shots, candidates, features_of

OF_TOKENS = 4  # numbers that the head is told of each token's prior, beside those of its shot
KNOWN = OF_TOKENS + SHOT_NUMBERS
MEANING = 384  # numbers in a sentence vector
COMPARED = 256  # numbers in the product of a token and a question
UNREAD = 0.25  # of the questions in training are answered without what the language model made of them
MOST_TOKENS = 1024  # visual tokens that the head can tell apart
BEST = 3  # spans whose scores say whether anything is there
LONGEST = 8.0  # exp of the largest log distance, about 50 minutes: keeps a wild start of training finite


@dataclass(frozen=True)
class Moments:
    """What the head says of S questions with up to V visual tokens each.

    inside:  float32 `[S, V]`, logit that a token is inside an occurrence.
    quality: float32 `[S, V]`, logit of the IoU that the span of the token has with the occurrence.
    spans:   float32 `[S, V, 2]`, seconds: the span that each token tells.
    present: float32 `[S]`, logit that what was asked for is in the video at all.
    is_real: bool `[S, V]`.
    proposals: spans of tokens and of shots with the logit of their IoU.
    summary: floating `[S, summary_width]`, what is known of each question after all was seen.
    """

    inside: Tensor
    quality: Tensor
    spans: Tensor
    present: Tensor
    is_real: Tensor
    proposals: Proposals
    summary: Tensor

    def part(self, some: slice) -> "Moments":
        """Of some of the questions."""
        told = {name: each[some] for name, each in vars(self).items() if name != "proposals"}
        return Moments(**told, proposals=self.proposals.part(some))

    def on_cpu(self) -> "Moments":
        """The same in float32, where Python reads numbers one by one."""
        told = {name: _on_cpu(each) for name, each in vars(self).items() if name != "proposals"}
        return Moments(**told, proposals=Proposals(*map(_on_cpu, vars(self.proposals).values())))


@dataclass(frozen=True)
class Known:
    """What is known of S questions without training (`prior.py`, `shots.py`).

    numbers: float32 `[S, V, KNOWN]`; meaning: of the questions; starts, ends: float32 `[S, V, NEAR + 1]` seconds, edges
    of shots that the span of a token may begin and end at; prior: float32 `[S, V]` standard deviations; shots: what the
    judge is told of them; runs: float32 `[S, P, 2]` seconds of shots that follow each other, is_run: bool `[S, P]`.
    """

    numbers: Tensor
    meaning: Meaning
    starts: Tensor
    ends: Tensor
    prior: Tensor
    shots: OfShots
    runs: Tensor
    is_run: Tensor

    def first(self, count: int) -> "Known":
        """Of the first questions alone."""
        shots = OfShots(*(each[:count] for each in vars(self.shots).values()))
        told = {name: each[:count] for name, each in vars(self).items() if name not in ("shots", "meaning")}
        return Known(**told, shots=shots, meaning=self.meaning.first(count))


def known_of(prior: Tensor, meaning: Meaning, shots: Shots, video: Tensor, is_real: Tensor, seconds: Tensor) -> Known:
    """prior `[S, V]` standard deviations, meaning of S texts, video `[S]`, is_real `[S, V]`, seconds `[S, V, 2]`."""
    numbers = torch.cat([prior_features(prior, is_real), features_of(prior, shots, video, is_real, seconds)], dim=-1)
    runs, is_run = runs_of_shots(shots)
    return Known(
        numbers,
        meaning,
        *candidates(shots, video),
        prior,
        OfShots.of(shots, prior, video, is_real),
        runs[video],
        is_run[video],
    )


class GroundingHead(nn.Module):
    """Visual tokens, and where they were read their hidden states, which know the question and what came before, to
    moments.

    language_width: None of a head that hears nothing of what a language model read.
    width: of the head; layers: of attention, to each other and to the words of the question.
    """

    places: Tensor

    def __init__(
        self, language_width: int | None, visual_width: int, width: int = 256, layers: int = 3, has_prior: bool = True
    ) -> None:
        super().__init__()
        self.prior = nn.Sequential(nn.Linear(KNOWN, width), nn.GELU(), nn.Linear(width, width)) if has_prior else None
        self.meaning = nn.Linear(MEANING, width) if has_prior else None
        self.words = nn.Sequential(nn.LayerNorm(MEANING), nn.Linear(MEANING, width)) if has_prior else None
        self.hidden = None if language_width is None else _heard(language_width, width)
        self.asked = None if language_width is None else _heard(language_width, width)
        self.visual = nn.Sequential(nn.LayerNorm(visual_width), nn.Linear(visual_width, width))
        self.seen, self.wanted = nn.Linear(width, COMPARED), nn.Linear(width, COMPARED)
        self.compared = nn.Linear(COMPARED, width)
        block = nn.TransformerDecoderLayer(width, 8, 2 * width, 0.1, batch_first=True, norm_first=True)
        self.mix = nn.TransformerDecoder(block, layers)
        self.register_buffer("places", sinusoid_table(MOST_TOKENS, width), persistent=False)
        self.conv = nn.Sequential(nn.Conv1d(width, width, 3, padding=1), nn.GELU())
        self.inside = nn.Linear(width, 1)
        self.quality = nn.Linear(width, 1)
        self.distances = nn.Linear(width, 2)
        self.judge = SpanJudge(width)
        self.points = nn.Linear(width, 2 * (NEAR + 2)) if has_prior else None  # at an edge of a shot, or measured
        self.summary_width = 3 * width + BEST + (KNOWN if has_prior else 0)
        self.present = nn.Sequential(nn.Linear(self.summary_width, width), nn.GELU(), nn.Linear(width, 1))
        nn.init.constant_(self.inside.bias, -2.0)  # most tokens are outside
        nn.init.zeros_(self.distances.weight)

    def forward(
        self,
        hidden: Tensor | None,
        visual: Tensor,
        asked: Tensor | None,
        spans: Tensor,
        is_real: Tensor,
        known: Known | None = None,
    ) -> Moments:
        """hidden `[S, V, L]`, visual `[S, V, D]` (the tokens before the language model), asked `[S, L]` (the hidden
        state after everything was read), spans float `[S, V, 2]` seconds of the tokens, is_real bool `[S, V]`.

        hidden and asked: None before anything is read, or where nothing of it is heard. known: None of a head that was
        made without, or where nothing is.
        """
        x = self.visual(visual)
        question = x.new_zeros(len(x), x.shape[-1])
        if self.hidden is not None and self.asked is not None and hidden is not None and asked is not None:
            read, question = self.hidden(hidden), self.asked(asked)
            if self.training:
                keeps = (torch.rand(len(asked), 1, device=asked.device) >= UNREAD).to(read.dtype)
                read, question = read * keeps[:, None], question * keeps
            x = x + read
        # Places count in tokens from the start: what matters is who is next to whom.
        x = x + self.places[: x.shape[1]].to(x.dtype)
        if self.prior is not None and self.meaning is not None and known is not None:
            x = x + self.prior(known.numbers.to(x.dtype))
            question = question + self.meaning(known.meaning.vectors.to(x.dtype))
        x = x + self.compared(self.seen(x) * self.wanted(question)[:, None]) + question[:, None]
        memory, is_word = self._memory(question, known)
        x = self.mix(x, memory, tgt_key_padding_mask=~is_real, memory_key_padding_mask=~is_word)
        x = x.masked_fill(~is_real[..., None], 0.0)
        local = x + self.conv(x.transpose(1, 2)).transpose(1, 2)
        local = local.masked_fill(~is_real[..., None], 0.0)

        inside = self.inside(local).squeeze(-1).float()
        log_seconds = self.distances(local).float().clamp(-5.0, LONGEST)
        middle = spans.mean(-1).float()
        reach = log_seconds.exp()
        start, end = middle - reach[..., 0], middle + reach[..., 1]
        if self.points is not None and known is not None:
            chances = self.points(local).float().unflatten(-1, (2, NEAR + 2)).softmax(-1)
            start = (chances[..., 0, :] * torch.cat([start[..., None], known.starts], dim=-1)).sum(-1)
            end = (chances[..., 1, :] * torch.cat([end[..., None], known.ends], dim=-1)).sum(-1)
        told = torch.stack([start, end], dim=-1)

        quality = self.quality(local).squeeze(-1).float()
        # What single tokens tell is judged beside the runs of shots, which it may name itself.
        likely = (inside + quality).masked_fill(~is_real, -torch.inf).detach()
        best = likely.topk(min(MOST_TOLD, likely.shape[1]), dim=1).indices
        proposed = told.detach().gather(1, best[..., None].expand(-1, -1, 2))
        proposed = torch.stack([proposed[..., 0].clamp(min=0.0), proposed[..., 1]], dim=-1)
        there = is_real.gather(1, best) & (proposed[..., 1] > proposed[..., 0])
        z = torch.zeros_like(inside) if known is None else known.prior
        shots = OfShots.one(spans, is_real) if known is None else known.shots
        if known is not None:
            proposed, there = torch.cat([proposed, known.runs], dim=1), torch.cat([there, known.is_run], dim=1)
        known_logits, seen = self.judge(local, question, z, shots, proposed, spans.float(), is_real)
        if self.training and known is not None:
            seen = seen * (torch.rand(len(seen), 1, device=seen.device) >= UNSEEN)
        proposals = Proposals(proposed, known_logits, seen, there, shots.counts)

        counts = is_real.sum(1, keepdim=True).clamp(min=1)
        attention = inside.masked_fill(~is_real, -torch.inf).softmax(1).to(local.dtype)
        focused = torch.einsum("sv,svc->sc", attention, local)
        overall = local.sum(1) / counts
        overview = [focused, overall, question, _best(proposals).to(local.dtype)]
        if self.prior is not None:
            numbers = local.new_zeros(*is_real.shape, KNOWN) if known is None else known.numbers.to(local.dtype)
            overview.append(torch.einsum("sv,svc->sc", attention, numbers))
        summary = torch.cat(overview, dim=-1)
        present = self.present(summary).squeeze(-1).float()
        return Moments(inside, quality, told, present, is_real, proposals, summary)

    def _memory(self, question: Tensor, known: Known | None) -> tuple[Tensor, Tensor]:
        """What tokens attend to beside each other, the question `[S, C]` and its words: `[S, 1 + W, C]`, and which of
        these are there."""
        memory, is_word = question[:, None], torch.ones_like(question[:, :1], dtype=torch.bool)
        if self.words is not None and known is not None:
            words = self.words(known.meaning.words.to(question.dtype))
            memory = torch.cat([memory, words], dim=1)
            is_word = torch.cat([is_word, known.meaning.is_word], dim=1)
        return memory, is_word


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.float().cpu() if tensor.is_floating_point() else tensor.cpu()


def _heard(inputs: int, outputs: int) -> nn.Sequential:
    """Layers that say nothing until they have learned: what reading adds changes nothing before."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.LayerNorm(inputs), layer)


def _best(proposals: Proposals) -> Tensor:
    """float32 `[S, BEST]`: the logits of the best spans, a quarter of them, what is beyond all of use cut off."""
    logits = proposals.logits.detach().clamp(-8.0, 8.0).masked_fill(~proposals.is_real, -8.0) / 4
    return functional.pad(logits, (0, BEST), value=-2.0).topk(BEST, dim=1).values  # there may be fewer


def prior_features(prior: Tensor, is_real: Tensor) -> Tensor:
    """float32 `[S, V, 4]` of standard deviations `[S, V]`: a third of them, below the best, above the mean, and of the
    best."""
    z = prior.float().masked_fill(~is_real, 0.0) / 3
    best = z.masked_fill(~is_real, -torch.inf).amax(1, keepdim=True)
    mean = z.sum(1, keepdim=True) / is_real.sum(1, keepdim=True).clamp(min=1)
    return torch.stack([z, z - best, z - mean, best.expand_as(z)], dim=-1) * is_real[..., None]


@dataclass(frozen=True)
class Targets:
    """What is true of S questions: spans float32 `[S, E, 2]` seconds with is_event bool `[S, E]`; is_present float32
    `[S]`, NaN where it is not known; is_asked bool `[S]`: whether a question asks for moments at all; right int64
    `[S]`: which of its options is, -1 where none is known."""

    spans: Tensor
    is_event: Tensor
    is_present: Tensor
    is_asked: Tensor
    right: Tensor


def moment_loss(moments: Moments, tokens: Tensor, targets: Targets) -> dict[str, Tensor]:
    """The losses of the head: `inside` (focal), `span` (1 - IoU + distances), `quality`, `present`, and that of the
    judge, `proposed` (`proposal_loss`).

    tokens: float `[S, V, 2]` seconds of the tokens. A token is inside where its middle is, and for an occurrence that
    no middle is in, the token that overlaps it most.
    """
    asked = targets.is_asked[:, None] & moments.is_real
    middle = tokens.mean(-1)
    overlap = torch.minimum(tokens[:, :, None, 1], targets.spans[:, None, :, 1]) - torch.maximum(
        tokens[:, :, None, 0], targets.spans[:, None, :, 0]
    )
    overlap = overlap.masked_fill(~(moments.is_real[:, :, None] & targets.is_event[:, None]), -torch.inf)  # [S, V, E]
    contains = (middle[:, :, None] >= targets.spans[:, None, :, 0]) & (
        middle[:, :, None] < targets.spans[:, None, :, 1]
    )
    contains = contains & moments.is_real[:, :, None] & targets.is_event[:, None]
    nearest = functional.one_hot(overlap.argmax(1), tokens.shape[1]).transpose(1, 2).bool()
    contains = contains | (nearest & ~contains.any(1, keepdim=True) & targets.is_event[:, None] & (overlap > 0))
    # Of several occurrences at once a token tells the shortest.
    lengths = (targets.spans[..., 1] - targets.spans[..., 0])[:, None].expand(contains.shape)
    which = lengths.masked_fill(~contains, torch.inf).argmin(-1)
    is_inside = contains.any(-1) & asked
    true = targets.spans.gather(1, which[..., None].expand(-1, -1, 2))  # [S, V, 2]

    focal = _focal(moments.inside, is_inside.float())
    found = is_inside.float()
    inside = (focal * asked).sum() / found.sum().clamp(min=1.0)

    iou = iou_of(moments.spans, true)
    length = (true[..., 1] - true[..., 0]).clamp(min=0.1)
    off = ((moments.spans - true).abs() / length[..., None]).clamp(max=10.0)
    wrong = 1 - iou + 0.5 * functional.smooth_l1_loss(off, torch.zeros_like(off), reduction="none").mean(-1)
    each = found / found.sum(1, keepdim=True).clamp(min=1.0)
    has = is_inside.any(1)
    span = _mean((wrong * each).sum(1), has)
    graded = functional.binary_cross_entropy_with_logits(moments.quality, iou.detach(), reduction="none")
    quality = _mean((graded * each).sum(1), has)

    known = ~targets.is_present.isnan()
    there = functional.binary_cross_entropy_with_logits(
        moments.present, targets.is_present.nan_to_num(0.0), reduction="none"
    )
    proposed = proposal_loss(moments.proposals, targets.spans, targets.is_event, targets.is_asked)
    present = _mean(there, known)
    return {"inside": inside, "span": span, "quality": quality, "present": present, "proposed": proposed}


def best_spans(moments: Moments, count: int, max_iou: float = 0.5) -> tuple[Tensor, Tensor]:
    """Of S questions the `count` best spans, float32 `[S, count, 2]` seconds, and the IoU `[S, count]` that each is
    thought to have by itself, as judge and language model were told them in training; where there are no more, the best
    again with a score of 0."""
    proposals = moments.proposals
    spans, row = proposals.spans, torch.arange(len(proposals.spans), device=proposals.spans.device)
    scores = proposals.logits.sigmoid() * proposals.is_real
    found: list[Tensor] = []
    told: list[Tensor] = []
    for _ in range(count):
        best, where = scores.max(1)
        chosen = torch.where((best > 0)[:, None], spans[row, where], found[0] if found else spans[row, where])
        found.append(chosen)
        told.append(best)
        scores = scores * (iou_of(spans, chosen[:, None]) <= max_iou)
    return torch.stack(found, dim=1), torch.stack(told, dim=1)


def scored_spans(
    moments: Moments, row: int, *, max_iou: float = 0.5, most: int = 20
) -> list[tuple[float, float, float]]:
    """(start, end, score) of one question, best first, seconds: see `chosen_spans`."""
    proposals = moments.proposals.part(slice(row, row + 1))
    spans = proposals.spans[0].tolist()
    return [(*spans[i], score) for i, score in chosen_spans(proposals, max_iou=max_iou, most=most)]


def _focal(logits: Tensor, truth: Tensor, gamma: float = 2.0, positive: float = 0.5) -> Tensor:
    """Lin et al. 2017, arXiv 1708.02002, equation 5."""
    probability = logits.sigmoid()
    right = probability * truth + (1 - probability) * (1 - truth)
    weight = positive * truth + (1 - positive) * (1 - truth)
    cross = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return weight * (1 - right) ** gamma * cross


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values.masked_fill(~where, 0.0)).sum() / where.sum().clamp(min=1)
