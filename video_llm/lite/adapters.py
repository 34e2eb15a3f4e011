"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) on a frozen language model, and new words for it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional


class AdaptedLinear(nn.Module):
    """`W x + b + scale * up (down x)` with W and b frozen.

    Two narrow products beside W's, not one with the sum of the weights: added to W in bfloat16, what is less than a
    256th of a weight would be lost, which is most of what an adapter learns at first. down `[rank, in]` starts at
    random and up `[out, rank]` at zero: training starts at the frozen model.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.scale = scale
        down = torch.randn(rank, linear.in_features, device=linear.weight.device) / linear.in_features**0.5
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank, device=linear.weight.device))

    @property
    def weight(self) -> Tensor:
        """Both as one weight, summed in float32 and rounded once to the dtype of W."""
        return (self.linear.weight.float() + self.scale * (self.up @ self.down)).to(self.linear.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        narrow = functional.linear(functional.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype))
        return self.linear(x) + self.scale * narrow


def adapt(model: nn.Module, rank: int, scale: float) -> None:
    """Every linear layer of every block of a Llama-like `model` gets an adapter, in place; all else is frozen.

    Raises ValueError for a model without `layers`.
    """
    model.requires_grad_(False)
    layers = getattr(model, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ValueError("a language model to be adapted has its blocks in `layers`")
    for parent in list(layers.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, AdaptedLinear(child, rank, scale))


def adapters(model: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    """Every adapted layer of `model` with its name."""
    return ((name, each) for name, each in model.named_modules() if isinstance(each, AdaptedLinear))


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Adapters become part of the weights that they adapt, in place: the model is a plain one again."""
    for name, layer in list(adapters(model)):
        weight = layer.linear.weight
        if weight.dtype == torch.float32:
            weight.addmm_(layer.up, layer.down, alpha=layer.scale)  # one pass over it: there are 200 of them to load
        else:
            weight.copy_(layer.weight)
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], layer.linear)
