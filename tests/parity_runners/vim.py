"""Cases of hustvl/Vim: the bidirectional mixer, and its one-directional ancestor with a scaled output."""

from typing import Any

import torch
from torch import Tensor, nn

from parity_runners.case import Case
from parity_runners.mamba1 import mamba_config, rows_alone
from tvu.temporal.scan.bidirectional import BidirectionalMamba, SharedBidirectionalMamba
from tvu.temporal.scan.mamba import Mamba


def mixer(args: dict[str, Any]) -> nn.Module:
    args = dict(args)
    kind = args.pop("bimamba_type", "none")
    mean, layer_scale = args.pop("if_divide_out", False), args.pop("init_layer_scale", None)
    config = mamba_config(args)
    if kind == "v2":
        return BidirectionalMamba(config, mean=mean, layer_scale=layer_scale)
    if kind == "v1":
        return SharedBidirectionalMamba(config, layer_scale=layer_scale)
    return Mamba(config)


@torch.no_grad()
def run_mixer(case: Case) -> dict[str, Tensor]:
    block = mixer(case.config["args"]).to(case.dtype)
    outer = set() if hasattr(block, "gamma") else {"gamma"}  # of a Mamba the scale is no part
    block.load_state_dict({name: tensor for name, tensor in case.weights.items() if name not in outer})
    outputs = {"y": block(case.inputs["x"])} | rows_alone(block, case)
    return {name: y * case.weights["gamma"] if outer & case.weights.keys() else y for name, y in outputs.items()}


RUNNERS = {"vim.mixer": run_mixer}
