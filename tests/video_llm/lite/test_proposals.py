"""Which spans may be the answer, what is told of each, what is lost by a wrong order, and which are told."""

from dataclasses import replace
from itertools import permutations
from math import exp, log

import pytest
import torch
from torch import Tensor

from tvu.video_llm.lite.proposals import (
    AROUND,
    FEW_SHOTS,
    LONGEST_RUN,
    NUMBERS,
    SOFTENED,
    OfShots,
    Proposals,
    SpanJudge,
    chosen_spans,
    proposal_loss,
    runs_of_shots,
    weighed,
)
from tvu.video_llm.lite.shots import NEAR, Shots

SURE = 10.0  # a logit
WIDTH = 16


def half_seconds(tokens: int, start: float = 0.0) -> Tensor:
    starts = start + torch.arange(tokens) / 2
    return torch.stack([starts, starts + 0.5], -1)[None]


def shots_of(edges: list[list[float]], of_token: list[list[int]], alike: list[list[float]] | None = None) -> Shots:
    """Shots of videos; alike: of each shot and the next. What a video has fewer of is empty, at its end."""
    counts = [len(each) - 1 for each in edges]
    most = max(counts)
    padded = torch.tensor([each + each[-1:] * (most + 1 - len(each)) for each in edges])
    near = torch.zeros(len(edges), most, 2 * NEAR)
    if alike is not None:
        near[..., NEAR] = torch.tensor(alike)
    return Shots(padded, torch.zeros_like(padded), torch.tensor(of_token), near, torch.tensor(counts))


# --- runs of shots ---


def runs(shots: Shots, video: int) -> list[tuple[float, float]]:
    spans, there = runs_of_shots(shots)
    return sorted((start, end) for start, end in spans[video][there[video]].tolist())


def test_runs_begin_and_end_with_a_cut_and_are_not_too_long():
    edges = [float(each**2) for each in range(LONGEST_RUN + 4)]  # two shots more than a run has, and one
    expected = [(a, b) for i, a in enumerate(edges) for b in edges[i + 1 : i + 1 + LONGEST_RUN]]
    assert runs(shots_of([edges], [[0]]), 0) == sorted(expected)


def test_shots_that_a_video_lacks_are_in_no_run():
    shots = shots_of([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.5, 4.0]], [[0], [0]])
    assert len(runs(shots, 0)) == 10 and runs(shots, 1) == [(0.0, 1.5), (0.0, 4.0), (1.5, 4.0)]


def test_a_video_of_one_shot_has_one_run():
    assert runs(shots_of([[60.0, 62.0]], [[0]]), 0) == [(60.0, 62.0)]


# --- what is lost ---

TRUTH = (0.0, 4.0)


def proposed(*spans: tuple[float, float], logits: list[float]) -> Proposals:
    """Of one question about a video of one shot; logits: by what is known alone."""
    told, real = torch.tensor([logits], requires_grad=True), torch.ones(1, len(spans), dtype=torch.bool)
    return Proposals(torch.tensor([spans]), told, torch.zeros_like(told), real, torch.tensor([1]))


def lost(proposals: Proposals, *truth: tuple[float, float], is_asked: bool = True) -> Tensor:
    """Of one question; what has no truth is absent."""
    events = torch.tensor([truth or [(0.0, 0.0)]])
    is_event = torch.full(events.shape[:2], bool(truth))
    return proposal_loss(proposals, events, is_event, torch.tensor([is_asked]))


def taught(proposals: Proposals, *truth: tuple[float, float], is_asked: bool = True) -> list[float]:
    """The gradient of each logit."""
    (gradient,) = torch.autograd.grad(lost(proposals, *truth, is_asked=is_asked), proposals.known)
    return gradient[0].tolist()


def test_nothing_is_lost_by_a_judge_that_knows():
    told = proposed((0.0, 4.0), (4.0, 8.0), (6.0, 8.0), logits=[SURE, -SURE, -SURE])
    assert lost(told, TRUTH) < 1e-3  # a logit of 10 is sure to 5e-5


def test_of_two_occurrences_neither_has_to_come_first():
    told = proposed((0.0, 4.0), (6.0, 8.0), (4.0, 5.0), logits=[SURE, SURE, -SURE])
    assert lost(told, TRUTH, (6.0, 8.0)).item() == pytest.approx(0.25 * log(2), abs=1e-3)


def test_every_other_order_costs_more():
    spans = ((0.0, 4.0), (0.0, 3.0), (0.0, 1.5), (5.0, 8.0))  # IoU 1, 3/4, 3/8 and 0
    costs = {
        order: lost(proposed(*spans, logits=list(order)), TRUTH).item()
        for order in permutations((3.0, 1.0, -1.0, -3.0))
    }
    assert min(costs, key=costs.__getitem__) == (3.0, 1.0, -1.0, -3.0)
    assert max(costs, key=costs.__getitem__)[0] == -3  # worst of all is the best last


def test_a_logit_is_to_tell_the_iou():
    half = (0.0, 2.0)
    gradients = [taught(proposed(half, logits=[each]), TRUTH)[0] for each in (-1.0, 0.0, 1.0)]
    assert gradients[0] < 0 and gradients[1] == pytest.approx(0, abs=1e-6) and gradients[2] > 0


def test_many_spans_nowhere_near_count_together_as_much_as_those_that_are():
    near, far = (0.0, 1.0), (6.0, 7.0)  # IoU 1/4, too little to be ranked
    few, many = (proposed(near, *[far] * count, logits=[1.0] * (1 + count)) for count in (1, 20))
    torch.testing.assert_close(lost(few, TRUTH), lost(many, TRUTH))


def test_what_is_absent_is_taught_to_be_nowhere():
    assert min(taught(proposed((0.0, 4.0), (4.0, 8.0), (6.0, 8.0), logits=[2.0, 0.0, -2.0]))) > 0


def test_a_question_that_asks_for_nothing_teaches_nothing():
    told = proposed((0.0, 4.0), (4.0, 8.0), logits=[-SURE, SURE])
    assert lost(told, TRUTH, is_asked=False) == 0 and taught(told, TRUTH, is_asked=False) == [0, 0]


def test_neither_it_nor_what_is_no_proposal_changes_what_others_lose():
    alone = proposed((0.0, 4.0), (1.0, 8.0), logits=[-1.0, 1.0])
    spans = torch.tensor([[(0.0, 4.0), (1.0, 8.0), (0.0, 4.0)], [(0.0, 1.0), (4.0, 8.0), (0.0, 4.0)]])
    is_real = torch.tensor([[True, True, False], [True, True, True]])
    told = torch.tensor([[-1.0, 1.0, 5.0], [3.0, 4.0, 5.0]])
    both = Proposals(spans, told, torch.zeros_like(told), is_real, torch.tensor([1, 1]))
    events, is_event = torch.tensor([[TRUTH], [TRUTH]]), torch.ones(2, 1, dtype=torch.bool)
    found = proposal_loss(both, events, is_event, torch.tensor([True, False]))
    torch.testing.assert_close(found, lost(alone, TRUTH))


def test_a_logit_is_of_what_is_known_and_of_what_is_seen():
    told = proposed((0.0, 4.0), (1.0, 8.0), logits=[-1.0, 1.0])
    turned = replace(told, known=told.seen, seen=told.known)
    mixed = replace(told, known=told.known - 3, seen=told.seen + 3)
    for other in (turned, mixed):
        torch.testing.assert_close(other.logits, told.logits)
        torch.testing.assert_close(lost(other, TRUTH), lost(told, TRUTH))


# --- which are told ---


def told_of(proposals: Proposals, max_iou: float = 0.5, most: int = 9) -> list[tuple[int, float]]:
    return chosen_spans(proposals, max_iou=max_iou, most=most)


def order(proposals: Proposals, max_iou: float = 0.5) -> list[int]:
    return [index for index, _ in told_of(proposals, max_iou)]


def test_a_span_that_many_likely_ones_agree_with_comes_before_one_that_is_likeliest_by_itself():
    told = proposed((0.0, 1.0), (4.0, 7.0), (4.0, 8.0), (5.0, 8.0), logits=[1.5, 1.0, 1.0, 1.0])
    assert told.logits[0].argmax() == 0
    assert order(told) == [2, 0]  # which stands for those that it overlaps
    assert order(told, max_iou=0.7) == order(told)
    assert order(told, max_iou=0.8) == [2, 0, 1, 3]


def test_the_softer_the_logits_the_more_spans_have_to_agree():
    """One span against two that share 3 of 4 seconds: it wins where it is 7 / 4 times as likely as either."""
    for times, first in ((7 / 4 + 0.01, 0), (7 / 4 - 0.01, 1)):
        spans = ((0.0, 1.0), (4.0, 8.0), (4.0, 7.0))
        assert order(proposed(*spans, logits=[log(times) / SOFTENED, 0.0, 0.0]))[0] == first


def test_what_happens_again_is_told_again_and_held_for_as_likely_as_if_it_happened_once():
    spans = ((0.0, 3.0), (5.0, 8.0), (9.0, 12.0), (0.0, 12.0))
    for count in (1, 3):
        told = told_of(proposed(*spans, logits=[2.0] * count + [-4.0] * (4 - count)))
        scores = dict(told)
        assert {index for index, _ in told[:count]} == set(range(count))
        assert [scores[index] for index in range(count)] == pytest.approx([1 / (1 + exp(-2))] * count)


def test_what_a_span_explains_is_not_told_again():
    """The second is like the first and overlaps it by no more than half; the third is a little less likely."""
    told = proposed((0.0, 6.0), (3.0, 8.0), (20.0, 24.0), logits=[2.0, 1.2, 1.0])
    assert order(told) == [0, 2, 1]


def test_no_span_is_held_for_better_than_one_that_is_told_before_it():
    told = told_of(proposed((0.0, 1.0), (4.0, 7.0), (4.0, 8.0), (5.0, 8.0), logits=[1.5, 1.0, 1.0, 1.0]))
    assert [score for _, score in told] == pytest.approx([1 / (1 + exp(-1))] * 2)


@pytest.mark.parametrize(
    ("shots", "counts"), [(1, 1), (FEW_SHOTS, 1), (2 * FEW_SHOTS, 1 / 2), (10 * FEW_SHOTS, 1 / 10)]
)
def test_what_is_seen_counts_in_full_in_few_shots_and_less_the_more_there_are(shots, counts):
    told = proposed((0.0, 1.0), (4.0, 7.0), logits=[1.0, 0.0])
    told = replace(told, seen=torch.tensor([[0.0, 2.0]]), shots=torch.tensor([shots]))
    assert weighed(told)[0].tolist() == pytest.approx([1.0, 2.0 * counts])
    assert order(told)[0] == int(2 * counts > 1)


def test_what_is_no_proposal_is_not_told_and_counts_for_nothing():
    alone = proposed((0.0, 4.0), (1.0, 8.0), (20.0, 24.0), logits=[-1.0, 1.0, 0.5])
    more = proposed((0.0, 4.0), (1.0, 8.0), (20.0, 24.0), (0.0, 4.0), logits=[-1.0, 1.0, 0.5, SURE])
    more = replace(more, is_real=torch.tensor([[True, True, True, False]]))
    assert told_of(more) == told_of(alone)
    assert told_of(replace(alone, is_real=torch.zeros_like(alone.is_real))) == []


def test_no_more_are_told_than_are_wanted():
    many = proposed(*((2.0 * i, 2.0 * i + 1) for i in range(9)), logits=[0.1 * i for i in range(9)])
    assert order(many) == list(range(8, -1, -1)) and told_of(many, most=2) == told_of(many)[:2]


def test_of_some_of_the_questions_proposals_are_as_of_all():
    torch.manual_seed(0)
    spans = torch.tensor([SPANS]).repeat(3, 1, 1) + torch.tensor([0.0, 1.0, 2.0])[:, None, None]
    real = torch.ones(3, len(SPANS), dtype=torch.bool)
    told = Proposals(spans, torch.randn(3, len(SPANS)), torch.randn(3, len(SPANS)), real, torch.tensor([2, 8, 32]))
    some = told.part(slice(1, 3))
    assert all(torch.equal(few, vars(told)[name][1:]) for name, few in vars(some).items())
    torch.testing.assert_close(weighed(some), weighed(told)[1:])


# --- what is told of shots ---


def test_shots_are_told_by_what_is_known_of_their_tokens_and_how_alike_the_next_is():
    shots = shots_of([[0.0, 2.0], [0.0, 1.0, 2.0]], [[0] * 4, [0, 0, 1, 1]], [[0.0, 0.0], [0.5, 0.0]])
    prior, real = torch.tensor([[3.0, 9.0, -3.0, 99.0]]), torch.tensor([[True, True, True, False]])
    told = OfShots.of(shots, prior, torch.tensor([1]), real)
    assert told.known.tolist() == [[2, -1]]  # thirds
    assert told.alike.tolist() == [[0.5, 0]] and told.edges.tolist() == [[0, 1, 2]]
    assert told.of_token.tolist() == [[0, 0, 1, 1]] and told.counts.tolist() == [2]


def test_where_nothing_is_known_all_is_one_shot():
    seconds, real = half_seconds(4, start=60.0).repeat(2, 1, 1), torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    told = OfShots.one(seconds, real)
    assert told.edges.tolist() == [[60, 62], [60, 61]] and told.counts.tolist() == [1, 1]
    assert not any(each.any() for each in (told.known, told.alike, told.of_token))


# --- what is told of spans ---

THIRDS = (1.0, 1.0, 2.0, 2.0, 5.0, -1.0, -1.0, -1.0)  # what is known of half seconds, in three standard deviations
PRIOR = torch.tensor([THIRDS]) * 3
SHOTS = shots_of([[0.0, 1.0, 2.5, 4.0]], [[0, 0, 1, 1, 1, 2, 2, 2]], [[0.25, 0.5, 0.0]])


def judge_of() -> SpanJudge:
    torch.manual_seed(0)
    return SpanJudge(WIDTH).eval()


def judged(
    judge: SpanJudge, *spans: tuple[float, float], prior: Tensor = PRIOR, shots: Shots = SHOTS, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Two logits `[P]` of spans of a video; seed: of what the head makes of its tokens and of the question."""
    torch.manual_seed(seed)
    tokens = prior.shape[1]
    local, question, real = torch.randn(1, tokens, WIDTH), torch.randn(1, WIDTH), torch.ones(1, tokens).bool()
    of_shots = OfShots.of(shots, prior, torch.tensor([0]), real)
    known, seen = judge(local, question, prior, of_shots, torch.tensor([spans]), half_seconds(tokens), real)
    return known[0], seen[0]


def numbers_of(*spans: tuple[float, float], **video: Tensor | Shots) -> Tensor:
    """What the judge is told of each span, `[P, NUMBERS]`."""
    judge, told = judge_of(), []
    judge.known.register_forward_pre_hook(lambda _, inputs: told.append(inputs[0]))
    judged(judge, *spans, **video)
    return told[0][0]


def test_a_span_is_told_how_it_stands_beside_what_is_around_it():
    expected = [
        *(3, 2**0.5),  # mean inside, and deviation
        *(1, -1, -1 / 5, 5),  # ahead, behind, all outside, and the best token
        *(3 - 1, 3 + 1, 3 + 1 / 5, 5 - 3),
        *(5 / 3, 3),  # the weakest and the strongest inside, each with its neighbours
        *(4 / 3, 1 / 3),  # the strongest outside, and how far above it the weakest is
        *(log(1.5), 1.5 / 4),  # length, and of the whole video
        *(0, 0),  # seconds from its ends to where shots meet
        *(3, 1, 0),  # the weakest shot, how alike those are that meet, and how many do
        *(1, 1 - 3, 0.25),  # there is a shot before it, how much better it is known, and how alike
        *(1, -1 - 3, 0.5),  # and after
    ]
    told = numbers_of((1.0, 2.5))
    assert told.shape == (1, NUMBERS)
    torch.testing.assert_close(told[0], torch.tensor(expected))


def test_the_first_and_the_last_token_have_one_neighbour():
    weakest_and_strongest = numbers_of((0.0, 0.5), (3.5, 4.0))[:, 10:12]
    torch.testing.assert_close(weakest_and_strongest, torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))


def test_a_run_is_told_its_weakest_shot_and_that_nothing_is_before_the_first_and_after_the_last():
    of_runs = numbers_of((0.0, 2.5), (1.0, 4.0), (0.0, 4.0))[:, 18:]
    expected = [
        [1, 0.25, 1, 0, 0, 0, 1, -1 - 1, 0.5],
        [-1, 0.5, 1, 1, 1 + 1, 0.25, 0, 0, 0],
        [-1, 0.25, 2, 0, 0, 0, 0, 0, 0],
    ]
    torch.testing.assert_close(of_runs, torch.tensor(expected))


def test_ends_are_told_how_far_from_a_cut_they_are_up_to_two_seconds():
    shots = replace(SHOTS, edges=torch.tensor([[0.0, 0.5, 0.75, 4.0]]))
    off = numbers_of((0.25, 1.25), (2.0, 3.0), shots=shots)[:, 16:18]
    torch.testing.assert_close(off, torch.tensor([[0.25, 0.5], [1.25, 1.0]]))
    far = replace(SHOTS, edges=torch.tensor([[-90.0, -80.0, 80.0, 90.0]]))
    assert numbers_of((1.0, 2.0), shots=far)[0, 16:18].tolist() == [2, 2]


@pytest.mark.parametrize(("span", "token"), [((1.1, 1.2), 2), ((2.2, 2.21), 4), ((3.9, 4.0), 7), ((9.0, 9.5), 7)])
def test_a_span_between_the_middles_of_tokens_still_has_one(span, token):
    inside, deviation = numbers_of(span)[0, :2].tolist()
    assert (inside, deviation) == (THIRDS[token], 0)


def test_around_a_span_are_a_few_tokens():
    shots = shots_of([[0.0, 10.0]], [[0] * 20])
    prior = torch.zeros(1, 20)
    prior[0, 10 - AROUND - 1] = prior[0, 12 + AROUND] = 99.0  # just too far
    prior[0, 10 - AROUND], prior[0, 11 + AROUND] = 3.0 * AROUND, 6.0 * AROUND
    torch.testing.assert_close(numbers_of((5.0, 6.0), prior=prior, shots=shots)[0, 2:4], torch.tensor([1.0, 2.0]))


# --- the judge ---

SPANS = ((0.0, 1.0), (1.0, 2.5), (0.0, 2.5), (0.7, 0.8), (2.0, 2.5))


def test_padding_changes_nothing():
    judge = judge_of()
    torch.manual_seed(1)
    local, question, prior = torch.randn(2, 8, WIDTH), torch.randn(2, WIDTH), torch.randn(2, 8)
    real = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
    edges, of_token = [[0.0, 1.0, 2.5, 4.0], [0.0, 1.0, 2.5]], [[0, 0, 1, 1, 1, 2, 2, 2], [0, 0, 1, 1, 1, 1, 1, 1]]
    both = OfShots.of(shots_of(edges, of_token, [[0.25, 0.5, 0], [0.75, 0, 0]]), prior, torch.tensor([0, 1]), real)
    shots = shots_of(edges[1:], [of_token[1][:5]], [[0.75, 0.0]])
    few = OfShots.of(shots, prior[1:, :5], torch.tensor([0]), real[1:, :5])
    spans = torch.tensor([SPANS])
    together = judge(local, question, prior, both, spans.repeat(2, 1, 1), half_seconds(8).repeat(2, 1, 1), real)
    alone = judge(local[1:, :5], question[1:], prior[1:, :5], few, spans, half_seconds(5), real[1:, :5])
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours[1:], theirs, atol=1e-5, rtol=0)  # float32, another order


def test_what_the_head_learned_to_see_is_judged_apart_from_what_is_known():
    judge = judge_of()
    (known, seen), (same, other) = (judged(judge, *SPANS, seed=seed) for seed in (0, 1))
    assert torch.equal(known, same) and not torch.isclose(seen, other).any()
    known_now, seen_now = judged(judge, *SPANS, prior=-PRIOR)
    assert not torch.isclose(known, known_now).any() and not torch.isclose(seen, seen_now).any()


@pytest.mark.parametrize(("which", "reached"), [(0, {"known"}), (1, {"small", "question", "seen"})])
def test_gradients_reach_all_of_the_part_that_judged_and_nothing_else(which, reached):
    judge = judge_of()
    judged(judge, *SPANS)[which].sum().backward()
    with_gradients = {name for name, each in judge.named_parameters() if each.grad is not None and each.grad.any()}
    assert with_gradients == {name for name, _ in judge.named_parameters() if name.split(".")[0] in reached}
