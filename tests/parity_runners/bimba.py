"""Cases of md-mohaiminul/BIMBA: the token compressor."""

import torch
from torch import Tensor

from parity_runners.case import Case
from tvu.temporal.scan.bimba import MambaCompressor
from tvu.temporal.scan.mamba import MambaConfig


@torch.no_grad()
def run_compressor(case: Case) -> dict[str, Tensor]:
    config = case.config.get("args", case.config)
    sizes = {name: config[name] for name in ("d_model", "d_state", "d_conv", "expand") if name in config}
    compressor = MambaCompressor(
        MambaConfig(**sizes),
        config["n_layer"],
        multi_scale=config.get("multi_scale", True),
        bidirectional=config.get("bimamba", True),
        norm=config.get("use_norm", True),
        residual=config.get("use_res", True),
    ).to(case.dtype)
    compressor.load_state_dict(case.weights)
    return {"queries": compressor(case.inputs["space_time_tokens"].flatten(2, 3), case.inputs["queries"])}


RUNNERS = {"bimba.compressor": run_compressor}
