"""The kernel behind `causal_conv_silu`: the shifted reads of a tile come from the cache after the first."""

# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

TOKENS, CHANNELS, WARPS = 32, 128, 4


@triton.jit(do_not_specialize=["L"])
def _convolve(
    x, weight, bias, out, L, D, tiles, stride_b, stride_l,
    HAS_BIAS: tl.constexpr, TAPS: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    video = tl.program_id(1).to(tl.int64)
    token = (tl.program_id(0) // tiles).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(0) % tiles * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < D
    total = tl.zeros([TOKENS, CHANNELS], dtype=tl.float32)
    if HAS_BIAS:
        total += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)[None, :]
    x += video * stride_b
    for tap in tl.static_range(TAPS):
        source = token - (TAPS - 1 - tap)
        there = ((source >= 0) & (source < L))[:, None] & inside[None, :]
        value = tl.load(x + source[:, None] * stride_l + channel[None, :], mask=there, other=0.0).to(tl.float32)
        total += value * tl.load(weight + channel * TAPS + tap, mask=inside, other=0.0).to(tl.float32)[None, :]
    total = total / (1.0 + tl.exp(-total))
    address = out + (video * L + token[:, None]) * D + channel[None, :]
    tl.store(address, total, mask=(token < L)[:, None] & inside[None, :])


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `causal_conv_silu`."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    batch, length, channels = x.shape
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    tiles = triton.cdiv(channels, CHANNELS)
    _convolve[(triton.cdiv(length, TOKENS) * tiles, batch)](
        x, weight.contiguous(), None if bias is None else bias.contiguous(), out, length, channels, tiles,
        x.stride(0), x.stride(1),
        HAS_BIAS=bias is not None, TAPS=weight.shape[-1], TOKENS=TOKENS, CHANNELS=CHANNELS, num_warps=WARPS,
    )  # fmt: skip
    return out
