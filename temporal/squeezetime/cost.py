"""What a network costs: multiply-adds, counted layer by layer without computing anything."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Macs:
    """Multiply-adds of one forward pass.

    layers: of convolutions and linear layers, one for each product; biases, sums and activations are not counted.
    norms:  two for each value that a batch norm sees and one for each that is averaged, which is how fvcore counts
            them, and so how the published 5.5 G came about.
    """

    layers: int
    norms: int

    @property
    def total(self) -> int:
        """What fvcore counts, and papers call FLOPs."""
        return self.layers + self.norms


def count_macs(network: nn.Module, *input_shape: int) -> Macs:
    """The multiply-adds of `network` in `eval()` for one input of `input_shape`, on a copy that holds no numbers.

    Networks of 2-D convolutions only: layers of other kinds count nothing.
    """
    layers = norms = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal layers, norms
        if isinstance(module, nn.Conv2d | nn.Linear):
            layers += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.BatchNorm2d):
            norms += 2 * output.numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            norms += inputs[0].numel()

    copy = deepcopy(network).to("meta").eval()
    for module in copy.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        copy(torch.empty(input_shape, device="meta"))
    return Macs(layers, norms)
