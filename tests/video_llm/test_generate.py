"""The engine writes what transformers writes, token for token, however it goes about it."""

from typing import Any, NamedTuple

import pytest
import torch

from tests.video_llm.generation.speakers import smollm2, text_prompt
from tvu.video_llm.errors import PromptTooLong
from tvu.video_llm.generate import GenerateConfig, generate, read_prefix
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder

pytestmark = pytest.mark.weights

SYSTEM = "<|im_start|>user\nIn a few words:\n"
QUESTIONS = (
    "What is the capital of France?",
    "List three colours.",
    "Say hello in Spanish.",
    "What is 2 + 2?",
    "Who wrote Hamlet?",
    "Name a fruit that is yellow.",
    "Is water wet? Answer yes or no.",
    "Repeat: one two one two one two.",
    "What do cows drink?",
    "How many days are in a week?",
    "Write a line of Python that prints hello.",
    "Which planet is the largest?",
    "Translate 'good morning' into French.",
    "Count from one to ten.",
    "What is the opposite of hot?",
    "Was ist die Hauptstadt von Österreich?",
    "Give me a word that rhymes with cat.",
    "What sound does a dog make?",
    "When did the Second World War end?",
    "数を数えてください。",
)
NEW_TOKENS = 6


class Spoken(NamedTuple):
    model: Any
    tokenizer: Any
    language: FusedDecoder
    rows: list[list[int]]
    expected: list[tuple[int, ...]]


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    model, tokenizer = smollm2()
    rows = [tokenizer(f"{SYSTEM}{q}<|im_end|>\n<|im_start|>assistant\n").input_ids for q in QUESTIONS]
    return Spoken(model, tokenizer, FusedDecoder(model), rows, expected_of(model, rows))


def expected_of(model: Any, rows: list[list[int]]) -> list[tuple[int, ...]]:
    """What transformers writes greedily, without the token that ends it."""
    size = max(map(len, rows))
    ids = torch.tensor([[0] * (size - len(row)) + row for row in rows], device=model.device)
    real = torch.tensor([[0] * (size - len(row)) + [1] * len(row) for row in rows], device=model.device)
    end = model.generation_config.eos_token_id
    told = model.generate(ids, attention_mask=real, max_new_tokens=NEW_TOKENS, do_sample=False)[:, size:].tolist()
    return [tuple(row[: row.index(end)] if end in row else row) for row in told]


def written(spoken: Spoken, rows: list[list[int]], language: Any = None, **options: Any) -> list[tuple[int, ...]]:
    prefix = options.pop("prefix", None)
    end = spoken.model.generation_config.eos_token_id  # the tokenizer's own, unless a converter lost it
    config = GenerateConfig(max_new_tokens=NEW_TOKENS, stop_ids=(end,), **options)
    told = generate(text_prompt(rows), language or spoken.language, spoken.tokenizer, config, prefix=prefix)
    return [generation.token_ids for generation in told]


def the_system(spoken: Spoken) -> list[int]:
    return spoken.tokenizer(SYSTEM).input_ids


def test_one_question_at_a_time_is_answered_as_by_transformers(spoken):
    assert [written(spoken, [row])[0] for row in spoken.rows] == spoken.expected


def test_twenty_questions_at_once_are_answered_as_by_transformers(spoken):
    assert written(spoken, spoken.rows) == spoken.expected


def test_answers_that_continue_a_prefix_are_those_of_transformers(spoken):
    prefix = read_prefix(text_prompt([the_system(spoken)]), spoken.language)
    for n in (0, 5):
        assert written(spoken, spoken.rows[n : n + 5], prefix=prefix) == spoken.expected[n : n + 5]


def test_answers_that_were_guessed_ahead_are_those_of_transformers(spoken):
    for n in (6, 12):
        assert written(spoken, spoken.rows[n : n + 2], drafts=4) == spoken.expected[n : n + 2]


def test_guesses_batches_and_prefixes_go_together(spoken):
    prefix = read_prefix(text_prompt([the_system(spoken)]), spoken.language)
    assert written(spoken, spoken.rows, prefix=prefix, drafts=3) == spoken.expected


def test_steps_that_read_16_bit_weights_write_the_same(spoken, monkeypatch):
    monkeypatch.setattr("tvu.video_llm.generation.decoder.HALVE_AFTER", 0)
    assert written(spoken, spoken.rows[:1]) == spoken.expected[:1]
    assert written(spoken, spoken.rows[1:9]) == spoken.expected[1:9]


def test_the_plain_way_through_transformers_gives_the_same(spoken):
    language = TransformersDecoder(spoken.model)
    prefix = read_prefix(text_prompt([the_system(spoken)]), language)
    assert written(spoken, spoken.rows[:2], language) == spoken.expected[:2]
    assert written(spoken, spoken.rows[2:4], language, prefix=prefix, drafts=4) == spoken.expected[2:4]


def test_text_and_reason_of_an_answer_are_told(spoken):
    told = generate(text_prompt(spoken.rows[:1]), spoken.language, spoken.tokenizer, GenerateConfig(max_new_tokens=3))
    assert told[0].stop == "length"
    assert told[0].text == spoken.tokenizer.decode(spoken.expected[0][:3])


def test_a_prompt_that_the_model_cannot_hold_is_refused(spoken):
    with pytest.raises(PromptTooLong):
        written(spoken, [[5] * (spoken.language.max_positions - NEW_TOKENS + 1)])
    with pytest.raises(PromptTooLong):
        read_prefix(text_prompt([[5] * spoken.language.max_positions]), spoken.language)


@pytest.mark.gpu
@pytest.mark.parametrize("drafts", [0, 4])
def test_captured_steps_write_what_transformers_writes(drafts):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        model, tokenizer = smollm2()
        model = model.cuda()
        rows = [tokenizer(f"{SYSTEM}{q}<|im_end|>\n<|im_start|>assistant\n").input_ids for q in QUESTIONS]
        expected = expected_of(model, rows)
        spoken = Spoken(model, tokenizer, FusedDecoder(model), rows, expected)
        prefix = read_prefix(text_prompt([the_system(spoken)]), spoken.language)
        assert [written(spoken, [row], drafts=drafts)[0] for row in rows] == expected
        assert written(spoken, rows, prefix=prefix, drafts=drafts) == expected
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
