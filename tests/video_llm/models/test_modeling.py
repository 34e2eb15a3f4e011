"""The Video-LLM as a transformers model, on tiny random weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForImageTextToText

from tests.video_llm.models.tiny import (
    VIDEO_ID,
    frames,
    prompt,
    question,
    seconds,
    text_config,
    tiny_config,
    tiny_model,
    together,
)
from tvu.temporal.encoders.storm import StormTemporalEncoder
from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.modeling import TvuForConditionalGeneration
from tvu.weights.errors import WeightsError

STORM = {"name": "storm", "layers": 1, "d_state": 4}
POOL = {"name": "pool", "frames": 2, "cells": 2}

LANGUAGE_MODELS = ["llama", "mistral", "qwen2", "qwen3"]
ENCODERS: list[dict[str, Any]] = [
    STORM,
    {"name": "storm", "layers": 2, "mixer": "mamba2", "headdim": 16, "d_state": 8, "bidirectional": False},
    {"name": "lrcn", "hidden": 8},
    {"name": "prefix_attention", "heads": 2, "layers": 1},
    {"name": "bidirectional_prefix_attention", "heads": 2, "layers": 1},
    {"name": "lightnet", "layers": 1, "expand_ratio": 8},
    {"name": "global_lightnet", "layers": 1, "expand_ratio": 8},
]
REDUCTIONS: list[dict[str, Any]] = [
    POOL,
    {"name": "pool", "frames": 3, "every": 2},
    {"name": "slow_fast"},
    {"name": "frame_means"},
    {"name": "cell_means"},
    {"name": "slow_frames", "num_frames": 3},
    {"name": "keep_changed", "dropped": 0.6},
    {"name": "merge_similar", "budget": 7, "frames": 2},
    {"name": "merge_similar", "budget": 100},
    {"name": "slots", "num_slots": 5},
    {"name": "cross_attention_slots", "num_slots": 5, "heads": 2},
    {"name": "shuffle", "merge_len": 4},
]
FAST_PATH = {
    "network": {"layers": [1, 1, 1, 1], "is_bottleneck": False, "widths": [2, 2, 2, 4], "num_frames": 4},
    "hop": 3,
    "grid": [1, 2],
}


def told(reduction: dict[str, Any]) -> str:
    return "-".join(map(str, reduction.values()))


@pytest.mark.parametrize("model_type", LANGUAGE_MODELS)
@torch.no_grad()
def test_any_language_model_sees_the_video_and_generates_what_its_logits_say(model_type: str) -> None:
    model = tiny_model(text_config=text_config(model_type), temporal=STORM, reductions=[POOL])
    inputs = question(model, 5)
    other = inputs | {"pixel_values_videos": frames(5, seed=1)}
    assert not torch.equal(model(**inputs).logits[:, -1], model(**other).logits[:, -1])

    generated = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert torch.equal(generated[:, :-4], inputs["input_ids"])
    every = {**inputs, "input_ids": generated, "attention_mask": torch.ones_like(generated)}
    assert torch.equal(model(**every).logits[:, -5:-1].argmax(-1), generated[:, -4:])


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: "-".join(map(str, encoder.values())))
@pytest.mark.parametrize("project_first", [True, False])
@torch.no_grad()
def test_every_encoder_is_saved_and_loaded_to_the_same_logits(
    encoder: dict[str, Any], project_first: bool, tmp_path: Path
) -> None:
    model = tiny_model(temporal=encoder, reductions=[POOL], project_first=project_first)
    model.save_pretrained(tmp_path)
    again = TvuForConditionalGeneration.from_pretrained(tmp_path)
    inputs = question(model, 3)
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=told)
@torch.no_grad()
def test_the_number_of_rows_is_known_before_anything_is_seen(reduction: dict[str, Any]) -> None:
    for fields in ({}, {"project_first": False}, {"projector": {"space_to_depth": True, "norm": True}}):
        model = tiny_model(reductions=[reduction], **fields)
        for num_frames in (1, 2, 5, 8):
            rows = model.visual_tokens(frames(num_frames), seconds(num_frames)).flatten().lengths.item()
            assert rows == model.num_visual_tokens(num_frames), (fields, num_frames)


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=told)
@torch.no_grad()
def test_videos_of_different_lengths_give_in_one_batch_what_each_gives_alone(reduction: dict[str, Any]) -> None:
    model = tiny_model(temporal=STORM, reductions=[reduction])
    alone = [question(model, num_frames, seed) for seed, num_frames in enumerate((6, 3))]
    logits = model(**together(*alone)).logits
    for row, inputs in zip(logits, alone, strict=True):
        expected = model(**inputs).logits[0]
        assert_close(row[-len(expected) :], expected, rtol=1e-4, atol=1e-4)  # sums in another order


@torch.no_grad()
def test_tokens_put_side_by_side_after_the_reductions_are_counted() -> None:
    model = tiny_model(reductions=[POOL], project_first=False, projector={"space_to_depth": True})
    assert model.visual_tokens(frames(5), seconds(5)).flatten().lengths.item() == model.num_visual_tokens(5) == 3


def test_a_shuffle_that_leaves_a_rest_is_refused_before_anything_is_seen() -> None:
    model = tiny_model(reductions=[{"name": "shuffle", "merge_len": 3}])
    with pytest.raises(ValueError, match="16 tokens a frame are not groups of 3"):
        model.num_visual_tokens(2)


@torch.no_grad()
def test_known_spans_are_those_of_the_tokens() -> None:
    model = tiny_model(reductions=[POOL], fast_path=FAST_PATH)
    fast = (frames(10, side=32), seconds(10, 0.5), None)
    tokens = model.visual_tokens(frames(5), seconds(5), fast=fast).flatten()
    assert torch.equal(model.config.layout().row_spans(seconds(5)[0], seconds(10, 0.5)[0]), tokens.spans[0])
    assert model.num_visual_tokens(5, 10) == tokens.lengths.item() == 3 * 4 + 3 * 2


@torch.no_grad()
def test_the_fast_path_changes_the_answer_and_is_saved(tmp_path: Path) -> None:
    model = tiny_model(reductions=[POOL], fast_path=FAST_PATH)
    input_ids = prompt(model.num_visual_tokens(2, 5))
    inputs = {
        "input_ids": input_ids,
        "pixel_values_videos": frames(2),
        "frame_spans": seconds(2),
        "fast_pixel_values_videos": frames(5, side=32),
        "fast_frame_spans": seconds(5, 0.4),
    }
    logits = model(**inputs).logits
    assert not torch.equal(logits, model(**inputs | {"fast_pixel_values_videos": frames(5, 3, side=32)}).logits)
    model.save_pretrained(tmp_path)
    assert torch.equal(TvuForConditionalGeneration.from_pretrained(tmp_path)(**inputs).logits, logits)
    assert model.generate(**inputs, max_new_tokens=2).shape[1] == input_ids.shape[1] + 2


@torch.no_grad()
def test_projecting_last_is_the_same_for_a_linear_projector_and_means() -> None:
    first = tiny_model(projector={"layers": 1}, reductions=[POOL])
    last = tiny_model(projector={"layers": 1}, reductions=[POOL], project_first=False)
    last.load_state_dict(first.state_dict())
    inputs = question(first, 5)
    assert_close(last(**inputs).logits, first(**inputs).logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_stages_one_by_one_are_the_whole_and_storm_pools_before_its_last_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model(temporal=STORM, reductions=[POOL, {"name": "keep_changed", "dropped": 0.5}])
    tokens = model.project(model.encode_frames(frames(5), seconds(5)))
    by_stage = model.compress_tokens(model.encode_time(tokens))

    def refuse(*_: object) -> None:
        raise AssertionError("the whole last product was computed")

    monkeypatch.setattr(StormTemporalEncoder, "forward", refuse)
    at_once = model.visual_tokens(frames(5), seconds(5))
    assert_close(at_once.features, by_stage.features, rtol=1e-4, atol=1e-5)
    assert torch.equal(at_once.spans, by_stage.spans)


@torch.no_grad()
def test_beams_sequences_and_padding_do_not_change_whose_video_it_is() -> None:
    model = tiny_model(temporal=STORM, reductions=[POOL])
    alone = [question(model, num_frames, seed) for seed, num_frames in enumerate((5, 2))]
    batch = together(*alone)
    for settings in ({"num_beams": 3}, {"do_sample": False}):
        generated = model.generate(**batch, max_new_tokens=4, **settings)
        for row, inputs in zip(generated, alone, strict=True):
            expected = model.generate(**inputs, max_new_tokens=4, **settings)[0]
            assert torch.equal(row[-4:], expected[-4:])
    assert len(model.generate(**batch, max_new_tokens=2, do_sample=True, num_return_sequences=3)) == 6


@pytest.mark.filterwarnings("error:.*past_key_values:FutureWarning")
@torch.no_grad()
def test_a_step_from_the_cache_counts_positions_past_the_padding() -> None:
    model = tiny_model()
    ids, mask = torch.tensor([[0, 0, 5, 6, 7, 8]]), torch.tensor([[0, 0, 1, 1, 1, 1]])
    cache = model(ids[:, :4], mask[:, :4], use_cache=True).past_key_values
    assert_close(model(ids[:, 4:], mask, past_key_values=cache).logits[:, -1], model(ids[:, 2:]).logits[:, -1])


@pytest.mark.filterwarnings("error:.*past_key_values:FutureWarning")
def test_the_memory_of_a_language_model_is_called_as_its_transformers_calls_it() -> None:
    model = tiny_model()
    model.generate(**question(model, 2), max_new_tokens=2, do_sample=False)


@torch.no_grad()
def test_a_batch_may_hold_prompts_with_two_videos_and_with_none() -> None:
    model = tiny_model(reductions=[POOL])
    rows = model.num_visual_tokens(2)
    both = torch.tensor([[5, *[VIDEO_ID] * rows, 6, *[VIDEO_ID] * rows, 7], [5, *[8] * (2 * rows + 2)]])
    videos = {"pixel_values_videos": torch.cat([frames(2), frames(2, 1)]), "frame_spans": seconds(2).repeat(2, 1, 1)}
    swapped = videos | {"pixel_values_videos": videos["pixel_values_videos"].flip(0)}
    logits, others = model(both, **videos).logits, model(both, **swapped).logits
    assert not torch.allclose(logits[0, -1], others[0, -1])
    assert_close(logits[1], model(both[1:]).logits[0])


def test_the_loss_looks_at_text_alone_and_reaches_every_part() -> None:
    model = tiny_model(temporal=STORM, reductions=[POOL, {"name": "slots", "num_slots": 4}]).train()
    model.gradient_checkpointing_enable()
    inputs = question(model, 4)
    output = model(**inputs, labels=inputs["input_ids"])
    output.loss.backward()
    for name in ("vision_tower", "projector", "temporal_encoder", "reductions", "language_model"):
        gradients = [parameter.grad for parameter in getattr(model, name).parameters()]
        assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients), name
    padded = {name: torch.nn.functional.pad(inputs[name], (3, 0)) for name in ("input_ids", "attention_mask")}
    assert_close(model(**inputs | padded, labels=padded["input_ids"]).loss, output.loss)
    shifted = output.logits[0, 5:-1].log_softmax(-1)  # the prompt is 2 tokens, 4 rows, 3 tokens
    first = output.logits[0, 0].log_softmax(-1)[6]
    expected = -(first + sum(shifted[i, token] for i, token in enumerate((7, 8, 9)))) / 4
    assert_close(output.loss, expected)


def test_places_and_rows_that_disagree_are_an_error() -> None:
    model = tiny_model(reductions=[POOL])
    inputs = question(model, 4)
    with pytest.raises(ValueError, match="places for"):
        model(**inputs | {"input_ids": prompt(3)})
    shifted = together(inputs, question(model, 4))
    shifted["input_ids"][0, 2] = 7
    shifted["input_ids"][1, 0] = VIDEO_ID
    with pytest.raises(ValueError, match="places for"):
        model(**shifted)
    with pytest.raises(ValueError, match="float64"):
        model(**inputs | {"frame_spans": inputs["frame_spans"].float()})


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    tiny_model(reductions=[POOL]).save_pretrained(tmp_path)
    config = TvuConfig.from_pretrained(tmp_path)
    config.temporal = STORM
    config.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="temporal_encoder"):
        TvuForConditionalGeneration.from_pretrained(tmp_path)


def test_a_checkpoint_of_more_than_its_config_tells_is_refused(tmp_path: Path) -> None:
    tiny_model(temporal=STORM).save_pretrained(tmp_path)
    config = TvuConfig.from_pretrained(tmp_path)
    config.temporal = None
    config.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="temporal_encoder"):
        TvuForConditionalGeneration.from_pretrained(tmp_path)


@pytest.mark.parametrize("asked_for", [None, False])
def test_a_pickle_is_never_opened(asked_for: bool | None, tmp_path: Path) -> None:
    model = tiny_model()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        TvuForConditionalGeneration.from_pretrained(tmp_path, use_safetensors=asked_for)


def test_a_file_cannot_name_code_and_its_reader_says_how_attention_is_computed(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    names = {"auto_map": {"AutoModelForCausalLM": "theirs.Theirs"}, "attn_implementation": "their/kernel"}
    names["_attn_implementation"] = "their/kernel"
    (tmp_path / "config.json").write_text(json.dumps(told | names | {"text_config": told["text_config"] | names}))
    for model in (
        TvuForConditionalGeneration.from_pretrained(tmp_path),
        AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation="eager"),
    ):
        assert not hasattr(model.config, "auto_map") and not hasattr(model.language_model.config, "auto_map")
        assert model.language_model.config._attn_implementation in ("sdpa", "eager")
    assert model.language_model.config._attn_implementation == "eager"


def test_a_checkpoint_in_many_files_is_one(tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again = TvuForConditionalGeneration.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())


def test_the_config_survives_json_and_knows_its_parts(tmp_path: Path) -> None:
    config = tiny_config(temporal=STORM, reductions=[POOL], fast_path=FAST_PATH, codec={"name": "text", "decimals": 2})
    config.save_pretrained(tmp_path)
    again = TvuConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict() | {"transformers_version": again.transformers_version}
    assert type(again.text_config) is type(config.text_config)
    assert TvuConfig().to_dict() == TvuConfig().to_dict()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"codec": {"name": "clock"}}, "a codec is one of lita, vtg-llm, text"),
        ({"codec": {"name": "lita", "decimals": 1}}, "has other fields"),
        ({"tells_times": "groups", "reductions": [{"name": "slots", "num_slots": 4}]}, "depends on the content"),
        ({"text_config": {"model_type": "nonsense"}}, "no language model of type 'nonsense'"),
        ({"tells_times": "shouting"}, "tells_times is one of"),
    ],
)
def test_a_part_that_there_is_not_is_an_error(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tiny_config(**fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"temporal": {"name": "rnn"}}, "a temporal encoder is one of storm"),
        ({"temporal": STORM | {"channels": 5}}, "gets 32 channels"),
        ({"vision_config": {"name": "efficientnet-lite0", "rows": 7}}, "has other fields"),
        ({"reductions": [{"name": "sum"}]}, "a reduction is one of pool"),
        ({"projector": {"layers": 0}}, "16 channels do not become 32"),
        ({"reductions": [{"name": "shuffle", "width": 64}]}, "end with 64 channels"),
    ],
)
def test_parts_that_do_not_fit_are_an_error(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tiny_model(**fields)


def test_embeddings_can_be_resized_and_stay_tied(tmp_path: Path) -> None:
    model = tiny_model(text_config=text_config(tie_word_embeddings=True))
    model.resize_token_embeddings(120)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.config.text_config.vocab_size == len(model.get_input_embeddings().weight) == 120
    model.save_pretrained(tmp_path)
    again = TvuForConditionalGeneration.from_pretrained(tmp_path)
    assert again.get_input_embeddings().weight is again.get_output_embeddings().weight
