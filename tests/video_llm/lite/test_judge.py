"""Options are judged beside each other, whatever else is asked at the same time."""

import pytest
import torch
from torch import Tensor

from tvu.video_llm.lite.judge import NUMBERS, AnswerJudge, Offered, answer_loss, by_question, places_in_groups
from tvu.video_llm.lite.options import FIXED

WIDTH = 6
YES, NO = FIXED.index("yes"), FIXED.index("no")


def judge() -> AnswerJudge:
    torch.manual_seed(0)
    return AnswerJudge(WIDTH, width=16, layers=1).eval()


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, WIDTH, generator=generator), torch.randn(count, NUMBERS, generator=generator)


def offered(*each: tuple[int, int, int]) -> Offered:
    """Question, number and fixed place of each option."""
    columns = torch.tensor(each).T
    return Offered(columns[0], columns[1], columns[2], torch.where(columns[2] < 0)[0])


def test_each_option_has_a_logit():
    # Two questions, the first with two options in words and one clause, the second with yes or no.
    told = offered((0, 0, -1), (0, 1, -1), (1, 0, YES), (1, 1, NO))
    logits = judge()(*rows(2 + 1 + 2 + 2), torch.tensor([0]), told)
    assert logits.shape == (4,) and logits.isfinite().all() and len(set(logits.tolist())) == 4


def test_a_question_is_judged_as_if_it_were_alone():
    summary, numbers = rows(2 + 1 + 2 + 2)
    both = judge()(summary, numbers, torch.tensor([0]), offered((0, 0, -1), (0, 1, -1), (1, 0, YES), (1, 1, NO)))
    first = [0, 2, 3, 4, 5, 6]
    alone = judge()(summary[first], numbers[first], torch.tensor([0]), offered((0, 0, -1), (0, 1, -1)))
    torch.testing.assert_close(both[:2], alone)
    second = judge()(summary[1:2], numbers[1:2], torch.tensor([], dtype=torch.long), offered((0, 0, YES), (0, 1, NO)))
    torch.testing.assert_close(both[2:], second)


def test_which_thing_a_question_names_first_matters_once_that_is_learned():
    model, (summary, numbers) = judge(), rows(1 + 2)
    told, turned = offered((0, 0, YES), (0, 1, NO)), [0, 2, 1]
    before, after = torch.tensor([0, 0]), []
    for _ in range(2):
        one, other = (model(s, n, before, told) for s, n in ((summary, numbers), (summary[turned], numbers[turned])))
        after.append(torch.allclose(one, other, atol=1e-5))
        torch.nn.init.normal_(model.places)
    assert after == [True, False]


def test_the_order_of_options_does_not_matter():
    summary, numbers = rows(1 + 3 + 3)
    none = torch.tensor([], dtype=torch.long)
    told = judge()(summary, numbers, none, offered((0, 0, -1), (0, 1, -1), (0, 2, -1)))
    turned = [0, 3, 1, 2, 6, 4, 5]
    again = judge()(summary[turned], numbers[turned], none, offered((0, 0, -1), (0, 1, -1), (0, 2, -1)))
    torch.testing.assert_close(again, told[[2, 0, 1]])


def test_items_of_a_group_have_places_in_order():
    assert places_in_groups(torch.tensor([1, 0, 1, 1, 0]), 3).tolist() == [0, 0, 1, 2, 1]
    assert places_in_groups(torch.tensor([], dtype=torch.long), 2).tolist() == []


def test_only_questions_whose_answer_is_known_teach():
    told = offered((0, 0, -1), (0, 1, -1), (2, 0, YES), (2, 1, NO))
    logits = torch.tensor([30.0, 0.0, 0.0, 30.0])
    assert by_question(logits, told, 3)[0].tolist() == [30.0, 0.0]
    assert float(answer_loss(logits, told, torch.tensor([0, -1, 1]))) == pytest.approx(0, abs=1e-6)
    assert float(answer_loss(logits, told, torch.tensor([0, -1, 0]))) == pytest.approx(15)
    assert float(answer_loss(logits, told, torch.tensor([-1, -1, -1]))) == 0


def test_gradients_reach_what_was_seen_and_the_fixed_answers():
    model, (summary, numbers) = judge(), rows(1 + 1 + 1)
    summary.requires_grad_()
    told = offered((0, 0, -1), (0, 1, NO))
    answer_loss(model(summary, numbers, torch.tensor([], dtype=torch.long), told), told, torch.tensor([1])).backward()
    assert summary.grad is not None and (summary.grad.abs().sum(1) > 0).all()
    assert model.fixed.grad is not None and float(model.fixed.grad[NO].abs().sum()) > 0
