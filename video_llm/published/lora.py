"""Low-rank adapters of peft, merged into the weights that they adapt (LoRA, Hu et al. 2021, arXiv 2106.09685)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tvu.weights.errors import WeightsError

WRAPPER = "base_model.model."
A, B = ".lora_A.default.weight", ".lora_B.default.weight"


def without_wrapper(name: str) -> str:
    """The name that a parameter had before peft wrapped its model: newer releases also rename what they adapt."""
    return name.removeprefix(WRAPPER).replace(".base_layer.", ".")


def merged(state: Mapping[str, Tensor], alpha: float, dtype: torch.dtype) -> dict[str, Tensor]:
    """W + alpha / r * B A in place of every adapted W, under the names from before peft wrapped the model.

    state: base weights and adapters; r is read off A `[r, in]`, B is `[out, r]`. The sum is made in float32 and rounded
    once to `dtype`; the published code adds the two products for every token instead, each rounded by itself.
    Raises WeightsError where an adapter lacks its other half or its base, or does not fit it.
    """
    plain = {without_wrapper(name): value for name, value in state.items()}
    adapted = {name.removesuffix(half) for name in plain for half in (A, B) if name.endswith(half)}
    merged = {name: value for name, value in plain.items() if not name.endswith((A, B))}
    for module in sorted(adapted):
        base, down, up = (plain.get(f"{module}{name}") for name in (".weight", A, B))
        if base is None or down is None or up is None:
            raise WeightsError(f"the adapter of {module} is not whole", hint="download the file again")
        if up.shape[1] != down.shape[0] or base.shape != (up.shape[0], down.shape[1]):
            shapes = f"{tuple(up.shape)} x {tuple(down.shape)} for {tuple(base.shape)}"
            raise WeightsError(f"the adapter of {module} does not fit: {shapes}", hint="is it of another model?")
        scale = alpha / down.shape[0]
        merged[f"{module}.weight"] = (base.float() + scale * (up.float() @ down.float())).to(dtype)
    return merged
