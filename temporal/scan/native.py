"""The scans of the mamba-ssm package, where it is installed and works; imported only when asked for."""

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor

Scan = Callable[..., Any]
LARGEST_OFFSET = 2**31 - 1


@cache
def mamba_ssm_selective_scan() -> Scan | None:
    """`selective_scan_fn` of mamba-ssm, whose compiled extension is its only way to run; None without it."""
    module = _module("mamba_ssm.ops.selective_scan_interface")
    if module is None or getattr(module, "selective_scan_cuda", None) is None:
        return None
    return module.selective_scan_fn


@cache
def mamba_ssm_chunk_scan() -> Scan | None:
    """`mamba_chunk_scan_combined` of mamba-ssm, which runs in Triton; None where the package does not import."""
    module = _module("mamba_ssm.ops.triton.ssd_combined")
    return None if module is None else module.mamba_chunk_scan_combined


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    # Up to 2.3.2 any import of the package loads its extension, which breaks with every other torch; Triton raises
    # RuntimeError without a driver.
    except (ImportError, OSError, RuntimeError):
        return None


def offsets_fit(*tensors: Tensor | None) -> bool:
    """Whether every element of every tensor lies within 2^31 elements of its first: their kernels count in 32 bits.

    Beyond that they give wrong finite numbers or an illegal access (mamba-ssm issue 1015).
    """
    return all(
        sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) <= LARGEST_OFFSET
        for tensor in tensors
        if tensor is not None
    )
