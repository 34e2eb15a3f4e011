"""Cases of hustvl/Vim: the bidirectional mixer."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.parity import Case
from tests.parity_runners.mamba1 import mamba_config, rows_alone
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
    block.load_state_dict(case.weights)
    return {"y": block(case.inputs["x"])} | rows_alone(block, case)


RUNNERS = {"vim.mixer": run_mixer}
