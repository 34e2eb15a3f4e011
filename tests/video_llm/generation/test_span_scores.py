"""Scores of spans, held against every answer that a model could give."""

import math
import random
from collections import defaultdict

import pytest
import torch

from tests.video_llm.generation.speakers import TableModel, letters, text_prompt, tiny
from tvu.temporal.spans import iou
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.types import Span
from tvu.video_llm.generate import GenerateConfig, generate, read_prefix
from tvu.video_llm.generation.constraint import GrammarConstraint, TimedCaptions
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.generation.span_scores import (
    ScoredSpan,
    SpanSearch,
    best_spans,
    distinct_spans,
    read_captions,
    score_spans,
)
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder

DURATION = 8.0
EVERYTHING = SpanSearch(count=100, beam=64, alike=1.0, max_iou=1.0)  # no span stands for another


def told_by_chance(size: int, spread: float = 2.0) -> TableModel:
    """Every beginning has a distribution of its own."""

    def logits(ids):
        generator = random.Random(str(ids))
        return torch.tensor([generator.gauss(0, spread) for _ in range(size)])

    return TableModel(size, logits)


@pytest.fixture(scope="module")
def lita():
    codec, tokenizer = LitaTimeTokens(5), letters()
    tokenizer.add_tokens(list(codec.added_tokens))
    return codec, tokenizer


def enumerated(model, constraint: GrammarConstraint, ids=(3, 4)) -> dict[Span, float]:
    """The probability of every first span, by following every answer."""
    found = defaultdict(float)

    def follow(state, written, probability):
        allowed = list(state.allowed())
        for token, p in zip(allowed, model.logits_after(written)[allowed].softmax(-1).tolist(), strict=True):
            following = state.after(token)
            if following.spans:
                found[following.spans[0]] += probability * p
            else:
                follow(following, (*written, token), probability * p)

    follow(constraint, ids, 1.0)
    return dict(found)


@pytest.mark.parametrize("codec", [LitaTimeTokens(5), TextTimes()])
def test_the_search_finds_every_span_with_its_probability(codec):
    tokenizer = letters()
    tokenizer.add_tokens(list(codec.added_tokens))
    duration = DURATION if codec.added_tokens else 0.5
    model, constraint = told_by_chance(len(tokenizer)), GrammarConstraint.of(codec, duration, tokenizer)
    expected = enumerated(model, constraint)
    assert sum(expected.values()) == pytest.approx(1)
    told = best_spans(text_prompt([[3, 4]]), model, [constraint], EVERYTHING)[0]
    assert dict(told) == pytest.approx(expected, abs=1e-4)


def test_a_narrow_beam_finds_the_best_and_never_more_than_is_there(lita):
    codec, tokenizer = lita
    model, constraint = told_by_chance(len(tokenizer), 6.0), GrammarConstraint.of(codec, DURATION, tokenizer)
    expected = enumerated(model, constraint)
    told = best_spans(text_prompt([[3, 4]]), model, [constraint], SpanSearch(1, 4, alike=1.0))[0]
    assert told[0].span == max(expected, key=expected.get)
    assert told[0].score <= expected[told[0].span] + 1e-6


def test_questions_about_one_prefix_have_the_spans_they_have_alone(lita):
    codec, tokenizer = lita
    model = tiny("llama", vocab_size=len(tokenizer))
    language = FusedDecoder(model)
    rows = [[9, 8, 7, 1], [9, 8, 7, 2, 3], [9, 8, 7]]
    limits = [GrammarConstraint.of(codec, seconds, tokenizer) for seconds in (4.0, 8.0, 12.0)]
    alone = [best_spans(text_prompt([row]), language, [limit])[0] for row, limit in zip(rows, limits, strict=True)]
    prefix = read_prefix(text_prompt([rows[0][:3]]), language)
    for told in (
        best_spans(text_prompt(rows), language, limits),
        best_spans(text_prompt(rows), language, limits, prefix=prefix),
        best_spans(text_prompt(rows), TransformersDecoder(model), limits),
    ):
        for expected, scored in zip(alone, told, strict=True):
            assert [s.span for s in scored] == [s.span for s in expected]
            assert [s.score for s in scored] == pytest.approx([s.score for s in expected], abs=1e-4)


def test_scores_come_best_first_and_their_spans_differ(lita):
    codec, tokenizer = lita
    constraint = GrammarConstraint.of(codec, DURATION, tokenizer)
    search = SpanSearch(count=3, alike=0.6, max_iou=0.3)
    told = best_spans(text_prompt([[3]]), told_by_chance(len(tokenizer)), [constraint], search)[0]
    assert 1 < len(told) <= 3
    assert all(0 < score <= 1 for _, score in told)
    assert [s.score for s in told] == sorted((s.score for s in told), reverse=True)
    assert all(iou(a.span, b.span) <= 0.3 for a in told for b in told if a is not b)


def test_spans_that_mean_the_same_are_added_up():
    near = {Span(10, 20): 0.3, Span(10, 20.1): 0.25, Span(40, 50): 0.35, Span(12, 17): 0.1}
    told = distinct_spans(near, SpanSearch(alike=0.7, max_iou=0.4))
    assert told == [ScoredSpan(Span(10, 20), 0.55), ScoredSpan(Span(40, 50), 0.35)]  # 12..17 overlaps a better one


@pytest.mark.parametrize("max_spans", [1, 3])
def test_the_score_of_an_emitted_span_is_that_of_its_times(lita, max_spans):
    codec, tokenizer = lita
    model = told_by_chance(len(tokenizer))
    constraint = GrammarConstraint.of(codec, DURATION, tokenizer, max_spans=max_spans)
    said = generate(text_prompt([[3, 4]]), model, tokenizer, GenerateConfig(24), constraints=[constraint])[0]
    scored = score_spans(said, constraint)
    assert [s.span for s in scored] == codec.decode_spans(said.text, DURATION)
    pieces = tokenizer.convert_ids_to_tokens(list(said.token_ids))
    counted, expected, ticks = 0.0, [], 0
    for piece, log_prob in zip(pieces, said.log_probs, strict=True):
        is_join = ticks and ticks % 2 == 0
        counted += log_prob if piece.startswith("<t") or is_join else 0.0
        ticks += piece.startswith("<t")
        if piece.startswith("<t") and ticks % 2 == 0:
            expected.append(math.exp(counted))
            counted = 0.0
    assert [s.score for s in scored] == pytest.approx(expected)
    assert len(scored) == 1 if max_spans == 1 else len(scored) > 1


def test_a_blank_between_two_times_does_not_count_and_a_digit_does():
    codec, tokenizer = TextTimes(), letters()
    model = told_by_chance(len(tokenizer))
    constraint = GrammarConstraint.of(codec, 30.0, tokenizer)
    said = generate(text_prompt([[3]]), model, tokenizer, constraints=[constraint])[0]
    is_digit = [piece in "0123456789." for piece in tokenizer.convert_ids_to_tokens(list(said.token_ids))]
    if said.text.endswith("."):
        is_digit[-1] = False
    counted = sum(p for p, digit in zip(said.log_probs, is_digit, strict=True) if digit)
    (scored,) = score_spans(said, constraint)
    assert scored.score == pytest.approx(math.exp(counted))


def test_captions_come_with_their_times_and_the_scores_of_those(lita):
    codec, tokenizer = lita
    model = told_by_chance(len(tokenizer))
    constraint = TimedCaptions.of(codec, DURATION, tokenizer, max_captions=4)
    said = generate(text_prompt([[5]]), model, tokenizer, GenerateConfig(120), constraints=[constraint])[0]
    captions = read_captions(said, constraint, tokenizer)
    assert captions
    assert [(c.span, c.score) for c in captions] == score_spans(said, constraint)
    assert [c.text for c in captions] == [
        line.split(">")[2].strip() for line in said.text.strip("\n").split("\n") if line
    ]


def test_the_search_refuses_what_does_not_fit(lita):
    codec, tokenizer = lita
    model, constraint = told_by_chance(len(tokenizer)), GrammarConstraint.of(codec, DURATION, tokenizer)
    with pytest.raises(ValueError, match="2 constraints for 1"):
        best_spans(text_prompt([[1]]), model, [constraint] * 2)
    with pytest.raises(Exception, match="more than the 512"):
        best_spans(text_prompt([[1] * 512]), model, [constraint])
    with pytest.raises(ValueError, match="beam from 1"):
        SpanSearch(beam=0)
