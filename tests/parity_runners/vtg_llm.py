"""VTG-LLM: time added to tokens, slots, and the tables' load-time steps."""

import torch
from torch import Tensor, nn

from parity_runners.case import Case
from tvu.temporal.compress import compress_tokens
from tvu.temporal.reduction.slots import CrossAttentionSampler, SlotSampler
from tvu.temporal.sequence_time import (
    SequenceTimeEmbedding,
    fill_untrained_seconds_official,
    resize_frame_positions,
)
from tvu.temporal.types import VisualTokens


def flat_tokens(x: Tensor) -> VisualTokens:
    """x `[B, L, C]` as a sequence of tokens of one second each."""
    spans = torch.arange(x.shape[1], dtype=torch.float64)[:, None] + torch.tensor([0.0, 1.0])
    return VisualTokens.from_frames(x.unsqueeze(2), spans.expand(x.shape[0], -1, -1), (1, 1))


def slots(case: Case) -> dict[str, Tensor]:
    sampler = SlotSampler(case.config["num_slots"], case.config["width"]).to(case.dtype)
    sampler.load_state_dict(case.weights)
    tokens = flat_tokens(case.inputs["x"])
    every = case.config.get("channel_step", 1)
    return {
        "slots": compress_tokens(tokens, sampler).features.squeeze(2)[..., ::every],
        "attention": sampler.attention(tokens),
    }


def bridge(case: Case) -> dict[str, Tensor]:
    config = case.config
    weights = dict(case.weights)
    if not config["real_time_stamp"]:
        weights.pop("video_time_position_embedding", None)
    embedding = SequenceTimeEmbedding(
        config["width"], config["max_frame_pos"], config["max_time_pos"] if config["real_time_stamp"] else 0
    )
    samplers: dict[str, nn.Module] = {}
    if config["sampler"] == "slot":
        samplers["sampler"] = SlotSampler(config["num_slots"], config["width"])
    elif config["sampler"] == "cross":
        samplers["sampler"] = CrossAttentionSampler(config["num_slots"], config["width"], config.get("heads", 8))
    embedding.add_module("llama_proj", nn.Linear(config["width"], config["llm_width"]))
    for name, sampler in samplers.items():
        embedding.add_module(name, sampler)
    embedding.to(case.dtype).load_state_dict(weights)

    seconds = case.inputs.get("absolute_timestamp")
    features = case.inputs["query_output"]
    if seconds is None:
        seconds = torch.zeros(features.shape[:2], dtype=torch.int64)
    tokens = flat_tokens(embedding(features, seconds).flatten(1, 2))
    kept = compress_tokens(tokens, *samplers.values())
    return {
        "tokens": tokens.features.squeeze(2),
        "slots": kept.features.squeeze(2),
        "llm_inputs": embedding.get_submodule("llama_proj")(kept.features.squeeze(2)),
        "attention": kept.mask,
    }


def filled(case: Case) -> dict[str, Tensor]:
    return {"table": fill_untrained_seconds_official(case.inputs["table"])}


def resized(case: Case) -> dict[str, Tensor]:
    return {f"to_{size}": resize_frame_positions(case.inputs["table"], size) for size in case.config["sizes"]}


RUNNERS = {
    "vtg_llm.slots": slots,
    "vtg_llm.bridge": bridge,
    "vtg_llm.fill_untrained_seconds": filled,
    "vtg_llm.resize_frame_positions": resized,
}
