"""Cases of OpenGVLab/VideoMamba: the bidirectional mixer."""

import torch
from torch import Tensor

from tests.parity import Case
from tests.parity_runners.mamba1 import mamba_config, rows_alone
from tvu.temporal.scan.bidirectional import BidirectionalMamba
from tvu.temporal.scan.mamba import Mamba


@torch.no_grad()
def run_mixer(case: Case) -> dict[str, Tensor]:
    args = dict(case.config["args"])
    kind = BidirectionalMamba if args.pop("bimamba", True) else Mamba
    block = kind(mamba_config(args)).to(case.dtype)
    block.load_state_dict(case.weights)
    return {"y": block(case.inputs["x"])} | rows_alone(block, case)


RUNNERS = {"videomamba.mixer": run_mixer}
