"""Options are judged beside each other, whatever else is asked at the same time."""

from collections.abc import Sequence
from dataclasses import replace
from math import log, tanh

import pytest
import torch
from torch import Tensor

from tvu.video_llm.lite.judge import (
    BESIDE,
    IN_ORDER,
    NUMBERS,
    SHARP,
    AnswerJudge,
    Heard,
    Offered,
    answer_loss,
    beside,
    by_question,
    in_order,
    places_in_groups,
)
from tvu.video_llm.lite.options import FIXED

WIDTH = 6
NONE = torch.tensor([], dtype=torch.long)
YES, NO = FIXED.index("yes"), FIXED.index("no")


def judge() -> AnswerJudge:
    torch.manual_seed(0)
    return AnswerJudge(WIDTH, width=16, layers=1).eval()


def heard(count: int, seed: int = 0) -> Heard:
    """Noise for texts."""
    generator = torch.Generator().manual_seed(seed)
    summary, numbers = (torch.randn(count, width, generator=generator) for width in (WIDTH, NUMBERS))
    span = torch.rand(count, 2, generator=generator).sort(1).values
    return Heard(summary, numbers, span, torch.rand(count, generator=generator))


def some_of(told: Heard, rows: Sequence[int]) -> Heard:
    return Heard(*(each[list(rows)] for each in vars(told).values()))


def at(*told: tuple[float, float, float]) -> Heard:
    """Start, end and presence of each, about which nothing else is known."""
    table = torch.tensor(told)
    return Heard(torch.zeros(len(told), WIDTH), torch.zeros(len(told), NUMBERS), table[:, :2], table[:, 2])


def offered(
    *each: tuple[int, int, int],
    named_by: Sequence[int] = (),
    parts: Sequence[tuple[int, int]] = (),
    absent: Sequence[int] = (),
) -> Offered:
    """Question, number and fixed place of each option; whose options name things, and which is a part of which; which
    questions ask for what does not happen."""
    columns, of = torch.tensor(each).T, torch.tensor(parts, dtype=torch.long).reshape(-1, 2).T
    told = torch.where(columns[2] < 0)[0]
    names = torch.tensor(named_by, dtype=torch.long)
    is_absent = torch.isin(columns[0][told], torch.tensor(absent, dtype=torch.long))
    return Offered(columns[0], columns[1], columns[2], told, names, of[0], of[1], is_absent)


PARTED = {"named_by": (0, 0), "parts": ((0, 0), (1, 0), (1, 1), (0, 1))}  # `a, then b` and `b, then a`


def test_each_option_has_a_logit():
    # Two questions, the first with two options in words and one clause, the second with yes or no.
    told = offered((0, 0, -1), (0, 1, -1), (1, 0, YES), (1, 1, NO))
    logits = judge()(heard(2 + 1 + 2 + 2), torch.tensor([0]), told)
    assert logits.shape == (4,) and logits.isfinite().all() and len(set(logits.tolist())) == 4


@pytest.mark.parametrize("more", [{}, PARTED])
def test_a_question_is_judged_as_if_it_were_alone(more):
    named = len(more.get("named_by", ()))
    told = heard(2 + 1 + 2 + 2 + named)
    all_offered = offered((0, 0, -1), (0, 1, -1), (1, 0, YES), (1, 1, NO), **more)
    both = judge()(told, torch.tensor([0]), all_offered)
    assert all_offered.rows.tolist() == [0, 0, 0, 0] + [0] * named
    first = [0, *range(2, 7 + named)]
    alone = judge()(some_of(told, first), torch.tensor([0]), offered((0, 0, -1), (0, 1, -1), **more))
    torch.testing.assert_close(both[:2], alone)
    second = judge()(some_of(told, [1]), NONE, offered((0, 0, YES), (0, 1, NO)))
    torch.testing.assert_close(both[2:], second)


@pytest.mark.parametrize("learned", ["places", "in_order"])
def test_which_thing_a_question_names_first_matters_once_that_is_learned(learned):
    model, things = judge(), heard(1 + 2)
    told, turned = offered((0, 0, YES), (0, 1, NO)), [0, 2, 1]
    before, after = torch.tensor([0, 0]), []
    for each in (model.places, model.in_order.weight):
        torch.nn.init.zeros_(each)  # as if there was nothing to know about order
    for _ in range(2):
        one, other = (model(each, before, told) for each in (things, some_of(things, turned)))
        after.append(torch.allclose(one, other, atol=1e-5))
        torch.nn.init.normal_({"places": model.places, "in_order": model.in_order.weight}[learned])
    assert after == [True, False]


def test_the_order_of_options_does_not_matter():
    things = heard(1 + 3 + 3)
    told = judge()(things, NONE, offered((0, 0, -1), (0, 1, -1), (0, 2, -1)))
    turned = [0, 3, 1, 2, 6, 4, 5]
    again = judge()(some_of(things, turned), NONE, offered((0, 0, -1), (0, 1, -1), (0, 2, -1)))
    torch.testing.assert_close(again, told[[2, 0, 1]])


# --- when things are, beside each other ---


def test_an_option_whose_parts_are_in_the_order_of_their_times_differs_once_that_is_learned():
    model, told = judge(), offered((0, 0, -1), (0, 1, -1), **PARTED)
    things = some_of(heard(1 + 1 + 1 + 2), [0, 1, 1, 2, 2, 3, 4])  # but for their parts the options are the same
    torch.nn.init.zeros_(model.beside.weight)
    one, other = model(things, NONE, told)
    torch.testing.assert_close(one, other)
    torch.nn.init.normal_(model.beside.weight[:, BESIDE:])
    one, other = model(things, NONE, told)
    assert not torch.isclose(one, other, atol=1e-3)
    swapped = some_of(things, [0, 1, 2, 3, 4, 6, 5])  # each part is when the other was, so the options change places
    torch.testing.assert_close(model(swapped, NONE, told), torch.stack([other, one]))


def test_a_judge_learns_to_tell_the_order_of_parts():
    model, count = judge().train(), 32
    each = [(question, number, -1) for question in range(count) for number in (0, 1)]
    parts = [
        (2 * each[option][0] + part, option) for option in range(2 * count) for part in (option % 2, 1 - option % 2)
    ]
    told = offered(*each, named_by=[question for question, _, _ in each], parts=parts)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def asked(seed: int) -> tuple[Tensor, Tensor]:
        """Logits, and which of the options says what comes first: all else is the same of both."""
        rows = [[part * count + of for of, _, _ in each] for part in (1, 2)]
        things = some_of(heard(5 * count, seed), [*range(count), *rows[0], *rows[1], *range(3 * count, 5 * count)])
        first, second = things.span[-2 * count :].mean(1).view(count, 2).T
        return model(things, NONE, told), (first > second).long()

    for step in range(60):
        logits, right = asked(step)
        answer_loss(logits, told, right).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    logits, right = asked(1000)
    assert float((by_question(logits, told, count).argmax(1) == right).float().mean()) > 0.9


def test_whether_things_follow_each_other_is_told_in_the_mean_and_where_it_is_least_so():
    steps = [tanh(SHARP / 2 * apart) for apart in (0.2, -0.1)]  # from 0.1 over 0.3 to 0.2
    things = at((0.0, 0.2, 0.9), (0.2, 0.4, 0.8), (0.1, 0.3, 0.4))
    (told,) = in_order(things, torch.tensor([0, 0, 0]), 1)
    assert told.tolist() == pytest.approx([sum(steps) / 2, steps[1], 0.7, 0.4, 1.0], abs=1e-6)
    assert told.shape == (IN_ORDER,) and 0.9 < steps[0] < 1 and -0.7 < steps[1] < -0.6


def test_groups_of_things_are_told_apart_and_one_thing_is_in_no_order():
    two, three = at((0.1, 0.2, 0.5), (0.5, 0.6, 0.6)), at((0.9, 1.0, 0.7), (0.4, 0.5, 0.8), (0.0, 0.1, 0.9))
    one = at((0.0, 1.0, 1.0))
    all_of = Heard(*map(torch.cat, zip(*(vars(each).values() for each in (two, one, three)), strict=True)))
    told = in_order(all_of, torch.tensor([0, 0, 1, 3, 3, 3]), 5)
    torch.testing.assert_close(told[0], in_order(two, torch.tensor([0, 0]), 1)[0])
    torch.testing.assert_close(told[3], in_order(three, torch.tensor([0, 0, 0]), 1)[0])
    assert told[0, 0] > 0.99 and told[3, 0] < -0.99
    assert told[[1, 2, 4]].tolist() == [[0.0] * IN_ORDER] * 3
    assert in_order(some_of(one, []), NONE, 2).tolist() == [[0.0] * IN_ORDER] * 2


QUESTION = at((0.3, 0.4, 1.0))
THREE = at((0.0, 0.2, 0.5), (0.4, 0.6, 1.0), (0.8, 1.0, 0.25))


def test_an_option_is_told_when_it_is_beside_its_question_and_the_other_options():
    told = beside(THREE, QUESTION, offered((0, 0, -1), (0, 1, -1), (0, 2, -1)))
    assert told.shape == (3, BESIDE)
    apart, after, before = 0.15, 0.0, 0.3 - 0.6  # of the second, to the middle, the end and the start of the question
    times = [tanh(SHARP / 4 * apart), *(tanh(SHARP * each) for each in (apart, after, before))]
    assert told[1, :5].tolist() == pytest.approx([*times, 1.0], abs=1e-6)
    earlier, later = told[:, 5:].T
    assert earlier.tolist() == pytest.approx([0, 0.5 / 0.75, 1], abs=0.01)
    assert later.tolist() == pytest.approx([1, 0.25 / 0.75, 0], abs=0.01)


def test_what_is_beside_an_option_does_not_hang_on_the_order_of_options():
    each, turned = ((0, 0, -1), (0, 1, -1), (0, 2, -1)), [2, 0, 1]
    told = beside(THREE, QUESTION, offered(*each))
    torch.testing.assert_close(beside(some_of(THREE, turned), QUESTION, offered(*each)), told[turned])


def test_options_of_other_questions_and_those_without_words_are_beside_none():
    told = beside(THREE, QUESTION, offered((0, 0, -1), (0, 1, -1), (0, 2, -1)))
    more = Heard(*map(torch.cat, zip(*(vars(each).values() for each in (THREE, THREE)), strict=True)))
    more = some_of(more, [0, 1, 2, 1])
    questions = some_of(heard(3), [1, 0, 2])
    questions = replace(
        questions, span=torch.cat([questions.span[:1], QUESTION.span, questions.span[:1]]), present=torch.ones(3)
    )
    beside_others = offered((0, 0, NO), (1, 0, -1), (1, 1, YES), (1, 2, -1), (1, 3, -1), (2, 1, -1))
    again = beside(more, questions, beside_others)
    torch.testing.assert_close(again[:3], told)
    assert again[3, 5:].tolist() == [0, 0]  # alone among options without words


def test_items_of_a_group_have_places_in_order():
    assert places_in_groups(torch.tensor([1, 0, 1, 1, 0]), 3).tolist() == [0, 0, 1, 2, 1]
    assert places_in_groups(torch.tensor([], dtype=torch.long), 2).tolist() == []


def test_of_what_does_not_happen_the_option_that_is_there_least_is_the_answer():
    things = at((0.1, 0.2, 0.9), (0.3, 0.4, 0.2), (0.5, 0.6, 0.6))
    question, after = at((0.0, 1.0, 0.5), (0.0, 1.0, 0.5)), at(*3 * [(0.0, 1.0, 0.5)])
    told = Heard(
        *(torch.cat(parts) for parts in zip(*(vars(h).values() for h in (question, things, after)), strict=True))
    )
    each = ((0, 0, -1), (0, 1, -1), (1, 0, -1))
    logits = judge()(told, NONE, offered(*each, absent=[0]))
    assert logits.argmax() == 1 and logits[:2].tolist() == pytest.approx([log(0.1 / 0.9), log(0.8 / 0.2)], abs=1e-4)
    assert logits[2] == judge()(told, NONE, offered(*each))[2]  # of another question


def test_only_questions_whose_answer_is_known_teach():
    told = offered((0, 0, -1), (0, 1, -1), (2, 0, YES), (2, 1, NO))
    logits = torch.tensor([30.0, 0.0, 0.0, 30.0])
    assert by_question(logits, told, 3)[0].tolist() == [30.0, 0.0]
    assert float(answer_loss(logits, told, torch.tensor([0, -1, 1]))) == pytest.approx(0, abs=1e-6)
    assert float(answer_loss(logits, told, torch.tensor([0, -1, 0]))) == pytest.approx(15)
    assert float(answer_loss(logits, told, torch.tensor([-1, -1, -1]))) == 0


def test_gradients_reach_what_was_seen_and_the_fixed_answers():
    model, things = judge(), heard(1 + 1 + 1)
    things.summary.requires_grad_()
    told = offered((0, 0, -1), (0, 1, NO))
    answer_loss(model(things, NONE, told), told, torch.tensor([1])).backward()
    assert things.summary.grad is not None and (things.summary.grad.abs().sum(1) > 0).all()
    assert model.fixed.grad is not None and float(model.fixed.grad[NO].abs().sum()) > 0


def test_gradients_reach_what_is_made_of_order_and_of_what_is_beside():
    model, told = judge(), offered((0, 0, -1), (0, 1, -1), **PARTED)
    answer_loss(model(heard(1 + 2 + 2 + 2 + 2), torch.tensor([0, 0]), told), told, torch.tensor([1])).backward()
    for part in (model.in_order, model.beside, model.items):
        assert all(each.grad is not None and each.grad.any() for each in part.parameters())
