"""The kernel behind `norm_linear` and its kin: a few rows of x against a weight that is read once.

A program owns some rows of the weight and walks along them, several tiles in flight. The norm needs no pass of its own:
rstd * sum(x * norm_weight * w) is the product with the normalised row, so the squares are summed beside it.
"""

# mypy: allow-untyped-defs

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.dispatch import chains
from tvu.kernels.norm_linear import MAX_ROWS

AHEAD = 16  # lines of 128 bytes of every row of the weight, a power of two, asked for before the kernel's turn


class Tiles(NamedTuple):
    """How a program works: rows of x (1: lanes sum the products; 16: tensor cores do) and a tile of the weight."""

    rows: int
    block_n: int
    block_k: int
    warps: int
    stages: int


@triton.jit
def dot(a, b, total, INTERPRETED: tl.constexpr):
    """total + a @ b. Triton's interpreter would multiply the bits of bfloat16: there, rounded values are widened."""
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
def _prefetch(pointer):
    """Into the cache that all multiprocessors share."""
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [pointer], dtype=tl.int32, is_pure=False, pack=1
    )


@triton.jit
def _skinny(
    x, norm_weight, weight, bias, residual, out, M, N, K, stride, value_offset, eps,
    NORM: tl.constexpr, GATED: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr,
    INTERPRETED: tl.constexpr, CHAINED: tl.constexpr, AHEAD: tl.constexpr, LINE: tl.constexpr,
    ROWS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    row = tl.arange(0, ROWS)[:, None]
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
    square = tl.zeros([ROWS, BLOCK_K], dtype=tl.float32)
    total = tl.zeros([BLOCK_N, BLOCK_K] if ROWS == 1 else [ROWS, BLOCK_N], dtype=tl.float32)
    value = total
    for start in tl.range(0, K, BLOCK_K, num_stages=STAGES):
        k = start + tl.arange(0, BLOCK_K)[None, :]
        w = tl.load(begin + k, mask=k < K, other=0.0)  # [BLOCK_N, BLOCK_K]
        part = tl.load(x + row * K + k, mask=(row < M) & (k < K), other=0.0)  # [ROWS, BLOCK_K]
        wide = part.to(tl.float32)
        if NORM:
            square += wide * wide
            wide *= tl.load(norm_weight + k, mask=k < K, other=0.0).to(tl.float32)
        if ROWS == 1:
            total += wide * w.to(tl.float32)
        else:
            total = dot(wide.to(w.dtype), w.T, total, INTERPRETED)
        if GATED:
            w = tl.load(begin + value_offset + k, mask=k < K, other=0.0)
            if ROWS == 1:
                value += wide * w.to(tl.float32)
            else:
                value = dot(wide.to(w.dtype), w.T, value, INTERPRETED)
    if ROWS == 1:
        total = tl.sum(total, 1)[None, :]
        value = tl.sum(value, 1)[None, :]
    if NORM:
        scale = tl.rsqrt(tl.sum(square, 1) / K + eps)[:, None]  # [ROWS, 1]
        total *= scale
        value *= scale
    n = n[None, :]
    real = (row < M) & (n < N)
    if BIAS:
        total += tl.load(bias + n, mask=n < N, other=0.0).to(tl.float32)
    if GATED:
        total = total * tl.sigmoid(total) * value
    if RESIDUAL:
        total += tl.load(residual + row * N + n, mask=real, other=0.0).to(tl.float32)
    tl.store(out + row * N + n, total, mask=real)


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
    """x `[..., K]` of at most MAX_ROWS rows times weight `[N, K]` (gated: `[2 * N, K]`): `[..., N]`.

    norm:  the weight and eps of an RMSNorm before; tiles: instead of those that `choose_tiles` gives.
    """
    outputs, width = weight.shape[0] // (1 + gated), weight.shape[1]
    rows = x.numel() // width
    if norm is not None and x.dtype == torch.float16:  # x * norm_weight may pass 65504 where the norm does not
        x, norm = torch.nn.functional.rms_norm(x, norm[0].shape, *norm), None
    tiles = tiles or choose_tiles(rows, outputs, width, gated)
    x = x.contiguous()
    out = x.new_empty(*x.shape[:-1], outputs)
    chained = chains(x.device)
    _skinny[(triton.cdiv(outputs, tiles.block_n),)](
        x, x if norm is None else norm[0], weight, bias, residual if residual is None else residual.contiguous(), out,
        rows, outputs, width, weight.stride(0), outputs * weight.stride(0), 0.0 if norm is None else norm[1],
        NORM=norm is not None, GATED=gated, BIAS=bias is not None, RESIDUAL=residual is not None,
        INTERPRETED=not x.is_cuda, CHAINED=chained, AHEAD=AHEAD, LINE=128 // weight.element_size(),
        ROWS=tiles.rows, BLOCK_N=tiles.block_n, BLOCK_K=tiles.block_k, STAGES=tiles.stages,
        num_warps=tiles.warps, **({"launch_pdl": True} if chained else {}),
    )  # fmt: skip
    return out


def choose_tiles(rows: int, outputs: int, width: int, gated: bool) -> Tiles:
    """Narrow tiles where there are few rows of weight to share among the programs, wider ones where there are many."""
    if rows == 1:
        return Tiles(1, 8 if gated else 16, 512, 4, 3)
    if outputs < 16_384 or gated:
        return Tiles(MAX_ROWS, 16, 256, 4, 4)
    return Tiles(MAX_ROWS, 64, 128, 4, 4)
