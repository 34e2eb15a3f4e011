"""How sure a model is of a span: from the distributions of the tokens that its times are written with."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tvu.temporal.spans import iou, non_maximum_suppression
from tvu.temporal.time_tokens.grammar import cut
from tvu.temporal.types import Span
from tvu.video_llm.errors import PromptTooLong
from tvu.video_llm.generate import read_row, shared_prefix
from tvu.video_llm.generation.constraint import GrammarConstraint, TimedCaptions
from tvu.video_llm.generation.language import LanguageModel, Prefix, Workspace
from tvu.video_llm.types import Generation, Prompt

NEGLIGIBLE = 1e-6  # probability of a beginning that is not followed any further


class ScoredSpan(NamedTuple):
    """A span, and how probable the model finds it, in [0, 1]."""

    span: Span
    score: float


class Caption(NamedTuple):
    """What happens in a span; score: how probable the model finds its times."""

    span: Span
    text: str
    score: float


def score_spans(generation: Generation, constraint: GrammarConstraint | TimedCaptions) -> list[ScoredSpan]:
    """The spans of a constrained answer, in the order in which they were written.

    constraint: the one that the answer was generated under, as it was given to `generate`.

    The score of a span is the product of the probabilities of every token that holds a symbol of one of its two times,
    each among what the grammar allowed there: the probability of these times where a span is told at all, given what
    was written before. For a span after the first of a list it is also the probability that there is another one: the
    tokens that join it to the one before, chosen against the end of the answer, count as its own. Other text does not
    count: neither which of ` - ` and `-` stands between two times, though the second time is told given that one, nor
    ` seconds`, nor captions. `best_spans` adds up the ways of writing a span instead.
    """
    scored: list[ScoredSpan] = []
    log_prob = 0.0
    for token, value in zip(generation.token_ids, generation.log_probs, strict=True):
        constraint = constraint.after(token)
        log_prob += value if constraint.tells_times else 0.0
        for span in constraint.spans[len(scored) :]:
            scored.append(ScoredSpan(span, min(1.0, math.exp(log_prob))))
            log_prob = 0.0
    return scored


def read_captions(generation: Generation, constraint: TimedCaptions, tokenizer: Any) -> list[Caption]:
    """The dense captions of an answer that was generated under `constraint`, in the order of writing."""
    texts: list[list[int]] = []
    state = constraint
    for token in generation.token_ids:
        state = state.after(token)
        if len(state.spans) > len(texts):
            texts.append([])
        if state.is_text:
            texts[-1].append(token)
    told = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in texts]
    scored = score_spans(generation, constraint)
    return [Caption(span, text, score) for (span, score), text in zip(scored, told, strict=True)]


@dataclass(frozen=True)
class SpanSearch:
    """How the best spans are looked for.

    count:   at most so many.
    beam:    beginnings of answers that are followed side by side.
    alike:   spans of at least this IoU mean the same; their probabilities are added.
    max_iou: of what is then told, no two spans overlap more.
    """

    count: int = 5
    beam: int = 16
    alike: float = 0.7
    max_iou: float = 0.5

    def __post_init__(self) -> None:
        if self.count < 1 or self.beam < 1 or not (0 < self.alike <= 1 and 0 <= self.max_iou <= 1):
            raise ValueError(f"count and beam from 1, alike in (0, 1], max_iou in [0, 1]; not {self}")


@torch.inference_mode()
def best_spans(
    prompt: Prompt,
    language: LanguageModel,
    constraints: Sequence[GrammarConstraint],
    search: SpanSearch | None = None,
    *,
    prefix: Prefix | None = None,
) -> list[list[ScoredSpan]]:
    """For each row of `prompt` the different spans that the model finds most probable as its first, best first.

    constraints: of each row; only the first span of what they allow is looked at.
    prefix:      what `read_prefix` gave for the beginning of every row.

    Beam search over the ways of writing a span: the probability of one is the product over all its tokens, up to the
    end of its second time, and a span has the sum over its ways that were found: a lower bound, which lacks only ways
    that begin with less than 1e-6 where no more than `search.beam` others are unfinished at a time. Scores tell how
    probable a span is, give or take (`search.alike`), where there is one: the grammar leaves no other answer.

    Rows are searched one after another, each with `search.beam` rows of the model's memory; what all rows begin with
    is read once. Raises PromptTooLong, and ValueError where the arguments do not fit each other.
    """
    search = search or SpanSearch()
    if len(constraints) != len(prompt.input_ids):
        raise ValueError(f"{len(constraints)} constraints for {len(prompt.input_ids)} prompts")
    longest = int(prompt.lengths.max()) + max(map(_most_tokens, constraints))
    if longest > language.max_positions:
        raise PromptTooLong(
            f"the prompt and a span need {longest} positions, more than the {language.max_positions} of the model",
            hint="look at fewer frames, or reduce their tokens more",
        )
    told = []
    with language.borrow(search.beam, longest) as workspace:
        if prefix is None:
            prefix = shared_prefix(prompt, language, workspace, 0)
        for row, constraint in enumerate(constraints):
            logits = read_row(prompt, row, language, workspace, 0, prefix)
            workspace.reorder([0] * search.beam)
            found = _written_spans(logits, constraint, workspace, search.beam, int(prompt.lengths[row]))
            told.append(distinct_spans(found, search))
    return told


def distinct_spans(probabilities: Mapping[Span, float], search: SpanSearch) -> list[ScoredSpan]:
    """Spans that mean the same joined under the most probable of them, then the best of what remains."""
    remaining = sorted(probabilities.items(), key=lambda item: -item[1])
    joined: list[ScoredSpan] = []
    while remaining:
        best = remaining[0][0]
        is_alike = [iou(span, best) >= search.alike for span, _ in remaining]
        score = sum(p for (_, p), alike in zip(remaining, is_alike, strict=True) if alike)
        joined.append(ScoredSpan(best, min(1.0, score)))
        remaining = [item for item, alike in zip(remaining, is_alike, strict=True) if not alike]
    kept = non_maximum_suppression([j.span for j in joined], [j.score for j in joined], search.max_iou)
    return [joined[place] for place in kept[: search.count]]


def _written_spans(
    logits: Tensor, constraint: GrammarConstraint, workspace: Workspace, beam: int, length: int
) -> dict[Span, float]:
    """The probability of every first span that a beam meets; all rows of `workspace` hold the prompt of `length`."""
    found: dict[Span, float] = defaultdict(float)
    live, rows = [(0.0, constraint)], logits[None]
    while True:
        ahead = []
        for row, (log_prob, state) in enumerate(live):
            ids = torch.as_tensor(state.allowed(), device=rows.device)
            values = (rows[row, ids].log_softmax(-1) + log_prob).tolist()
            for token, value in zip(ids.tolist(), values, strict=True):
                following = state.after(token)
                if following.ticks:
                    found[following.spans[0]] += math.exp(value)
                elif value > math.log(NEGLIGIBLE):
                    ahead.append((value, row, token, following))
        ahead = sorted(ahead, key=lambda item: -item[0])[:beam]
        if not ahead:
            return dict(found)
        live = [(value, following) for value, _, _, following in ahead]
        spare = [ahead[0]] * (beam - len(ahead))
        workspace.reorder([row for _, row, _, _ in [*ahead, *spare]], since=length)
        ids = torch.tensor([[token] for _, _, token, _ in [*ahead, *spare]], device=rows.device)
        rows = workspace.step(ids)[:, 0]
        workspace.advance([1] * beam)


def _most_tokens(constraint: GrammarConstraint) -> int:
    """Tokens of the first span at most: a blank, two times and what stands between them, a symbol each."""
    grammar = constraint.pieces.grammar
    time = cut(constraint.codec.encode(constraint.duration, constraint.duration), grammar.field)
    return 1 + 2 * len(time) + max(map(len, grammar.between))
