"""Spans and presence off hidden states, and what is lost where they are wrong."""

import pytest
import torch
from torch import Tensor

from tvu.video_llm.lite.head import GroundingHead, Moments, Targets, moment_loss, scored_spans

SURE = 30.0  # a logit


def half_seconds(tokens: int) -> Tensor:
    starts = torch.arange(tokens) / 2
    return torch.stack([starts, starts + 0.5], -1)[None]


def targets(*spans: tuple[float, float], is_asked: bool = True, is_present: float | None = 1.0) -> Targets:
    told = torch.tensor([spans or [(0.0, 0.0)]], dtype=torch.float32)
    present = torch.tensor([float("nan") if is_present is None else is_present])
    return Targets(told, torch.full(told.shape[:2], bool(spans)), present, torch.tensor([is_asked]))


def moments(inside: Tensor, spans: Tensor, present: float = SURE) -> Moments:
    """A head that is sure of what it says; inside: bool `[V]`, spans `[V, 2]`."""
    sure = torch.where(inside, SURE, -SURE)[None]
    real = torch.ones(1, len(inside), dtype=torch.bool)
    return Moments(sure, torch.full_like(sure, SURE), spans[None], torch.tensor([present]), real)


def right(tokens: int, *spans: tuple[float, float]) -> Moments:
    middle = half_seconds(tokens)[0].mean(-1)
    told, inside = torch.zeros(tokens, 2), torch.zeros(tokens, dtype=torch.bool)
    for start, end in spans:
        here = (middle >= start) & (middle < end)
        inside |= here
        told[here] = torch.tensor([start, end])
    return moments(inside, told, SURE if spans else -SURE)


def test_nothing_is_lost_where_everything_is_right():
    for truth in ([(1.0, 3.0)], [(0.5, 1.5), (3.0, 4.5)]):
        losses = moment_loss(right(10, *truth), half_seconds(10), targets(*truth))
        assert sum(map(float, losses.values())) == pytest.approx(0, abs=1e-5)


def test_a_token_inside_two_occurrences_tells_the_shorter():
    told = right(10, (0.0, 5.0), (1.0, 2.0))  # written in this order: the short one stands in its tokens
    losses = moment_loss(told, half_seconds(10), targets((0.0, 5.0), (1.0, 2.0)))
    assert float(losses["span"]) == pytest.approx(0, abs=1e-5)
    longer = moments(torch.ones(10, dtype=torch.bool), torch.tensor([[0.0, 5.0]]).repeat(10, 1))
    assert float(moment_loss(longer, half_seconds(10), targets((0.0, 5.0), (1.0, 2.0)))["span"]) > 0.1


def test_an_event_between_the_middles_of_tokens_belongs_to_the_token_that_sees_most_of_it():
    inside = torch.zeros(10, dtype=torch.bool)
    inside[4] = True
    told = moments(inside, torch.tensor([[2.0, 2.2]]).repeat(10, 1))
    losses = moment_loss(told, half_seconds(10), targets((2.0, 2.2)))  # middles are at 1.75, 2.25, ...
    assert sum(map(float, losses.values())) == pytest.approx(0, abs=1e-5)


def test_a_question_that_asks_for_no_moment_teaches_the_head_nothing():
    wrong = moments(torch.ones(6, dtype=torch.bool), torch.zeros(6, 2), -SURE)
    losses = moment_loss(wrong, half_seconds(6), targets(is_asked=False, is_present=None))
    assert all(float(loss) == 0 for loss in losses.values())


def test_what_is_absent_has_no_token_inside():
    quiet = right(6)
    assert sum(map(float, moment_loss(quiet, half_seconds(6), targets(is_present=0.0)).values())) < 1e-5
    loud = moments(torch.ones(6, dtype=torch.bool), torch.zeros(6, 2))
    losses = moment_loss(loud, half_seconds(6), targets(is_present=0.0))
    assert float(losses["inside"]) > 1 and float(losses["present"]) > 1 and float(losses["span"]) == 0


def test_losses_are_finite_and_have_gradients_at_the_start_of_training():
    torch.manual_seed(0)
    head = GroundingHead(12, 8, width=16, layers=1, has_prior=False)
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    found = head(torch.randn(2, 6, 12), torch.randn(2, 6, 8), torch.randn(2, 12), half_seconds(6).repeat(2, 1, 1), real)
    both = Targets(
        torch.tensor([[[0.0, 1.0]], [[1.0, 1.2]]]),
        torch.ones(2, 1, dtype=torch.bool),
        torch.ones(2),
        torch.ones(2, dtype=torch.bool),
    )
    total = sum(moment_loss(found, half_seconds(6).repeat(2, 1, 1), both).values())
    total.backward()
    assert torch.isfinite(total) and all(torch.isfinite(each.grad).all() for each in head.parameters())


def test_padding_changes_nothing_of_what_the_head_says():
    torch.manual_seed(0)
    head = GroundingHead(12, 8, width=16, layers=1, has_prior=False).eval()
    hidden, visual, asked = torch.randn(1, 6, 12), torch.randn(1, 6, 8), torch.randn(1, 12)
    alone = head(hidden[:, :4], visual[:, :4], asked, half_seconds(4), torch.ones(1, 4, dtype=torch.bool))
    padded = head(hidden, visual, asked, half_seconds(6), torch.tensor([[True] * 4 + [False] * 2]))
    torch.testing.assert_close(padded.inside[:, :4], alone.inside, atol=1e-5, rtol=0)  # float32, another order
    torch.testing.assert_close(padded.spans[:, :4], alone.spans, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded.present, alone.present, atol=1e-5, rtol=0)


def test_spans_come_best_first_and_each_once():
    told = right(10, (0.5, 1.5), (3.0, 4.5))
    found = scored_spans(told, 0)
    assert sorted((start, end) for start, end, score in found if score > 0.9) == [(0.5, 1.5), (3.0, 4.5)]
    scores = [score for *_, score in found]
    assert scores == sorted(scores, reverse=True)


def test_a_span_before_the_video_begins_with_it_and_one_without_length_is_none():
    told = moments(torch.ones(2, dtype=torch.bool), torch.tensor([[-2.0, 1.0], [1.0, 1.0]]))
    assert [(start, end) for start, end, _ in scored_spans(told, 0)] == [(0.0, 1.0)]
