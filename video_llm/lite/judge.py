"""Which of the answers that a question allows is right: each is judged, all of one question beside each other.

What the head makes of the question, of the things that it names, and of each option alone and after the question is one
item each; a few layers of attention between the items of a question tell what follows from them, such as which of two
things was found earlier.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvu.video_llm.lite import options
from tvu.video_llm.lite.content import MOST_CLAUSES
from tvu.video_llm.lite.head import Moments, best_spans

TURNS = 6  # sines and cosines that a time is told in, from half a turn over the video to 16
BEST_SPANS = 4  # of each item
NUMBERS = BEST_SPANS * (4 * TURNS + 1) + 5


@dataclass(frozen=True)
class Offered:
    """The K options of S questions, each S of its own or none.

    question: int64 `[K]`, whose option each is, in order; number: int64 `[K]`, which of its; fixed: int64 `[K]`, its
    place in `options.FIXED`, or -1; told: int64 `[T]`, which of the options have words.
    """

    question: Tensor
    number: Tensor
    fixed: Tensor
    told: Tensor


def offered_on(offers: options.Offered, device: torch.device | str) -> Offered:
    """The same on a device."""
    arrays = (offers.question, offers.number, offers.fixed, offers.told)
    return Offered(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))


class AnswerJudge(nn.Module):
    """Summaries of the head to a logit of each option.

    summary_width: of the head's; width, layers: of the attention between items.
    """

    def __init__(self, summary_width: int, width: int = 256, layers: int = 2) -> None:
        super().__init__()
        told = summary_width + NUMBERS
        self.items = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(told, width), nn.GELU(), nn.Linear(width, width))
                for name in ("question", "clause", "alone", "joined")
            }
        )
        self.fixed = nn.Parameter(0.1 * torch.randn(len(options.FIXED), width))
        self.kinds = nn.Parameter(0.1 * torch.randn(3, width))  # question, what it names, option
        # Which of the things a question names comes first in its words: without, `a before b` is as `b before a`.
        self.places = nn.Parameter(torch.zeros(MOST_CLAUSES, width))
        block = nn.TransformerEncoderLayer(width, 8, 2 * width, 0.1, batch_first=True, norm_first=True)
        self.mix = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.logit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, summary: Tensor, numbers: Tensor, clause_of: Tensor, offered: Offered) -> Tensor:
        """float32 `[K]`: logits, to be compared within a question.

        summary `[R, D]` and numbers `[R, NUMBERS]` (`numbers_of`) of S questions, of the C things that they name
        (clause_of int64 `[C]`), and of the T options with words, first alone, then after their questions.
        """
        told, size = torch.cat([summary, numbers.to(summary.dtype)], dim=-1), len(offered.told)
        count = len(told) - len(clause_of) - 2 * size
        parts = told.split([count, len(clause_of), size, size])
        question, clauses, alone, joined = (each(part) for each, part in zip(self.items.values(), parts, strict=True))
        clauses = clauses + self.places[places_in_groups(clause_of, count)].to(clauses.dtype)
        answers = self.fixed[offered.fixed.clamp(min=0)].to(told.dtype) * (offered.fixed >= 0)[:, None]
        answers = answers.index_add(0, offered.told, (alone + joined).to(answers.dtype))

        items = torch.cat([question + self.kinds[0], clauses + self.kinds[1], answers + self.kinds[2]])
        of = torch.cat([torch.arange(count, device=told.device), clause_of, offered.question])
        place = places_in_groups(of, count)
        rows = items.new_zeros(count, int(place.max()) + 1 if len(place) else 1, items.shape[-1])
        there = torch.zeros(rows.shape[:2], dtype=torch.bool, device=rows.device).index_put(
            (of, place), torch.ones_like(of, dtype=torch.bool)
        )
        rows = rows.index_put((of, place), items)
        rows = self.mix(rows, src_key_padding_mask=~there)
        judged = rows[offered.question, place[len(question) + len(clauses) :]]
        return self.logit(judged).squeeze(-1).float()


def places_in_groups(of: Tensor, count: int) -> Tensor:
    """int64 `[N]`: how many of those before each are of the same of `count` groups; `of` int64 `[N]`."""
    order = of.argsort(stable=True)
    sizes = torch.zeros(count, dtype=torch.long, device=of.device).index_add(0, of, torch.ones_like(of))
    first = sizes.cumsum(0) - sizes
    place = torch.empty_like(of)
    place[order] = torch.arange(len(of), device=of.device) - first[of[order]]
    return place


def numbers_of(moments: Moments, place: Tensor) -> Tensor:
    """float32 `[R, NUMBERS]`: when the best spans are and how good, how much of the video is inside, in how many
    pieces, and whether it is there at all.

    place: float32 `[R, BEST_SPANS, 2]`, of the spans of `best_spans` in their videos, from 0 to 1.
    """
    _, scores = best_spans(moments, BEST_SPANS)
    turns = torch.logspace(-1.0, 4.0, TURNS, base=2.0, device=place.device)
    angles = place[..., None] * turns * 2 * torch.pi
    times = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(2)
    inside = moments.inside.sigmoid() * moments.is_real
    rises = (inside - functional.pad(inside, (1, 0))[:, :-1]).clamp(min=0).sum(1)
    share = inside.sum(1) / moments.is_real.sum(1).clamp(min=1)
    others = [rises, share, (scores > 0.5).sum(1).float(), scores.sum(1), moments.present.sigmoid()]
    return torch.cat([times.flatten(1), scores, torch.stack(others, dim=-1)], dim=-1).float()


def answer_loss(logits: Tensor, offered: Offered, right: Tensor) -> Tensor:
    """Cross entropy of the right option among those of its question, mean over the questions of which it is known.

    logits float32 `[K]`; right int64 `[S]`, which option of each question, -1 where that is not known.
    """
    table = by_question(logits, offered, len(right))
    known = right >= 0
    each = functional.cross_entropy(table, right.clamp(min=0), reduction="none")
    return each.masked_fill(~known, 0.0).sum() / known.sum().clamp(min=1)


def by_question(logits: Tensor, offered: Offered, count: int) -> Tensor:
    """float32 `[S, most options]`, -1e4 where a question has no such option."""
    most = int(offered.number.max()) + 1 if len(offered.number) else 1
    table = logits.new_full((count, most), -1e4)
    return table.index_put((offered.question, offered.number), logits)
