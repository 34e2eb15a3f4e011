"""Pretrained parts become one model, and learn new words without a change of mind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tests.video_llm.models.tiny import VISION, text_config
from tests.video_llm.models.words import byte_tokenizer
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.modeling import TvuForConditionalGeneration
from tvu.video_llm.models.new_tokens import add_tokens
from tvu.video_llm.models.processing import TvuProcessor
from tvu.video_llm.models.vision import Lite0Tower
from tvu.weights.load import located

NUM_NEW = 11 + 3  # the digits and the dot of VTG-LLM, and the tokens of a video


def language_model(**fields: Any) -> Any:
    told = text_config(**fields)
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[told.pop("model_type")](**told))


def assembled(**fields: Any) -> tuple[Any, TvuForConditionalGeneration, Any]:
    """The old rows, the model and the tokenizer."""
    tokenizer, language = byte_tokenizer(), language_model(**fields)
    old = language.get_input_embeddings().weight[: len(tokenizer)].detach().clone()
    config = TvuConfig(vision_config=VISION, codec={"name": "vtg-llm"})
    return old, TvuForConditionalGeneration.assemble(config, tokenizer, language), tokenizer


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_of_the_old_in_both_tables(tied: bool) -> None:
    old, model, tokenizer = assembled(vocab_size=258, tie_word_embeddings=tied)
    assert len(tokenizer) == len(old) + NUM_NEW == len(model.get_input_embeddings().weight)
    given, said = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (given is said) == tied
    assert torch.equal(given[: len(old)], old)
    for table in (given, said):
        assert_close(table[len(old) :], table[: len(old)].mean(0).expand(NUM_NEW, -1))


def test_rows_in_reserve_are_used_before_new_ones_are_made() -> None:
    old, model, tokenizer = assembled(vocab_size=320, tie_word_embeddings=False)
    given = model.get_input_embeddings().weight
    assert len(given) == 320 and model.config.text_config.vocab_size == 320
    assert_close(given[len(old) : len(tokenizer)], old.mean(0).expand(NUM_NEW, -1))


def test_a_tokenizer_that_knows_more_than_the_tables_leaves_no_row_to_chance() -> None:
    old, model, _ = assembled(vocab_size=250, tie_word_embeddings=False)
    for table in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        assert_close(table[250:], table[:250].mean(0).expand(len(table) - 250, -1))
    assert len(old) == 250


def test_a_tokenizer_without_padding_pads_with_its_end_of_text() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token = None, "<|im_start|>"
    add_tokens(tokenizer, TextTimes())
    assert tokenizer(["a", "bc"], padding=True).input_ids[0][-1] == tokenizer.eos_token_id


def test_time_tokens_are_text_and_those_of_a_video_are_not() -> None:
    _, model, tokenizer = assembled(vocab_size=258)
    assert tokenizer.convert_ids_to_tokens(model.config.video_token_id) == "<|video|>"
    ids = tokenizer("<TIME_ZERO><TIME_DOT><|video_start|><|video|><|video_end|>").input_ids
    assert len(ids) == 5
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == "<TIME_ZERO><TIME_DOT>"


def test_a_tokenizer_that_has_the_words_learns_nothing_again() -> None:
    _, model, tokenizer = assembled(vocab_size=258)
    before = model.get_input_embeddings().weight.detach().clone()
    before[-1] += 1  # as training would
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(before)
    again = TvuForConditionalGeneration.assemble(model.config, tokenizer, model.language_model)
    assert torch.equal(again.get_input_embeddings().weight, before)


@torch.no_grad()
def test_a_language_model_attends_in_the_assembled_model_as_it_did_and_as_it_will_when_loaded(tmp_path: Path) -> None:
    tokenizer, language = byte_tokenizer(), language_model(vocab_size=258)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    alone = language(ids).logits
    config = TvuConfig(vision_config=VISION, text_config=language.config, codec={"name": "text"})
    model = TvuForConditionalGeneration.assemble(config, tokenizer, language)
    assert_close(model(ids).logits[..., :258], alone)
    model.save_pretrained(tmp_path)
    assert torch.equal(TvuForConditionalGeneration.from_pretrained(tmp_path)(ids).logits, model(ids).logits)


def test_parts_that_nobody_trained_are_named() -> None:
    _, model, _ = assembled(vocab_size=258)
    assert model.config.untrained == ["vision_tower", "projector"]


@pytest.mark.weights
@pytest.mark.usefixtures("weights_cache")
@torch.no_grad()
def test_smollm2_and_lite0_become_one_model_that_still_talks(tmp_path: Path) -> None:
    folder = located("smollm2-135m")
    tokenizer, language = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    old = language.get_input_embeddings().weight.detach().bfloat16()
    config = TvuConfig(
        vision_config={"name": "efficientnet-lite0", "grid": 2},
        reductions=[{"name": "frame_means"}],
        project_first=False,
    )
    tower = Lite0Tower(2).load_pretrained()
    model = TvuForConditionalGeneration.assemble(config, tokenizer, language, tower, torch.bfloat16)
    table = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is table and torch.equal(table[: len(old)], old)
    assert torch.equal(table[len(old) :], old.float().mean(0).bfloat16().expand(103, -1))

    processor = TvuProcessor.for_model(model.config, tokenizer)
    turn = {"role": "user", "content": "What is the capital of France? Answer in one word."}
    prompt = processor.apply_chat_template([turn], tokenize=True, return_dict=True, add_generation_prompt=True)
    said = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in processor.decode(said, skip_special_tokens=True)

    clip = Path(__file__).parents[3] / "samples" / "postcard.mp4"
    asked = [
        {"role": "user", "content": [{"type": "video", "path": f"{clip}#t=0,2"}, {"type": "text", "text": "When?"}]}
    ]
    inputs = processor.apply_chat_template(asked, tokenize=True, return_dict=True, add_generation_prompt=True)
    model.save_pretrained(tmp_path)
    again = TvuForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)
