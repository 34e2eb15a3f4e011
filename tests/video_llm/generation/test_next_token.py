"""How the next token is chosen, one after another or guessed ahead."""

from collections import Counter

import pytest
import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from tests.video_llm.generation.speakers import TableModel, letters, text_prompt
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation.next_token import Chooser, Sampling, contrasted, warped

SIZE = 64
CPU = torch.device("cpu")


def bigrams(spread: float = 1.0, choices: int = 4) -> TableModel:
    """What follows depends on the last token alone: one of a few."""
    table = torch.full((SIZE, SIZE), -30.0)
    generator = torch.Generator().manual_seed(0)
    table[:, 1 : choices + 1] = torch.randn(SIZE, choices, generator=generator) * spread
    return TableModel(SIZE, lambda ids: table[ids[-1]])


@pytest.mark.parametrize("sampling", [Sampling(0.7), Sampling(1.3, top_k=5), Sampling(1.0, top_p=0.6)], ids=str)
def test_logits_are_warped_as_in_transformers(sampling):
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    for logits in torch.randn(20, SIZE, generator=torch.Generator().manual_seed(1)) * 3:
        expected = warpers(None, logits[None].clone())[0].softmax(-1)
        torch.testing.assert_close(warped(logits, sampling).softmax(-1), expected)


def test_the_coldest_sampling_takes_the_best():
    logits = torch.tensor([0.3, 2.0, 1.9])
    assert Chooser(Sampling(1e-30), 0, CPU).choose(logits, None).token_id == 1


def test_probabilities_are_those_among_what_is_allowed():
    logits = torch.tensor([9.0, 1.0, 2.0, 1.0])
    choice = Chooser(Sampling(), 0, CPU).choose(logits, [1, 2])
    assert choice.token_id == 2
    assert choice.log_prob == pytest.approx(float(torch.tensor([1.0, 2.0]).log_softmax(-1)[1]))
    assert Chooser(Sampling(5.0, seed=1), 0, CPU).choose(logits, torch.tensor([3])).token_id == 3


@pytest.mark.parametrize("allowed", [[], [2, 4], torch.tensor([4])])
def test_there_must_be_something_allowed_that_the_model_knows(allowed):
    with pytest.raises(ValueError, match="beyond the 4"):
        Chooser(Sampling(), 0, CPU).choose(torch.zeros(4), allowed)


@pytest.mark.parametrize("drafts", [0, 3])
def test_a_seed_makes_an_answer_again(drafts):
    def told(seed):
        config = GenerateConfig(20, Sampling(1.0, seed=seed), drafts=drafts)
        return [g.token_ids for g in generate(text_prompt([[9], [9]]), bigrams(), letters(), config)]

    assert told(5) == told(5)
    assert told(5) != told(6)
    assert told(5)[0] != told(5)[1]  # rows draw for themselves


def test_guessing_ahead_does_not_change_what_is_drawn_how_often():
    """Two tokens after each token, with and without guesses, against their exact probabilities (chi-square)."""
    model = bigrams()
    rows = 400
    probabilities = torch.stack([model.logits_after((token,)).softmax(-1) for token in range(SIZE)])
    for drafts in (0, 4):
        config = GenerateConfig(12, Sampling(1.0, seed=drafts), drafts=drafts)
        told = generate(text_prompt([[1, 2, 3, 4, 1]] * rows), model, letters(), config)
        assert (sum(g.accepted for g in told) > 0) == (drafts > 0)
        pairs = Counter(pair for g in told for pair in zip(g.token_ids, g.token_ids[1:], strict=False))
        before = Counter(token for g in told for token in g.token_ids[:-1])
        excess = sum(
            (pairs[a, b] - before[a] * p) ** 2 / (before[a] * p)
            for a in range(1, 5)
            for b, p in enumerate(probabilities[a].tolist())
            if 1 <= b <= 4
        )
        assert excess < 32.9  # 12 degrees of freedom: one in a thousand


def test_guesses_that_are_right_save_steps_and_change_nothing():
    cycle = TableModel(SIZE, lambda ids: torch.nn.functional.one_hot(torch.tensor(ids[-1] % 5 + 1), SIZE).float())
    plain, ahead = (
        generate(text_prompt([[1, 2]]), cycle, letters(), GenerateConfig(30, drafts=drafts))[0] for drafts in (0, 4)
    )
    assert plain.token_ids == ahead.token_ids
    assert plain.steps == 29
    assert ahead.steps < 15
    assert ahead.accepted + ahead.steps == 29


def test_what_the_text_alone_suggests_loses_to_what_the_video_says():
    """Token 3 is what the model always says; the video raises token 4 without making it the likeliest."""
    seen, unseen = 9, 8
    table = {seen: torch.tensor([-9.0, -9, -9, 2, 1.5]), unseen: torch.tensor([-9.0, -9, -9, 2, -1])}
    model = TableModel(5, lambda ids: table[ids[0]])
    prompts = {"prompt": text_prompt([[seen]]), "without_video": text_prompt([[unseen]])}

    def told(**options):
        given = dict(prompts) if options else {"prompt": prompts["prompt"]}
        config = GenerateConfig(2, **options)
        return generate(given.pop("prompt"), model, letters(), config, **given)[0].token_ids

    assert told() == (3, 3)
    assert told(contrast=0.5) == (4, 4)
    assert told(contrast=0.01) == (3, 3)
    with pytest.raises(ValueError, match="contrast"):
        generate(prompts["prompt"], model, letters(), GenerateConfig(2), without_video=prompts["without_video"])


def test_a_contrast_of_no_weight_is_plain():
    with_video, without = torch.randn(2, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(contrasted(with_video, without, 0.0), with_video.log_softmax(-1))


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_k": 0}])
def test_a_sampling_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="temperature from 0"):
        Sampling(**wrong)
