"""SmolLM2 without transformers, which says what it must compute."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.video_llm.lite.tiny_lite import KNOWN, tiny_causal
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.lite.language import load_language
from tvu.weights.errors import WeightsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_causal(seed=1).save_pretrained(tmp_path)
    return tmp_path


def test_it_reads_as_transformers_does(folder):
    embeddings = torch.randn(2, 13, 32)
    ours, theirs = load_language(folder, torch.float32), tiny_causal(seed=1)
    found = ours.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
    expected = theirs.model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
    torch.testing.assert_close(found, expected.detach(), atol=2e-6, rtol=1e-5)  # sums in another order


def test_its_weights_have_the_names_and_the_numbers_that_transformers_gives_them(folder):
    ours, theirs = load_language(folder, torch.float32), tiny_causal(seed=1)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(each, theirs.state_dict()[name]) for name, each in ours.state_dict().items())
    assert not ours.training and not any(each.requires_grad for each in ours.parameters())


def test_our_decoder_writes_with_it_as_with_that_of_transformers(folder):
    logits = []
    for model in (load_language(folder, torch.float32), tiny_causal(seed=1).requires_grad_(False)):
        decoder = FusedDecoder(model)
        with decoder.borrow(rows=1, capacity=16) as workspace:
            logits.append(workspace.prefill(0, decoder.embed(torch.arange(9))))
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)


def test_new_words_are_read_and_written_with_one_table(folder):
    causal = load_language(folder, torch.float32)
    causal.set_table(torch.cat([causal.get_input_embeddings().weight, torch.ones(3, 32)]))
    assert causal.config.vocab_size == causal.lm_head.out_features == KNOWN + 3
    assert causal.lm_head.weight is causal.model.embed_tokens.weight
    assert causal.get_input_embeddings()(torch.tensor([KNOWN + 2])).tolist() == [[1.0] * 32]


def test_numbers_come_in_the_dtype_that_is_asked_for(folder):
    causal = load_language(folder, torch.bfloat16)
    assert {each.dtype for each in causal.parameters()} == {torch.bfloat16}
    assert causal.model(inputs_embeds=torch.zeros(1, 4, 32, dtype=torch.bfloat16)).last_hidden_state.isfinite().all()


@pytest.mark.parametrize(
    "change", [{"mlp_bias": True}, {"model_type": "qwen2"}, {"rope_parameters": {}}, {"head_dim": 8}]
)
def test_a_model_of_another_kind_or_shape_is_refused(folder, change):
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | change))
    with pytest.raises(WeightsError, match="holds no language model"):
        load_language(folder, torch.float32)


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="holds no language model"):
        load_language(tmp_path, torch.float32)


def test_neither_transformers_nor_the_compiler_of_torch_is_imported_for_it(folder):
    """They take three seconds of a processor."""
    told = f"""
import pathlib, sys, torch, tvu.video_llm.lite.answer
tvu.video_llm.lite.language.load_language(pathlib.Path({str(folder)!r}), torch.float32)
sys.exit(any(name in sys.modules for name in ("transformers", "torch._dynamo")))
"""
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
