"""Spans and presence off hidden states, and what is lost where they are wrong."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.video_llm.lite.tiny_lite import listens, tiny_meaning
from tvu.video_llm.lite.head import (
    KNOWN,
    MEANING,
    GroundingHead,
    Known,
    Moments,
    Targets,
    best_spans,
    known_of,
    moment_loss,
    scored_spans,
)
from tvu.video_llm.lite.prior import Meaning
from tvu.video_llm.lite.proposals import MOST_TOLD, UNSEEN, Proposals
from tvu.video_llm.lite.shots import NEAR, Shots

SURE = 30.0  # a logit


def half_seconds(tokens: int) -> Tensor:
    starts = torch.arange(tokens) / 2
    return torch.stack([starts, starts + 0.5], -1)[None]


def targets(*spans: tuple[float, float], is_asked: bool = True, is_present: float | None = 1.0) -> Targets:
    told = torch.tensor([spans or [(0.0, 0.0)]], dtype=torch.float32)
    present = torch.tensor([float("nan") if is_present is None else is_present])
    unknown = torch.tensor([-1])
    return Targets(told, torch.full(told.shape[:2], bool(spans)), present, torch.tensor([is_asked]), unknown)


def moments(inside: Tensor, spans: Tensor, present: float = SURE) -> Moments:
    """A head that is sure of what it says, and proposes what its tokens tell; inside: bool `[V]`, spans `[V, 2]`."""
    sure = torch.where(inside, SURE, -SURE)[None]
    real = torch.ones(1, len(inside), dtype=torch.bool)
    has_length = (spans[:, 1] > spans[:, 0])[None]
    proposals = Proposals(spans[None], sure, torch.zeros_like(sure), has_length, torch.tensor([1]))
    there, nothing = torch.tensor([present]), torch.zeros(1, 0)
    return Moments(sure, torch.full_like(sure, SURE), spans[None], there, real, proposals, nothing)


def proposed(*told: tuple[float, float, float]) -> Proposals:
    """Of one question about a video of one shot: start, end and logit of each, by what is known alone."""
    table = torch.tensor([told])
    known, real = table[..., 2], torch.ones(1, len(told), dtype=torch.bool)
    return Proposals(table[..., :2], known, torch.zeros_like(known), real, torch.tensor([1]))


def right(tokens: int, *spans: tuple[float, float]) -> Moments:
    middle = half_seconds(tokens)[0].mean(-1)
    told, inside = torch.zeros(tokens, 2), torch.zeros(tokens, dtype=torch.bool)
    for start, end in spans:
        here = (middle >= start) & (middle < end)
        inside |= here
        told[here] = torch.tensor([start, end])
    return moments(inside, told, SURE if spans else -SURE)


def of_tokens(losses: dict[str, Tensor]) -> float:
    """What is lost of tokens and presence; spans that are proposed twice lose something however right they are."""
    return sum(float(loss) for name, loss in losses.items() if name != "proposed")


def test_nothing_is_lost_where_everything_is_right():
    for truth in ([(1.0, 3.0)], [(0.5, 1.5), (3.0, 4.5)]):
        losses = moment_loss(right(10, *truth), half_seconds(10), targets(*truth))
        assert of_tokens(losses) == pytest.approx(0, abs=1e-5)


def test_a_wrong_proposal_is_lost_beside_tokens_that_are_right():
    found = replace(right(10, (1.0, 3.0)), proposals=proposed((3.0, 5.0, SURE)))
    losses = moment_loss(found, half_seconds(10), targets((1.0, 3.0)))
    assert of_tokens(losses) == pytest.approx(0, abs=1e-5) and float(losses["proposed"]) > 1


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
    assert of_tokens(losses) == pytest.approx(0, abs=1e-5)


def test_a_question_that_asks_for_no_moment_teaches_the_head_nothing():
    wrong = moments(torch.ones(6, dtype=torch.bool), torch.tensor([[0.0, 2.0]]).repeat(6, 1), -SURE)
    losses = moment_loss(wrong, half_seconds(6), targets(is_asked=False, is_present=None))
    assert all(float(loss) == 0 for loss in losses.values())


def test_what_is_absent_has_no_token_inside():
    quiet = right(6)
    assert sum(map(float, moment_loss(quiet, half_seconds(6), targets(is_present=0.0)).values())) < 1e-5
    loud = moments(torch.ones(6, dtype=torch.bool), torch.zeros(6, 2))
    losses = moment_loss(loud, half_seconds(6), targets(is_present=0.0))
    assert float(losses["inside"]) > 1 and float(losses["present"]) > 1 and float(losses["span"]) == 0


def test_a_head_that_does_not_hear_has_nothing_to_hear_with():
    torch.manual_seed(0)
    head = GroundingHead(None, 8, width=16, layers=1).eval()
    assert head.hidden is None and head.asked is None
    assert not any(name.startswith(("hidden", "asked")) for name in head.state_dict())
    visual, real = torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool)
    told = head(torch.randn(1, 6, 12), visual, torch.randn(1, 12), half_seconds(6), real)
    unread = head(None, visual, None, half_seconds(6), real)
    assert torch.equal(told.inside, unread.inside) and torch.equal(told.spans, unread.spans)


def test_losses_are_finite_and_have_gradients_at_the_start_of_training():
    torch.manual_seed(0)
    head = listens(GroundingHead(12, 8, width=16, layers=1, has_prior=False))
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    found = head(torch.randn(2, 6, 12), torch.randn(2, 6, 8), torch.randn(2, 12), half_seconds(6).repeat(2, 1, 1), real)
    both = Targets(
        torch.tensor([[[0.0, 1.0]], [[1.0, 1.2]]]),
        torch.ones(2, 1, dtype=torch.bool),
        torch.ones(2),
        torch.ones(2, dtype=torch.bool),
        torch.full((2,), -1),
    )
    total = sum(moment_loss(found, half_seconds(6).repeat(2, 1, 1), both).values())
    total.backward()
    assert torch.isfinite(total) and all(torch.isfinite(each.grad).all() for each in head.parameters())


def test_padding_changes_nothing_of_what_the_head_says():
    torch.manual_seed(0)
    head = listens(GroundingHead(12, 8, width=16, layers=1, has_prior=False)).eval()
    hidden, visual, asked = torch.randn(1, 6, 12), torch.randn(1, 6, 8), torch.randn(1, 12)
    alone = head(hidden[:, :4], visual[:, :4], asked, half_seconds(4), torch.ones(1, 4, dtype=torch.bool))
    padded = head(hidden, visual, asked, half_seconds(6), torch.tensor([[True] * 4 + [False] * 2]))
    torch.testing.assert_close(padded.inside[:, :4], alone.inside, atol=1e-5, rtol=0)  # float32, another order
    torch.testing.assert_close(padded.spans[:, :4], alone.spans, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded.present, alone.present, atol=1e-5, rtol=0)
    assert_same_proposals(padded, alone)


def assert_same_proposals(one: Moments, other: Moments) -> None:
    ours, theirs = one.proposals, other.proposals
    assert torch.equal(ours.shots, theirs.shots)
    for name in ("spans", "known", "seen"):
        found = [getattr(each, name)[each.is_real] for each in (ours, theirs)]
        torch.testing.assert_close(*found, atol=1e-5, rtol=0)  # float32, another order


def test_what_begins_before_the_video_is_proposed_from_its_start():
    head = head_of(has_prior=False)
    head.distances.bias.data = torch.tensor([60.0, 0.5]).log()
    found = says(head, None)
    assert (found.spans[..., 0] < 0).all()
    assert sorted(found.proposals.spans[0].tolist()) == [[0.0, each / 2 + 0.75] for each in range(TOKENS)]


# --- with what is known without training ---

TOKENS = 6
SHOTS = Shots(  # of 1, 1.5 and 0.5 s
    torch.tensor([[0.0, 1.0, 2.5, 3.0]]),
    torch.tensor([[0.0, 0.9, 0.8, 0.0]]),
    torch.tensor([[0, 0, 1, 1, 1, 2]]),
    torch.zeros(1, 3, 2 * NEAR),
    torch.tensor([3]),
)


def known(questions: int = 1) -> Known:
    prior, meaning = torch.randn(questions, TOKENS), meaning_of(questions)
    real, seconds = torch.ones(questions, TOKENS, dtype=torch.bool), half_seconds(TOKENS).repeat(questions, 1, 1)
    return known_of(prior, meaning, SHOTS, torch.zeros(questions, dtype=torch.long), real, seconds)


def meaning_of(questions: int, words: int = 3) -> Meaning:
    return tiny_meaning(torch.randn(questions, MEANING), torch.ones(questions, 1), words)


def head_of(**changes) -> GroundingHead:
    torch.manual_seed(0)
    return listens(GroundingHead(12, 8, width=16, layers=1, **changes)).eval()


def says(head: GroundingHead, told: Known | None, questions: int = 1, read: int | None = 0) -> Moments:
    """What it says of noise; read: the seed of what the language model made of it, all else is the same; None: nothing
    was read yet."""
    hidden = asked = None
    if read is not None:
        torch.manual_seed(read)
        hidden, asked = torch.randn(questions, TOKENS, 12), torch.randn(questions, 12)
    torch.manual_seed(1)
    visual, real = torch.randn(questions, TOKENS, 8), torch.ones(questions, TOKENS, dtype=torch.bool)
    return head(hidden, visual, asked, half_seconds(TOKENS).repeat(questions, 1, 1), real, told)


def points_at(head: GroundingHead, start: int, end: int) -> GroundingHead:
    """Of what a span may begin and end with: 0 what is measured, 1 the edge of the own shot, 2 that of the next …"""
    bias = torch.zeros(2, NEAR + 2)
    bias[0, start] = bias[1, end] = 1000.0
    head.points.weight.data.zero_()
    head.points.bias.data = bias.flatten()
    return head


def test_known_are_the_numbers_and_the_edges_of_each_token():
    told = known(2)
    assert told.numbers.shape == (2, TOKENS, KNOWN) and told.meaning.vectors.shape == (2, MEANING)
    assert told.starts.shape == told.ends.shape == (2, TOKENS, NEAR + 1)


def test_a_head_can_point_exactly_at_the_edges_of_its_shot():
    found = says(points_at(head_of(), 1, 1), known())
    assert found.spans[0].tolist() == [[0.0, 1.0]] * 2 + [[1.0, 2.5]] * 3 + [[2.5, 3.0]]


def test_a_head_can_point_beyond_its_shot():
    found = says(points_at(head_of(), 2, 3), known())
    assert found.spans[0].tolist() == [[0.0, 3.0]] * 2 + [[0.0, 3.0]] * 3 + [[1.0, 3.0]]


def test_a_head_can_measure_as_one_that_knows_no_shots():
    head = points_at(head_of(), 0, 0)
    head.distances.bias.data = torch.tensor([0.25, 2.0]).log()
    middle = half_seconds(TOKENS).mean(-1)
    expected = torch.stack([middle - 0.25, middle + 2.0], -1)
    for told in (known(), None):
        torch.testing.assert_close(says(head, told).spans, expected)


def test_what_is_known_counts():
    head, told = head_of(), known()
    before = says(head, told)
    other_question = replace(told.meaning, vectors=-told.meaning.vectors)
    other_words = replace(told.meaning, words=-told.meaning.words)
    for changed in (
        replace(told, numbers=told.numbers + 1),
        replace(told, meaning=other_question),
        replace(told, meaning=other_words),
    ):
        after = says(head, changed)
        assert not torch.isclose(before.inside, after.inside).any() and before.present != after.present


def test_a_head_without_a_prior_does_not_look_at_what_is_known():
    head = head_of(has_prior=False)
    assert torch.equal(says(head, known()).spans, says(head, None).spans)
    assert not any(name.startswith(("prior", "meaning", "words", "points")) for name, _ in head.named_parameters())


def unread(head: GroundingHead, questions: int = 64) -> int:
    """How many questions are answered the same whatever the language model made of them."""
    told = known(questions)
    one, other = (says(head, told, questions, read) for read in (2, 3))
    return int(((one.inside == other.inside).all(1) & (one.present == other.present)).sum())


def test_some_questions_in_training_are_answered_without_the_language_model():
    assert all(0.1 < unread(head.train()) / 64 < 0.4 for head in (head_of(), head_of(has_prior=False)))


def test_before_anything_is_read_a_head_says_what_it_does_where_that_tells_nothing():
    head, told = head_of(), known()
    assert not torch.isclose(says(head, told).inside, says(head, told, read=None).inside).any()
    for each in (*head.hidden[-1].parameters(), *head.asked[-1].parameters()):
        each.data.zero_()
    assert torch.equal(says(head, told).inside, says(head, told, read=None).inside)


def test_what_was_read_says_nothing_until_a_head_has_learned_to_use_it():
    torch.manual_seed(0)
    head, told = GroundingHead(12, 8, width=16, layers=1).eval(), known()
    before = says(head, told, read=None)
    read = says(head, told)
    assert torch.equal(read.inside, before.inside) and torch.equal(read.present, before.present)
    read.present.sum().backward()
    assert all(each.grad is not None and each.grad.any() for each in head.asked[-1].parameters())


def test_words_that_are_none_do_not_count():
    head, told = head_of(), known(2)
    cut = replace(told.meaning, is_word=torch.tensor([[True] * 3, [True] * 2 + [False]]))
    found = says(head, replace(told, meaning=cut), 2)
    noise = torch.where(cut.is_word[..., None], cut.words, 7.0)
    again = says(head, replace(told, meaning=replace(cut, words=noise)), 2)
    torch.testing.assert_close(again.inside, found.inside)
    whole = says(head, told, 2)
    assert torch.equal(found.inside[0], whole.inside[0])
    assert not torch.isclose(found.inside[1], whole.inside[1]).any()


def test_what_was_made_of_a_question_is_told_with_its_moments():
    for head, told in ((head_of(), known(2)), (head_of(), None), (head_of(has_prior=False), None)):
        found = says(head, told, 2)
        assert found.summary.shape == (2, head.summary_width)
        torch.testing.assert_close(head.present(found.summary).squeeze(-1), found.present)
        part = found.part(slice(1, 2)).on_cpu()
        assert torch.equal(part.summary, found.summary[1:])
        assert all(torch.equal(each, vars(found.proposals)[name][1:]) for name, each in vars(part.proposals).items())


def test_where_python_reads_numbers_they_are_in_full_precision():
    told = right(6, (0.5, 1.5))
    half = replace(
        told, present=told.present.bfloat16(), proposals=replace(told.proposals, seen=torch.ones(1, 6).half())
    )
    found = half.on_cpu()
    assert {found.present.dtype, found.proposals.seen.dtype} == {torch.float32}
    assert {found.is_real.dtype, found.proposals.is_real.dtype} == {torch.bool}
    assert torch.equal(found.proposals.shots, told.proposals.shots) and not found.proposals.shots.is_floating_point()


def test_of_what_is_known_the_first_questions_may_be_taken():
    told = known(3)
    found = told.first(2)
    assert len(found.numbers) == len(found.prior) == len(found.runs) == 2
    assert all(len(each) == 2 for each in vars(found.meaning).values())
    assert torch.equal(found.meaning.vectors, told.meaning.vectors[:2])


def test_nothing_is_dropped_but_in_training():
    assert unread(head_of()) == unread(head_of(has_prior=False)) == 0
    told = known(4)
    assert torch.equal(says(head_of(), told, 4).spans, says(head_of(), told, 4).spans)


def test_padding_changes_nothing_of_what_is_known():
    head = head_of()
    hidden, visual, asked = torch.randn(1, 6, 12), torch.randn(1, 6, 8), torch.randn(1, 12)
    prior, meaning, video = torch.randn(1, 6), meaning_of(1), torch.tensor([0])
    padding, of_few = torch.tensor([[True] * 4 + [False] * 2]), replace(SHOTS, of_token=SHOTS.of_token[:, :4])
    few = known_of(prior[:, :4], meaning, of_few, video, padding[:, :4], half_seconds(4))
    told = known_of(prior, meaning, SHOTS, video, padding, half_seconds(6))
    alone = head(hidden[:, :4], visual[:, :4], asked, half_seconds(4), padding[:, :4], few)
    padded = head(hidden, visual, asked, half_seconds(6), padding, told)
    torch.testing.assert_close(padded.spans[:, :4], alone.spans, atol=1e-5, rtol=0)  # float32, another order
    torch.testing.assert_close(padded.present, alone.present, atol=1e-5, rtol=0)
    assert_same_proposals(padded, alone)


# --- proposals ---


def test_what_tokens_tell_is_proposed_beside_all_runs_of_shots():
    found = says(points_at(head_of(), 2, 3), known()).proposals
    runs = [[0.0, 1.0], [1.0, 2.5], [2.5, 3.0], [0.0, 2.5], [1.0, 3.0], [0.0, 3.0]]
    assert sorted(found.spans[0].tolist()) == sorted([[0.0, 3.0]] * 5 + [[1.0, 3.0]] + runs)
    assert found.is_real.all() and found.known.shape == found.seen.shape == (1, TOKENS + len(runs))
    assert found.shots.tolist() == [3]


def test_where_no_shots_are_known_only_what_tokens_tell_is_proposed():
    found = says(head_of(), None)
    assert sorted(found.proposals.spans[0].tolist()) == sorted(found.spans.clamp(min=0)[0].tolist())
    assert found.proposals.shots.tolist() == [1]


def test_of_many_tokens_the_likeliest_propose():
    head, tokens = head_of(has_prior=False), MOST_TOLD + 4
    hidden, visual, real = torch.randn(1, tokens, 12), torch.randn(1, tokens, 8), torch.ones(1, tokens).bool()
    found = head(hidden, visual, torch.randn(1, 12), half_seconds(tokens), real)
    likeliest = (found.inside + found.quality)[0].topk(MOST_TOLD).indices
    torch.testing.assert_close(found.proposals.spans[0], found.spans[0, likeliest].clamp(min=0))


def test_proposals_do_not_teach_tokens_what_to_tell():
    found = says(head_of(), known())
    assert not found.proposals.spans.requires_grad and found.proposals.logits.requires_grad


def unseen(head: GroundingHead, questions: int = 256) -> int:
    """Of how many questions spans are judged by what is known alone."""
    return int((says(head, known(questions), questions).proposals.seen == 0).all(1).sum())


def test_spans_of_some_questions_in_training_are_judged_by_what_is_known_alone():
    assert unseen(head_of().train()) / 256 == pytest.approx(UNSEEN, abs=0.09)  # three standard deviations


def test_spans_are_judged_by_what_is_seen_too_but_in_training():
    assert unseen(head_of()) == 0


# --- spans ---


def told(*each: tuple[float, float, float], **options) -> list[tuple[float, float]]:
    """Which of these proposals, start, end and logit, are told, whatever the tokens say."""
    found = scored_spans(replace(right(6, (0.5, 1.5)), proposals=proposed(*each)), 0, **options)
    return [(start, end) for start, end, _ in found]


def test_spans_come_best_first_and_each_once():
    assert told((0.5, 1.5, 1.0), (3.0, 4.25, 1.5), (3.0, 4.5, 2.0), (2.0, 3.5, -1.0)) == [
        *((3.0, 4.5), (0.5, 1.5)),
        (2.0, 3.5),  # a fifth of it and the best together is shared
    ]


def test_the_score_of_a_span_is_the_iou_that_it_is_thought_to_have():
    found = scored_spans(replace(right(6), proposals=proposed((1.0, 2.0, 0.0), (4.0, 5.0, SURE))), 0)
    assert [score for *_, score in found] == pytest.approx([1.0, 0.5])


ALONE, AGREED = (0.0, 1.0), (4.0, 8.0)
WITH_SUPPORT = ((*ALONE, 1.5), (*AGREED, 1.0), (4.0, 7.0, 1.0), (5.0, 8.0, 1.0))


def test_a_span_that_others_agree_with_is_told_first_and_once_for_all_of_them():
    assert told(*WITH_SUPPORT) == [AGREED, ALONE]


def test_spans_of_another_question_do_not_count():
    of_each = [proposed(*WITH_SUPPORT), proposed(*((start + 1, end + 1, -logit) for start, end, logit in WITH_SUPPORT))]
    both = Proposals(*map(torch.cat, zip(*(vars(each).values() for each in of_each), strict=True)))
    for row, alone in enumerate(of_each):
        found = scored_spans(replace(right(6), proposals=both), row)
        assert found == scored_spans(replace(right(6), proposals=alone), 0)


def test_by_themselves_the_best_spans_are_those_of_the_highest_logits():
    found = replace(right(6), proposals=proposed(*WITH_SUPPORT))
    spans, scores = best_spans(found, 3)
    assert spans[0].tolist() == [list(ALONE), list(AGREED), list(ALONE)]  # there are no more
    torch.testing.assert_close(scores[0], torch.tensor([1.5, 1.0, -torch.inf]).sigmoid())


def test_how_much_spans_share_and_how_many_there_are_can_be_chosen():
    both = ((0.0, 4.0, 2.0), (2.0, 4.0, 1.0), (6.0, 7.0, 0.0))  # the second is half of the first
    assert told(*both) == [(0.0, 4.0), (6.0, 7.0), (2.0, 4.0)]  # which the first explains in part
    assert told(*both, max_iou=0.4) == [(0.0, 4.0), (6.0, 7.0)]
    assert told(*both, most=1) == [(0.0, 4.0)]


def test_what_is_no_proposal_or_has_no_length_is_not_told():
    found = proposed((0.0, 1.0, 1.0), (2.0, 2.0, 3.0), (3.0, 4.0, 2.0))
    found = replace(found, is_real=torch.tensor([[True, True, False]]))
    assert [(start, end) for start, end, _ in scored_spans(replace(right(6), proposals=found), 0)] == [(0.0, 1.0)]
