"""Which twin runs: Triton for CUDA tensors, plain PyTorch for everything else."""

import importlib.util
from functools import cache

import torch
from torch import Tensor


@cache
def has_triton() -> bool:
    """Whether Triton can be imported: it has wheels for Linux only."""
    return importlib.util.find_spec("triton") is not None


def runs_on_triton(*tensors: Tensor) -> bool:
    """Whether kernels may take these: all on a CUDA device, in float32 or below (no kernel computes in float64)."""
    return has_triton() and all(
        x.is_cuda and x.dtype in (torch.float32, torch.bfloat16, torch.float16) for x in tensors
    )
