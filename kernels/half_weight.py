"""A matrix that 16 bits can hold, read as 16 bits and multiplied in float32: the same product from half the bytes."""

import torch
from torch import Tensor


class HalfWeight:
    """A float32 weight `[N, K]` whose numbers are all float16 numbers, as those of most published checkpoints are.

    On x86 CPUs FBGEMM reads it and widens it in registers; products and sums are float32. A few rows of x cost what one
    costs. Raises ValueError where `fits` says no.
    """

    def __init__(self, weight: Tensor) -> None:
        if not HalfWeight.fits(weight):
            raise ValueError(f"{weight.dtype} {tuple(weight.shape)} on {weight.device} is not exact in 16 bits here")
        self.shape = weight.shape
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), None)

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether nothing is lost, and this machine can compute it."""
        return (
            weight.dtype == torch.float32
            and weight.ndim == 2
            and weight.device.type == "cpu"
            and "fbgemm" in torch.backends.quantized.supported_engines
            and torch.equal(weight.half().float(), weight)
        )

    def product(self, x: Tensor) -> Tensor:
        """x float32 `[..., K]` times the transposed weight: `[..., N]`."""
        return torch.ops.quantized.linear_dynamic_fp16.default(x, self._packed)
