"""Which twin runs: Triton for CUDA tensors, plain PyTorch for everything else."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor


@cache
def has_triton() -> bool:
    """Whether Triton can be imported: it has wheels for Linux only."""
    return importlib.util.find_spec("triton") is not None


_plain_only = False


@contextmanager
def plain_twins() -> Iterator[None]:
    """Inside, no kernel runs: what benchmarks compare with."""
    global _plain_only
    before, _plain_only = _plain_only, True
    try:
        yield
    finally:
        _plain_only = before


def runs_on_triton(*tensors: Tensor) -> bool:
    """Whether kernels may take these: all on the current CUDA device, where a launch goes whatever it points to, and in
    float32 or below (no kernel computes in float64).
    """
    if _plain_only:
        return False
    fit = has_triton() and all(x.is_cuda and x.dtype in (torch.float32, torch.bfloat16, torch.float16) for x in tensors)
    return fit and {x.device.index for x in tensors} == {torch.cuda.current_device()}


def needs_gradient(*tensors: Tensor | None) -> bool:
    """Whether autograd watches any of these: kernels without a backward pass leave them to their plain twin."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)


@cache
def chains(device: torch.device) -> bool:
    """Whether a kernel may be launched while the one before it ends (programmatic dependent launch, from Hopper on).

    Such a kernel waits for its predecessor before it reads or writes anything that others do.
    """
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
