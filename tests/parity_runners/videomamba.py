"""Cases of OpenGVLab/VideoMamba: the bidirectional mixer and the video network."""

from typing import Any

import torch
from torch import Tensor

from parity_runners.case import Case
from parity_runners.mamba1 import mamba_config, rows_alone
from tvu.temporal.scan.bidirectional import BidirectionalMamba
from tvu.temporal.scan.mamba import Mamba
from tvu.temporal.scan.videomamba import VideoMamba, VideoMambaConfig


@torch.no_grad()
def run_mixer(case: Case) -> dict[str, Tensor]:
    args = dict(case.config["args"])
    kind = BidirectionalMamba if args.pop("bimamba", True) else Mamba
    block = kind(mamba_config(args)).to(case.dtype)
    block.load_state_dict(case.weights)
    return {"y": block(case.inputs["x"])} | rows_alone(block, case)


OURS = {"img_size": "image_size", "kernel_size": "tubelet", "norm_epsilon": "norm_eps", "bimamba": "bidirectional"}
AS_THEY_ARE = ("depth", "num_classes", "num_frames", "patch_size", "channels", "rms_norm")
OFFICIAL_DEFAULTS = {"depth": 24, "num_classes": 1000}


def network_config(args: dict[str, Any]) -> VideoMambaConfig:
    args = OFFICIAL_DEFAULTS | args
    fields = {name: args[name] for name in AS_THEY_ARE if name in args}
    fields |= {ours: args[theirs] for theirs, ours in OURS.items() if theirs in args}
    for side in ("image_size", "patch_size"):
        if side in fields:
            fields[side] = tuple(fields[side]) if isinstance(fields[side], list) else (fields[side],) * 2
    mixer = mamba_config({"d_model": args.get("embed_dim", 192), **(args.get("ssm_cfg") or {})})
    return VideoMambaConfig(mixer, **fields)


@torch.no_grad()
def run_network(case: Case) -> dict[str, Tensor]:
    network = VideoMamba(network_config(case.config.get("args", case.config))).to(case.dtype)
    network.load_state_dict(case.weights)
    hidden, residual = network.embed(case.inputs["video"]), None
    streams = {}
    for block, layer in enumerate(network.layers):
        hidden, residual = layer(hidden, residual)
        streams |= {f"block{block}_hidden": hidden, f"block{block}_residual": residual}
    streams |= {"last_hidden": hidden, "last_residual": residual}
    feature = network.tokens(case.inputs["video"])[:, 0]
    return streams | {"feature": feature, "logits": network(case.inputs["video"])}


RUNNERS = {"videomamba.mixer": run_mixer, "videomamba.network": run_network}
