"""What a model will need, and where it is put."""

import pytest
import torch

from tests.video_llm.published.checkpoints import llama
from tvu.video_llm.published.language import empty_language_model
from tvu.video_llm.published.memory import WORKING, MemoryPlan, PublishedConfig, device_map, plan_memory
from tvu.video_llm.runtime import bytes_in
from tvu.weights.errors import WeightsError


def test_the_published_lita_needs_what_its_parameters_weigh() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=32100, hidden_size=5120, num_hidden_layers=40, num_attention_heads=40,
                         intermediate_size=13824, max_position_embeddings=2048)  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    with pytest.raises(
        WeightsError, match=r"lita-13b does not fit into the 1\.0 GB allowed: it needs 30\.\d GB"
    ) as told:
        plan_memory("lita-13b", {"language model": model}, config, torch.float16, PublishedConfig(
            max_vram_bytes=bytes_in("1GB"), device="cpu"))  # fmt: skip
    assert "TVU_MAX_VRAM" in told.value.hint


def test_layers_are_spread_over_devices_and_none_is_cut() -> None:
    told = {"num_attention_heads": 4}
    model = empty_language_model(told, llama(300, 64, layers=6, heads=4, inner=96), family="llama", where="here")
    size = 4 * sum(p.numel() for p in model.parameters())
    room = int(size * 0.75 * WORKING)
    plan = MemoryPlan({"language model": size}, 0, 2 * room, {0: room, 1: room}, torch.float32)
    assert plan.fits and plan.needs_several
    places = device_map(model, plan, PublishedConfig())
    assert set(places.values()) == {0, 1}
    layers = [name for name in places if name.startswith("model.layers.")]
    assert len(layers) == 6 and all(name.count(".") == 2 for name in layers)


@pytest.mark.parametrize("fields", [{"precision": "int8"}, {"max_vram_bytes": 0}, {"max_new_tokens": 0}])
def test_a_config_that_makes_no_sense_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError):
        PublishedConfig(**fields)


def test_precision_is_that_of_the_authors_on_a_gpu_and_whole_on_a_cpu() -> None:
    assert PublishedConfig(device="cpu").dtype(torch.bfloat16) == torch.float32
    assert PublishedConfig(device="cuda").dtype(torch.bfloat16) == torch.bfloat16
    assert PublishedConfig(device="cuda", precision="fp16").dtype(torch.bfloat16) == torch.float16
