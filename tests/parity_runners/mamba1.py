"""Cases of state-spaces/mamba: the selective scan, one step of it, the Mamba block."""

from typing import Any

import torch
from torch import Tensor

from parity_runners.case import Case, maths, streamed
from tvu.temporal.scan.mamba import Mamba, MambaConfig
from tvu.temporal.scan.selective_scan import selective_scan, selective_state_update


def mamba_config(args: dict[str, Any]) -> MambaConfig:
    sizes = maths(args)
    if sizes.get("dt_rank") == "auto":
        del sizes["dt_rank"]
    return MambaConfig(**sizes)


def run_scan(case: Case) -> dict[str, Tensor]:
    inputs = {name: x.requires_grad_() for name, x in case.inputs.items() if name != "cotangent"}
    settings = {name: value for name, value in case.config.items() if name in ("delta_softplus",)}
    y, last_state = selective_scan(**inputs, **settings)
    outputs = {"y": y, "last_state": last_state}
    if "cotangent" in case.inputs:
        leaves = list(inputs)
        grads = torch.autograd.grad((y * case.inputs["cotangent"]).sum(), [inputs[name] for name in leaves])
        outputs |= {f"grad_{name}": grad for name, grad in zip(leaves, grads, strict=True)}
    return outputs


def run_state_update(case: Case) -> dict[str, Tensor]:
    y, state = selective_state_update(**case.inputs, dt_softplus=case.config.get("dt_softplus", True))
    return {"y": y, "state": state}


@torch.no_grad()
def run_block(case: Case) -> dict[str, Tensor]:
    block = Mamba(mamba_config(case.config["args"])).to(case.dtype)
    block.load_state_dict(case.weights)
    x = case.inputs["x"]
    outputs = {"y": block(x)} | rows_alone(block, case)
    if case.config.get("decode"):
        outputs |= streamed(case, block, block)
    return outputs


def rows_alone(block: torch.nn.Module, case: Case) -> dict[str, Tensor]:
    """Rows of a ragged batch, run together; the official code runs every one alone."""
    lengths = case.config.get("lengths") or []
    if not lengths:
        return {}
    y = block(case.inputs["x"], torch.tensor(lengths))
    return {f"y{row}": y[row : row + 1, :length] for row, length in enumerate(lengths)}


RUNNERS = {
    "mamba.selective_scan": run_scan,
    "mamba.state_update": run_state_update,
    "mamba.mamba1_block": run_block,
}
