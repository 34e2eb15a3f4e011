"""LightNet and the gated recurrences under it."""

import torch
from torch import Tensor

from parity_runners.case import Case
from tvu.temporal.encoders.gated_recurrence import gated_recurrence, scalar_gated_recurrence
from tvu.temporal.encoders.lightnet import LightNetConfig, LightNetLayer

# They choose a kernel, count layers, fuse, name the one gate (swish), or are ignored by the official layer.
WITHOUT_EFFECT = ("mode", "layer_idx", "norm_eps", "fuse_norm", "gate_fn")


def layer(case: Case) -> dict[str, Tensor]:
    args = {name: value for name, value in case.config["args"].items() if name not in WITHOUT_EFFECT}
    module = LightNetLayer(LightNetConfig(**args)).to(case.dtype)
    module.load_state_dict(case.weights, strict=True)
    x, mask = case.inputs["x"], case.inputs.get("attention_mask")
    y, state = module.step(x, mask=mask)
    outputs = {"y": y, "state": state.recurrent, "log_normaliser": state.log_normaliser}
    if "decoded" in case.outputs:
        prefill = case.config.get("prefill") or 0
        before = None if mask is None else mask[:, :prefill]
        state = module.step(x[:, :prefill], mask=before)[1] if prefill else None
        decoded = [x[:, :0]]
        for t in range(prefill, x.shape[1]):
            y, state = module.step(x[:, t : t + 1], state, None if mask is None else mask[:, t : t + 1])
            decoded.append(y)
        outputs["decoded"] = torch.cat(decoded, dim=1)
    return outputs


def recurrence(case: Case) -> dict[str, Tensor]:
    state = case.inputs.get("initial_state")
    names = ("q", "k", "v", "gk")
    y, state = gated_recurrence(*(case.inputs[name] for name in names), state, scale=case.config.get("scale"))
    return {"y": y, "state": state}


def simple_gla(case: Case) -> dict[str, Tensor]:
    q, k, v, g = (case.inputs[name] for name in ("q", "k", "v", "g"))
    size = min(case.config.get("chunk_sizes") or [64])  # the official result is the same for all: the most borders
    state = case.inputs.get("initial_state")
    y, state = scalar_gated_recurrence(q, k, v, g, state, scale=case.config.get("scale"), chunk_size=size)
    return {"y": y, "state": state}


RUNNERS = {"lightnet.layer": layer, "lightnet.recurrence": recurrence, "lightnet.simple_gla": simple_gla}
