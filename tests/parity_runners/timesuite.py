"""TimeSuite / VideoChat-T: token shuffle, TAPE, their sum, and the vision tower's positions."""

import torch
from torch import Tensor, nn

from parity_runners.case import Case
from tvu.temporal.compress import compress_tokens
from tvu.temporal.position_table import resize_in_time, sinusoid_table
from tvu.temporal.reduction.shuffle import TokenShuffle
from tvu.temporal.tape import TemporalAdapter
from tvu.temporal.types import VisualTokens

STAGES = ("pool", "DwConv1", "DwConv2", "fc", "UpConv1", "UpConv0")


def adapter_of(case: Case) -> TemporalAdapter:
    config = case.config
    return TemporalAdapter(config["merge_len"], config["clip_num"], config["width"], config["mid"], config["llm_width"])


def clips_of(features: Tensor, clips: int) -> VisualTokens:
    spans = 8 * (torch.arange(clips, dtype=torch.float64)[:, None] + torch.tensor([0.0, 1.0]))
    by_clip = features.unflatten(1, (clips, -1))
    return VisualTokens.from_frames(by_clip, spans.expand(features.shape[0], -1, -1), (1, by_clip.shape[2]))


def adapted(case: Case) -> dict[str, Tensor]:
    adapter = adapter_of(case).to(case.dtype)
    adapter.load_state_dict(case.weights)
    stages: dict[str, Tensor] = {}
    for name in STAGES:
        adapter.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: stages.update({name: y}))
    y = adapter(case.inputs["x"])
    return {**stages, "y": y[..., :: case.config.get("channel_step", 1)]}


def shuffle_of(case: Case, adapter: TemporalAdapter | None = None) -> TokenShuffle:
    config = case.config
    shuffle = TokenShuffle(config["merge_len"], config["width"], config["llm_width"], adapter).to(case.dtype)
    shuffle.load_state_dict(case.weights)
    return shuffle


def video_tokens(case: Case) -> dict[str, Tensor]:
    shuffle = shuffle_of(case, adapter_of(case) if case.config["adapter"] else None)
    features = case.inputs["clip_features"]
    if case.config["queries"] % shuffle.merge_len:  # neighbours across clips
        return {"tokens": shuffle.merge(features, torch.full(features.shape[:1], features.shape[1]))}
    tokens = compress_tokens(clips_of(features, case.config["clip_num"]), shuffle)
    return {"tokens": tokens.features.flatten(1, 2)}


def image_tokens(case: Case) -> dict[str, Tensor]:
    return {"tokens": shuffle_of(case).still(case.inputs["image_features"])}


def merge_init(case: Case) -> dict[str, Tensor]:
    config = case.config
    projection = nn.Linear(config["width"], config["llm_width"], dtype=case.dtype)
    projection.load_state_dict({key: case.weights[f"mistral_proj.{key}"] for key in ("weight", "bias")})
    shuffle = TokenShuffle.from_projection(projection, config["merge_len"])
    x = case.inputs["x"]
    tokens = shuffle.merge(x, torch.full(x.shape[:1], x.shape[1]))
    return {"merge_weight": shuffle.merge_proj.weight, "merge_bias": shuffle.merge_proj.bias, "tokens": tokens}


def position_tables(case: Case) -> dict[str, Tensor]:
    outputs = {}
    for name, table in case.config["tables"].items():
        positions, stored, wanted = table["n_position"], table["ckpt_num_frame"], table["cur_frame"]
        if stored in (-1, wanted):
            outputs[name] = sinusoid_table(positions, case.config["width"])[None]
        else:
            stored_table = sinusoid_table(positions // wanted * stored, case.config["width"])
            outputs[name] = resize_in_time(stored_table, stored, wanted)[None]
    return outputs


RUNNERS = {
    "timesuite.adapter": adapted,
    "timesuite.video_tokens": video_tokens,
    "timesuite.image_tokens": image_tokens,
    "timesuite.merge_init": merge_init,
    "timesuite.position_table": position_tables,
}
