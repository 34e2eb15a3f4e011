"""The kernel behind `norm_linear` and its kin: one row of x against a weight that is read once.

A program owns some rows of the weight and walks along them, several tiles in flight. The norm needs no pass of its own:
rstd * sum(x * norm_weight * w) is the product with the normalised row, so the squares are summed beside it. Tensor
cores would have nothing to do for one row; for several, cuBLAS reads the weight as well as a kernel of ours did.
"""

# mypy: allow-untyped-defs

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.dispatch import chains

AHEAD = 16  # lines of 128 bytes of every row of the weight, a power of two, asked for before the kernel's turn


class Tiles(NamedTuple):
    """How a program works: the tile of the weight that it takes at a time."""

    block_n: int
    block_k: int
    warps: int
    stages: int


@triton.jit
def _prefetch(pointer):
    """Into the cache that all multiprocessors share."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [pointer], dtype=tl.int32, is_pure=False, pack=1
    )


@triton.jit
def _skinny(
    x, norm_weight, weight, bias, residual, out, N, K, stride, value_offset, eps,
    NORM: tl.constexpr, GATED: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr,
    CHAINED: tl.constexpr, AHEAD: tl.constexpr, LINE: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    # what would lie beyond the last row repeats it and is not stored, so that the loop needs no mask for it
    begin = weight + tl.minimum(n, N - 1).to(tl.int64)[:, None] * stride  # [BLOCK_N, 1]
    if CHAINED:
        tl.extra.cuda.gdc_launch_dependents()
        if AHEAD > 0:  # weights depend on no other kernel: their first columns come closer while that one ends
            line = tl.minimum(tl.arange(0, AHEAD)[None, :] * LINE, K - 1)
            _prefetch(begin + line)
            if GATED:
                _prefetch(begin + value_offset + line)
        tl.extra.cuda.gdc_wait()
    square = tl.zeros([1, BLOCK_K], dtype=tl.float32)
    total = tl.zeros([BLOCK_N, BLOCK_K], dtype=tl.float32)
    value = total
    for start in tl.range(0, K, BLOCK_K, num_stages=STAGES):
        k = start + tl.arange(0, BLOCK_K)[None, :]
        w = tl.load(begin + k, mask=k < K, other=0.0)  # [BLOCK_N, BLOCK_K]
        part = tl.load(x + k, mask=k < K, other=0.0).to(tl.float32)  # [1, BLOCK_K]
        if NORM:
            square += part * part
            part *= tl.load(norm_weight + k, mask=k < K, other=0.0).to(tl.float32)
        total += part * w.to(tl.float32)
        if GATED:
            value += part * tl.load(begin + value_offset + k, mask=k < K, other=0.0).to(tl.float32)
    sums = tl.sum(total, 1)  # [BLOCK_N]
    values = tl.sum(value, 1)
    if NORM:
        scale = tl.rsqrt(tl.sum(square) / K + eps)
        sums *= scale
        values *= scale
    if BIAS:
        sums += tl.load(bias + n, mask=n < N, other=0.0).to(tl.float32)
    if GATED:
        sums = sums * tl.sigmoid(sums) * values
    if RESIDUAL:
        sums += tl.load(residual + n, mask=n < N, other=0.0).to(tl.float32)
    tl.store(out + n, sums, mask=n < N)


def skinny(
    x: Tensor,
    weight: Tensor,
    *,
    norm: tuple[Tensor, float] | None = None,
    gated: bool = False,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    tiles: Tiles | None = None,
) -> Tensor:
    """x `[..., K]` of one row times weight `[N, K]` (gated: `[2 * N, K]`): `[..., N]`.

    norm:  the weight and eps of an RMSNorm before; tiles: instead of those that `choose_tiles` gives.
    """
    outputs, width = weight.shape[0] // (1 + gated), weight.shape[1]
    if norm is not None and x.dtype == torch.float16:  # x * norm_weight may pass 65504 where the norm does not
        x, norm = torch.nn.functional.rms_norm(x, norm[0].shape, *norm), None
    tiles = tiles or choose_tiles(outputs)
    x = x.contiguous()
    out = x.new_empty(*x.shape[:-1], outputs)
    chained = chains(x.device)
    _skinny[(triton.cdiv(outputs, tiles.block_n),)](
        x, x if norm is None else norm[0], weight, bias, residual if residual is None else residual.contiguous(), out,
        outputs, width, weight.stride(0), outputs * weight.stride(0), 0.0 if norm is None else norm[1],
        NORM=norm is not None, GATED=gated, BIAS=bias is not None, RESIDUAL=residual is not None,
        CHAINED=chained, AHEAD=AHEAD, LINE=128 // weight.element_size(),
        BLOCK_N=tiles.block_n, BLOCK_K=tiles.block_k, STAGES=tiles.stages,
        num_warps=tiles.warps, **({"launch_pdl": True} if chained else {}),
    )  # fmt: skip
    return out


def choose_tiles(outputs: int) -> Tiles:
    """Measured on an H200 at the shapes of a 7B model: few rows of weight want narrow tiles, for more programs."""
    return Tiles(4, 1024, 4, 4) if outputs < 8192 else Tiles(8, 1024, 4, 3)
