"""What a runner is given, and what several of them make of it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# What the official constructors of the Mamba family take besides: how training starts, on what, with which kernels and
# which decoder. No answer depends on it.
NOT_MATHS = {
    "A_init_range",
    "activation",
    "conv_init",
    "device",
    "dt_init",
    "dt_init_floor",
    "dt_max",
    "dt_min",
    "dt_scale",
    "dtype",
    "layer_idx",
    "process_group",
    "sequence_parallel",
    "use_fast_path",
    "use_mem_eff_path",
}


@dataclass(frozen=True)
class Case:
    """One case, ready to run: floating weights and inputs in `dtype`, integers and masks as they were stored.

    config:  constructor arguments and settings of the case.
    weights: official key to tensor, without the leading `w.`.
    inputs:  name to tensor, without the leading `in.`.
    outputs: names of the outputs that the case expects, without the leading `out.`.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dtype: torch.dtype


def maths(args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an official constructor on which answers depend; JSON writes no bound as null or "inf"."""
    kept = {name: value for name, value in args.items() if name not in NOT_MATHS}
    if "dt_limit" in kept:
        low, high = kept["dt_limit"] or (None, None)
        kept["dt_limit"] = (0.0 if low is None else float(low), float("inf" if high is None else high))
    return kept


def streamed(case: Case, block: Any, decoder: Any) -> dict[str, Tensor]:
    """`prefill` tokens at once through `block`, the others one by one through `decoder`."""
    x, prefill = case.inputs["x"], case.config.get("prefill") or 0
    start = block.step(x[:, :prefill])[1] if prefill else None
    state, decoded = start, [x[:, :0]]
    for t in range(prefill, x.shape[1]):
        y, state = decoder.step(x[:, t : t + 1], state)
        decoded.append(y)
    conv, ssm = (torch.zeros_like(state.conv), torch.zeros_like(state.ssm)) if start is None else start
    outputs = {"prefill_conv_state": conv, "prefill_ssm_state": ssm, "decoded": torch.cat(decoded, dim=1)}
    return outputs | {"final_conv_state": state.conv, "final_ssm_state": state.ssm}


def padding_of(case: Case, name: str) -> Tensor:
    """The mask `{name}_padding` `[B, L]`, true at padding; a case without it has none."""
    padding = case.inputs.get(f"{name}_padding")
    return torch.zeros(case.inputs[name].shape[:2], dtype=torch.bool) if padding is None else padding.bool()
