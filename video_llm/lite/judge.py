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
IN_ORDER = 5  # numbers that tell whether things follow each other in the order in which they are named
BESIDE = 7  # numbers that tell when an option is beside the question and the other options
SHARP = 16.0  # of what comes earlier: a sixteenth of the video apart is mostly so


@dataclass(frozen=True)
class Offered:
    """The K options of S questions, each S of its own or none.

    question: int64 `[K]`, whose option each is, in order; number: int64 `[K]`, which of its; fixed: int64 `[K]`, its
    place in `options.FIXED`, or -1; told: int64 `[T]`, which of the options have words; named_by: int64 `[U]`, the
    questions whose options name U things in an order; part: int64 `[P]`, which of these are the parts of which of the
    T, part_of int64 `[P]`; absent: bool `[T]`, whether the question asks for what does not happen.
    """

    question: Tensor
    number: Tensor
    fixed: Tensor
    told: Tensor
    named_by: Tensor
    part: Tensor
    part_of: Tensor
    absent: Tensor

    @property
    def rows(self) -> Tensor:
        """int64 `[2 T + U]`: the question of each text that the head is asked about for them: each option, each after
        its question, and what they name."""
        return torch.cat([*2 * [self.question[self.told]], self.named_by])


def offered_on(offers: options.Offered, device: torch.device | str) -> Offered:
    """The same on a device."""
    of_things = (offers.named_by, offers.part, offers.part_of, offers.absent)
    arrays = (offers.question, offers.number, offers.fixed, offers.told, *of_things)
    return Offered(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))


@dataclass(frozen=True)
class Heard:
    """What the head makes of R texts: summary floating `[R, D]`; numbers float32 `[R, NUMBERS]` (`numbers_of`); span
    float32 `[R, 2]`, the best, in its video from 0 to 1; present float32 `[R]`, how likely it is there at all."""

    summary: Tensor
    numbers: Tensor
    span: Tensor
    present: Tensor

    @classmethod
    def of(cls, moments: Moments, place: Tensor) -> "Heard":
        """place: float32 `[R, BEST_SPANS, 2]`, of the spans of `best_spans` in their videos, from 0 to 1."""
        return cls(moments.summary, numbers_of(moments, place), place[:, 0], moments.present.sigmoid())

    def split(self, sizes: list[int]) -> list["Heard"]:
        """Some after the others."""
        parts = zip(*(each.split(sizes) for each in vars(self).values()), strict=True)
        return [Heard(*some) for some in parts]

    @property
    def told(self) -> Tensor:
        """`[R, D + NUMBERS]`"""
        return torch.cat([self.summary, self.numbers.to(self.summary.dtype)], dim=-1)


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
        self.places = nn.Parameter(0.1 * torch.randn(MOST_CLAUSES, width))
        self.in_order, self.beside = nn.Linear(IN_ORDER, width), nn.Linear(BESIDE + IN_ORDER, width)
        block = nn.TransformerEncoderLayer(width, 8, 2 * width, 0.1, batch_first=True, norm_first=True)
        self.mix = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.logit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, heard: Heard, clause_of: Tensor, offered: Offered) -> Tensor:
        """float32 `[K]`: logits, to be compared within a question. Where one asks for what does not happen, that an
        option is not there is all that counts: of such questions a model learns the few forms that it meets.

        heard: of S questions, of the C things that they name (clause_of int64 `[C]`), and of `offered.rows`.
        """
        size = len(offered.told)
        count = len(heard.present) - len(clause_of) - len(offered.rows)
        parts = heard.split([count, len(clause_of), size, size, len(offered.named_by)])
        question, clauses, alone, joined = (
            each(part.told) for each, part in zip(self.items.values(), parts[:4], strict=True)
        )
        dtype = question.dtype
        question = question + self.in_order(in_order(parts[1], clause_of, count).to(dtype))
        clauses = clauses + self.places[places_in_groups(clause_of, count)].to(dtype)
        named = Heard(*(each[offered.part] for each in vars(parts[4]).values()))
        when = [beside(parts[2], parts[0], offered), in_order(named, offered.part_of, size)]
        answers = self.fixed[offered.fixed.clamp(min=0)].to(dtype) * (offered.fixed >= 0)[:, None]
        told = alone + joined + self.beside(torch.cat(when, dim=-1).to(dtype))
        answers = answers.index_add(0, offered.told, told.to(answers.dtype))

        items = torch.cat([question + self.kinds[0], clauses + self.kinds[1], answers + self.kinds[2]])
        of = torch.cat([torch.arange(count, device=items.device), clause_of, offered.question])
        place = places_in_groups(of, count)
        rows = items.new_zeros(count, int(place.max()) + 1 if len(place) else 1, items.shape[-1])
        there = torch.zeros(rows.shape[:2], dtype=torch.bool, device=rows.device).index_put(
            (of, place), torch.ones_like(of, dtype=torch.bool)
        )
        rows = rows.index_put((of, place), items)
        rows = self.mix(rows, src_key_padding_mask=~there)
        judged = rows[offered.question, place[len(question) + len(clauses) :]]
        logits = self.logit(judged).squeeze(-1).float()
        absent = -torch.logit(parts[2].present.float(), eps=1e-4)
        return logits.index_put((offered.told,), torch.where(offered.absent, absent, logits[offered.told]))


def in_order(things: Heard, group: Tensor, count: int) -> Tensor:
    """float32 `[count, IN_ORDER]`, of things in groups, one group after the other, `group` int64 `[R]`: whether each is
    later than the one before it, in the mean and where it is least so, from -1 to 1; how likely they are there, in the
    mean and the least likely; and 1. Zeros of a group of fewer than two."""
    middle = things.span.float().mean(-1)
    follows = group[1:] == group[:-1]
    later = ((middle[1:] - middle[:-1]) * SHARP / 2).tanh()[follows]
    of = group[1:][follows]
    steps = _count(of, count)
    is_told = (steps > 0).float()
    present = things.present.float()
    numbers = (
        torch.zeros_like(is_told).index_add(0, of, later) / steps.clamp(min=1),
        torch.ones_like(is_told).scatter_reduce(0, of, later, "amin"),
        torch.zeros_like(is_told).index_add(0, group, present) / _count(group, count).clamp(min=1),
        torch.ones_like(is_told).scatter_reduce(0, group, present, "amin"),
        torch.ones_like(is_told),
    )
    return torch.stack(numbers, dim=-1) * is_told[:, None]


def beside(alone: Heard, question: Heard, offered: Offered) -> Tensor:
    """float32 `[T, BESIDE]`, of the options that have words: how much later each is than what its question tells of,
    once roughly and once finely, how far after its end it starts and before its start it ends, whether it is there; and
    which shares of the other options of its question are there earlier and later."""
    of = offered.question[offered.told]
    span, asked = alone.span.float(), question.span.float()[of]
    middle, present = span.mean(-1), alone.present.float()
    apart = middle - asked.mean(-1)

    most = int(offered.number.max()) + 1 if len(offered.number) else 1
    rows, number = len(question.present), offered.number[offered.told]
    when, there = (
        each.new_zeros(rows, most).index_put((of, number), each) for each in (middle, present)
    )  # `[S, most options]`
    earlier = ((middle[:, None] - when[of]) * SHARP).sigmoid()
    others = there[of].scatter(1, number[:, None], 0.0)
    weight = others.sum(1).clamp(min=1e-3)
    numbers = (
        (apart * SHARP / 4).tanh(),
        (apart * SHARP).tanh(),
        ((span[:, 0] - asked[:, 1]) * SHARP).tanh(),
        ((asked[:, 0] - span[:, 1]) * SHARP).tanh(),
        present,
        (earlier * others).sum(1) / weight,
        ((1 - earlier) * others).sum(1) / weight,
    )
    return torch.stack(numbers, dim=-1)


def _count(of: Tensor, count: int) -> Tensor:
    return torch.zeros(count, device=of.device).index_add(0, of, torch.ones_like(of, dtype=torch.float32))


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
