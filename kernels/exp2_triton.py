"""The power of two as the hardware has it, and what is made of it."""

# mypy: allow-untyped-defs

import triton
import triton.language as tl
from triton.language.extra import libdevice

ON_DEVICE = tl.constexpr(not triton.knobs.runtime.interpret)


@triton.jit
def exp2(x):
    """2^x of float32; what is below the smallest normal number is 0.

    `tl.exp2` keeps subnormal numbers, for which it compares and multiplies twice around the one instruction that this
    is: half of what a decay costs in a scan.
    """
    if ON_DEVICE:
        return libdevice.exp2(x)
    return tl.exp2(x)


@triton.jit
def silu(x):
    """x / (1 + exp(-x)) of float32, within two units in the last place."""
    below = 1.0 + exp2(-1.4426950408889634 * x)  # log2(e)
    if ON_DEVICE:
        return libdevice.fast_dividef(x, below)
    return x / below
