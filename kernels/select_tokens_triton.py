"""The kernels behind `select_tokens`: a radix search for the last score that stays, then compaction.

Three histograms, of 11, 11 and 10 bits, find the score at rank `budget`; every program reads the histograms of the
rounds before and so learns by itself which scores are still in question. Nothing is sorted, the host is never asked.
"""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 2048
BINS = 2048


@triton.jit
def _keys(scores, video, L, BLOCK: tl.constexpr):
    """Scores as integers in [0, 2^32) of the same order, in int64; and which of them exist."""
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(scores + video * L + place, mask=place < L, other=0.0) + 0.0  # -0.0 becomes 0.0
    bits = value.to(tl.int32, bitcast=True)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return ordered.to(tl.int64) + 2147483648, place < L


@triton.jit
def _digit(histogram, rank, BINS: tl.constexpr):
    """The bin in which the element of 1-based `rank` lies, and its rank among the elements of that bin."""
    counts = tl.load(histogram + tl.arange(0, BINS))
    upto = tl.cumsum(counts, axis=0)
    before = tl.sum(tl.where(upto < rank, counts, 0))
    return tl.sum((upto < rank).to(tl.int32)).to(tl.int64), rank - before


@triton.jit
def _histogram(scores, histograms, L, budget, ROUND: tl.constexpr, BLOCK: tl.constexpr, BINS: tl.constexpr):
    """Count the next digit of the keys whose earlier digits are those of the wanted key."""
    video = tl.program_id(0).to(tl.int64)
    mine = histograms + video * 3 * BINS
    key, real = _keys(scores, video, L, BLOCK)
    if ROUND == 0:
        digit = key >> 21
        in_question = real
    elif ROUND == 1:
        first, _ = _digit(mine, budget, BINS)
        digit = (key >> 10) & 2047
        in_question = real & ((key >> 21) == first)
    else:
        first, rank = _digit(mine, budget, BINS)
        second, _ = _digit(mine + BINS, rank, BINS)
        digit = key & 1023
        in_question = real & ((key >> 10) == first * 2048 + second)
    counts = tl.histogram(tl.where(in_question, digit, 0).to(tl.int32), BINS)
    bin_of_lane = tl.arange(0, BINS)
    aside = tl.sum((~in_question).to(tl.int32))  # these were counted in bin 0
    counts = tl.where(bin_of_lane == 0, counts - aside, counts)
    tl.atomic_add(mine + ROUND * BINS + bin_of_lane, counts, mask=counts > 0)


@triton.jit
def _wanted(histograms, video, budget, BINS: tl.constexpr):
    """The key of rank `budget`, and how many tokens with exactly this key stay."""
    mine = histograms + video * 3 * BINS
    first, rank = _digit(mine, budget, BINS)
    second, rank = _digit(mine + BINS, rank, BINS)
    third, rank = _digit(mine + 2 * BINS, rank, BINS)
    return (first * 2048 + second) * 1024 + third, rank


@triton.jit
def _count(scores, histograms, below, equal, L, budget, BLOCK: tl.constexpr, BINS: tl.constexpr):
    video = tl.program_id(0).to(tl.int64)
    key, real = _keys(scores, video, L, BLOCK)
    wanted, _ = _wanted(histograms, video, budget, BINS)
    slot = video * tl.num_programs(1) + tl.program_id(1)
    tl.store(below + slot, tl.sum((real & (key < wanted)).to(tl.int32)))
    tl.store(equal + slot, tl.sum((real & (key == wanted)).to(tl.int32)))


@triton.jit
def _compact(
    scores, histograms, below, equal, index, L, budget,
    BLOCK: tl.constexpr, BINS: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    video = tl.program_id(0).to(tl.int64)
    key, real = _keys(scores, video, L, BLOCK)
    wanted, ties = _wanted(histograms, video, budget, BINS)
    block = tl.arange(0, BLOCKS)
    earlier = block < tl.program_id(1)
    start = video * tl.num_programs(1)
    below_before = tl.sum(tl.load(below + start + block, mask=earlier, other=0))
    equal_before = tl.sum(tl.load(equal + start + block, mask=earlier, other=0))
    is_below = (real & (key < wanted)).to(tl.int32)
    is_equal = (real & (key == wanted)).to(tl.int32)
    equal_rank = equal_before + tl.cumsum(is_equal, axis=0)  # 1-based for a token that is equal
    below_rank = below_before + tl.cumsum(is_below, axis=0)
    stays = (is_below == 1) | ((is_equal == 1) & (equal_rank <= ties))
    position = below_rank + tl.minimum(equal_rank, ties) - 1
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    tl.store(index + video * budget + position, place.to(tl.int64), mask=stays)


@triton.jit
def _gather(x, index, out, L, budget, C, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    source = (row // budget) * L + tl.load(index + row)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + source * C + channel, mask=channel < C, other=0.0)
    tl.store(out + row * C + channel, value, mask=channel < C)


def lowest(scores: Tensor, budget: int) -> Tensor:
    """Where the `budget` lowest of scores `[B, L]` float32 stand: `[B, budget]` int64, rising."""
    scores = scores.contiguous()
    videos, length = scores.shape
    blocks = triton.cdiv(length, BLOCK)
    histograms = torch.zeros(videos, 3, BINS, dtype=torch.int32, device=scores.device)
    below, equal = torch.empty(2, videos, blocks, dtype=torch.int32, device=scores.device)
    index = torch.empty(videos, budget, dtype=torch.int64, device=scores.device)
    grid = (videos, blocks)
    for turn in range(3):
        _histogram[grid](scores, histograms, length, budget, ROUND=turn, BLOCK=BLOCK, BINS=BINS)
    _count[grid](scores, histograms, below, equal, length, budget, BLOCK=BLOCK, BINS=BINS)
    _compact[grid](
        scores, histograms, below, equal, index, length, budget,
        BLOCK=BLOCK, BINS=BINS, BLOCKS=triton.next_power_of_2(blocks),
    )  # fmt: skip
    return index


class Gather(torch.autograd.Function):
    """Rows of x `[B, L, C]` at `index` `[B, K]`, each row at most once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        x = x.contiguous()
        videos, length, channels = x.shape
        ctx.save_for_backward(index)
        ctx.length = length
        out = x.new_empty(videos, index.shape[1], channels)
        block = min(triton.next_power_of_2(channels), 1024)
        _gather[(index.numel(), triton.cdiv(channels, block))](
            x, index, out, length, index.shape[1], channels, BLOCK=block, num_warps=4
        )
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        videos, _, channels = grads[0].shape
        out = grads[0].new_zeros(videos, ctx.length, channels)
        return out.scatter_(1, index[..., None].expand(-1, -1, channels), grads[0]), None
