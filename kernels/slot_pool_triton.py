"""The kernels behind `slot_pool`: a softmax over tokens that writes no scores, before one product of PyTorch's.

(1) The scores of a tile of tokens, and at once their exponentials below the tile's own maximum, with that maximum and
their sum: one softmax, a tile at a time. (2) What each tile's exponentials must be multiplied by, (3) and are, in
place; with the places' moments and (4) what lies in each frame.
The weights are written, transposed and in the dtype of x, for the last product needs them for every block of channels:
more channels than the registers of one program hold.
"""

# mypy: allow-untyped-defs

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

LOG2_E = tl.constexpr(1.4426950408889634)
ENOUGH_TILES = 264  # two for every multiprocessor of an H100 or H200


@dataclass(frozen=True)
class Tiling:
    """Sizes that change speed, not results.

    tokens, slots, depth: the tile of scores of one program, and the channels it takes at a time.
    """

    tokens: int = 128
    slots: int = 128
    depth: int = 64
    warps: int = 4
    stages: int = 3


def fitting_tiling(x: Tensor, slots: Tensor) -> Tiling:
    """Smaller tiles for float32, which needs more shared memory, and where larger ones would not fill the device."""
    if x.dtype == torch.float32:
        return Tiling(tokens=64, slots=64, depth=32, warps=8, stages=2)
    tiles = triton.cdiv(x.numel() // x.shape[-1], 128) * triton.cdiv(slots.shape[1], 128)
    return Tiling(tokens=64, slots=64, stages=4) if tiles < ENOUGH_TILES else Tiling()


@triton.jit
def _scores(
    x, slots, lengths, weights, maxima, totals, L, C, K, tiles, stride_s, stride_k,
    HAS_LENGTHS: tl.constexpr, PRECISION: tl.constexpr,
    TOKENS: tl.constexpr, SLOTS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """One program: exp(scores - their maximum) of a tile, `weights` `[B, K, L]`, maximum and sum `[B, tiles, K]`."""
    tile, video = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    slot = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS)
    token = tile * TOKENS + tl.arange(0, TOKENS)
    real = L
    if HAS_LENGTHS:
        real = tl.minimum(tl.load(lengths + video), L).to(tl.int32)
    there = token < real
    x += (video * L + token[:, None]) * C
    score = tl.zeros([TOKENS, SLOTS], dtype=tl.float32)
    for first in range(0, C, DEPTH):
        channel = first + tl.arange(0, DEPTH)
        value = tl.load(x + channel[None, :], mask=there[:, None] & (channel < C)[None, :], other=0.0)
        key = tl.load(
            slots + channel[:, None] * stride_s + slot[None, :] * stride_k,
            mask=(channel < C)[:, None] & (slot < K)[None, :], other=0.0,
        )  # fmt: skip
        score = tl.dot(value, key, score, input_precision=PRECISION)
    score = tl.where(there[:, None], score * LOG2_E, float("-inf"))
    maximum = tl.max(score, axis=0)
    weight = tl.exp2(score - tl.where(maximum == float("-inf"), 0.0, maximum)[None, :])
    stays = (slot < K)[None, :] & (token < L)[:, None]
    # From here 32 bits reach over any video: SLOTS rows of L tokens. As many 64-bit addresses would not fit registers.
    weights += (video * K + tl.program_id(0) * SLOTS) * L + tile * TOKENS
    offset = tl.arange(0, SLOTS)[None, :] * L + tl.arange(0, TOKENS)[:, None]
    tl.store(weights + offset, weight, mask=stays)
    tl.store(maxima + (video * tiles + tile) * K + slot, maximum, mask=slot < K)
    tl.store(totals + (video * tiles + tile) * K + slot, tl.sum(weight, axis=0), mask=slot < K)


@triton.jit
def _factors(maxima, totals, factors, K, tiles, TILES: tl.constexpr, SLOTS: tl.constexpr):
    """One program: what the exponentials of every tile are to be multiplied by, for some slots."""
    video = tl.program_id(1).to(tl.int64)
    slot = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS)[None, :]
    start = video * tiles * K + slot
    best = tl.full([TILES, SLOTS], float("-inf"), dtype=tl.float32)
    for first in range(0, tiles, TILES):
        tile = first + tl.arange(0, TILES)[:, None]
        inside = (tile < tiles) & (slot < K)
        best = tl.maximum(best, tl.load(maxima + start + tile * K, mask=inside, other=float("-inf")))
    top = tl.max(best, axis=0)[None, :]
    top = tl.where(top == float("-inf"), 0.0, top)
    total = tl.zeros([TILES, SLOTS], dtype=tl.float32)
    for first in range(0, tiles, TILES):
        tile = first + tl.arange(0, TILES)[:, None]
        inside = (tile < tiles) & (slot < K)
        maximum = tl.load(maxima + start + tile * K, mask=inside, other=float("-inf"))
        total += tl.exp2(maximum - top) * tl.load(totals + start + tile * K, mask=inside, other=0.0)
    whole = tl.sum(total, axis=0)[None, :]
    whole = tl.where(whole == 0.0, 1.0, whole)  # of a video without a frame
    for first in range(0, tiles, TILES):
        tile = first + tl.arange(0, TILES)[:, None]
        inside = (tile < tiles) & (slot < K)
        maximum = tl.load(maxima + start + tile * K, mask=inside, other=float("-inf"))
        tl.store(factors + start + tile * K, tl.exp2(maximum - top) / whole, mask=inside)


@triton.jit
def _normalise(
    weights, factors, places, moments, pieces, L, N, K, tiles, lengths,
    HAS_LENGTHS: tl.constexpr, PIECES: tl.constexpr, TILE: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    """One program: some slots in one tile, normalised; their moments of the places `[B, tiles, 3, K]`, and how much
    weight they have in each of the PIECES frames of which the tile may hold a piece, `[B, tiles, PIECES, K]`.
    """
    tile, video = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    slot, token = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS), tile * TILE + tl.arange(0, TILE)
    real = L
    if HAS_LENGTHS:
        real = tl.minimum(tl.load(lengths + video), L).to(tl.int32)
    out = (video * tiles + tile) * K + slot
    factor = tl.load(factors + out, mask=slot < K, other=0.0)
    address = weights + (video * K + slot[:, None]) * L + token[None, :]
    inside = (slot < K)[:, None] & (token < L)[None, :]
    weight = tl.load(address, mask=inside, other=0.0).to(tl.float32) * factor[:, None]
    tl.store(address, weight, mask=inside)
    out = (video * tiles + tile) * K * PIECES + slot
    for piece in tl.static_range(PIECES):
        here = token // N == tile * TILE // N + piece
        tl.store(pieces + out + piece * K, tl.sum(tl.where(here[None, :], weight, 0.0), axis=1), mask=slot < K)
    out = (video * tiles + tile) * K * 3 + slot
    places += (video * L + token) * 3
    for axis in tl.static_range(3):
        place = tl.load(places + axis, mask=token < real, other=0.0).to(tl.float32)
        tl.store(moments + out + axis * K, tl.sum(weight * place[None, :], axis=1), mask=slot < K)


@triton.jit
def _mass(pieces, mass, T, N, K, tiles, PIECES: tl.constexpr, TILE: tl.constexpr, SLOTS: tl.constexpr):
    """One program: the weight of some slots in one frame, from the tiles that hold a piece of it; `[B, T, K]`."""
    frame, video = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    slot = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS)
    total = tl.zeros([SLOTS], dtype=tl.float32)
    for tile in range(frame * N // TILE, (frame * N + N - 1) // TILE + 1):
        piece = frame - tile * TILE // N
        total += tl.load(pieces + ((video * tiles + tile) * PIECES + piece) * K + slot, mask=slot < K, other=0.0)
    tl.store(mass + (video * T + frame) * K + slot, total, mask=slot < K)


def _weigh(
    x: Tensor, slots: Tensor, places: Tensor, lengths: Tensor | None, tiling: Tiling
) -> tuple[Tensor, Tensor, Tensor]:
    """The softmax of x `[B, T, N, C]` by slots `[C, K]` over all tokens, and what lies where.

    lengths: real tokens. Returns `[B, K, T N]` in the dtype of x, zeros in the padding, and `[B, T, K]`, `[B, K, 3]`.
    """
    (batch, frames, tokens, channels), size = x.shape, slots.shape[1]
    length = frames * tokens
    tile, block = tiling.tokens, min(tiling.slots, max(16, triton.next_power_of_2(size)))
    tiles, has_lengths = triton.cdiv(length, tile), lengths is not None
    weights = x.new_empty(batch, size, length)
    maxima, totals, factors = x.new_empty(3, batch, tiles, size, dtype=torch.float32)
    precision = "tf32x3" if x.dtype == torch.float32 else "tf32"  # of float32 operands, 24 bits and not 11
    _scores[(triton.cdiv(size, block), tiles, batch)](
        x, slots, lengths, weights, maxima, totals, length, channels, size, tiles, *slots.stride(),
        HAS_LENGTHS=has_lengths, PRECISION=precision, TOKENS=tile, SLOTS=block,
        DEPTH=tiling.depth, num_warps=tiling.warps, num_stages=tiling.stages,
    )  # fmt: skip
    _factors[(triton.cdiv(size, 8), batch)](maxima, totals, factors, size, tiles, TILES=128, SLOTS=8, num_warps=4)
    moments = x.new_empty(batch, tiles, 3, size, dtype=torch.float32)
    held = (tile - 2) // tokens + 2 if tile > 1 else 1
    pieces = x.new_empty(batch, tiles, held, size, dtype=torch.float32)
    _normalise[(triton.cdiv(size, 16), tiles, batch)](
        weights, factors, places, moments, pieces, length, tokens, size, tiles, lengths,
        HAS_LENGTHS=has_lengths, PIECES=held, TILE=tile, SLOTS=16, num_warps=4,
    )  # fmt: skip
    mass = x.new_empty(batch, frames, size, dtype=torch.float32)
    few = min(256, triton.next_power_of_2(size))
    _mass[(triton.cdiv(size, few), frames, batch)](
        pieces, mass, frames, tokens, size, tiles, PIECES=held, TILE=tile, SLOTS=few, num_warps=1
    )
    return weights, mass, moments.sum(1).mT


def _without_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x `[B, L, C]`; 0 times what stands in padding might not be 0."""
    if lengths is None:
        return x
    return x.masked_fill((torch.arange(x.shape[1], device=x.device) >= lengths[:, None])[..., None], 0)


class SlotPool(torch.autograd.Function):
    """`slot_pool` with its gradients: the weights are computed again, the products are PyTorch's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, slots: Tensor, places: Tensor, lengths: Tensor | None, tiling: Tiling | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        tiling = tiling or fitting_tiling(x, slots)
        x, places = x.contiguous(), places.contiguous()
        real = None if lengths is None else lengths.to(x.device) * x.shape[2]
        weights, mass, where = _weigh(x, slots, places, real, tiling)
        pooled = weights @ _without_padding(x.flatten(1, 2), real)
        ctx.save_for_backward(x, slots, places, pooled, real)
        ctx.tiling = tiling
        ctx.mark_non_differentiable(mass, where)
        return pooled, mass, where

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, slots, places, pooled, real = ctx.saved_tensors
        weights, _, _ = _weigh(x, slots, places, real, ctx.tiling)
        flat, grad = _without_padding(x.flatten(1, 2), real), grads[0].to(x.dtype)
        mean = (grad.float() * pooled.float()).sum(-1, keepdim=True)
        to_scores = (weights * ((grad @ flat.mT).float() - mean)).to(x.dtype)
        grad_x = weights.mT @ grad + to_scores.mT @ slots.mT
        grad_slots = (to_scores @ flat).float().sum(0).mT.to(slots.dtype)
        return grad_x.view(x.shape), grad_slots, None, None, None
