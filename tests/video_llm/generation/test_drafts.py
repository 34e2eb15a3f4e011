"""Guesses of what comes next."""

import pytest
import torch

from tests.video_llm.generation.speakers import TableModel, letters, text_prompt
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation.drafts import Drafter


def test_what_followed_before_is_guessed_to_follow_again():
    assert Drafter([1, 2, 3, 4, 5, 9, 1, 2]).guess(3) == [3, 4, 5]


def test_the_longest_known_run_decides_and_its_latest_occurrence():
    assert Drafter([1, 2, 3, 8, 2, 4, 1, 2]).guess(1) == [3]  # 1 2 was followed by 3, 2 alone by 4 later
    assert Drafter([1, 2, 3, 1, 2, 4, 1, 2]).guess(1) == [4]


def test_nothing_known_is_nothing_guessed():
    assert Drafter([1, 2, 3]).guess(4) == []
    assert Drafter([]).guess(4) == []


def test_what_was_expected_after_a_wrong_guess_is_remembered():
    drafter = Drafter([1, 2, 3])
    drafter.learn([3, 7], 8)
    drafter.write(7)
    assert drafter.guess(4) == [8]


def test_a_visual_token_is_never_guessed():
    drafter = Drafter([5, -1, -1, -1, 6, 5])
    assert drafter.guess(4) == []
    drafter.write(6)
    assert drafter.guess(1) == [5]


def test_guesses_become_fewer_where_they_are_wrong_and_more_where_they_are_right():
    drafter = Drafter([1, 2] * 20)
    counts = []
    for accepted in (0, 0, 1, 3, 5):
        drafted = len(drafter.guess(12))
        counts.append(drafted)
        drafter.judge(drafted, min(accepted, drafted))
    assert counts == [12, 1, 1, 3, 5]
    assert len(drafter.guess(12)) == 7


@pytest.mark.parametrize("drafts", [1, 4, 15])
def test_a_repeated_text_takes_few_steps_and_stays_what_it_is(drafts):
    text = "a man walks. a man sits. a man walks. a man sits. "
    tokenizer = letters()
    ids = tokenizer.convert_tokens_to_ids(list(text))

    def logits(known):
        place = len(known) - 1
        return torch.eye(64)[ids[place] if place < len(ids) else 0]

    said = generate(text_prompt([[63]]), TableModel(64, logits), tokenizer, GenerateConfig(100, drafts=drafts))[0]
    assert said.text == text
    assert said.stop == "end"
    assert said.accepted <= said.drafted
    assert said.steps + said.accepted == len(ids)
    assert said.accepted >= (18 if drafts > 1 else 10)
