"""The kernels behind `rotate_and_append` and `cached_attention`: lengths are read on the device, graphs may hold both.

Attention to a cache is split along it (flash-decoding; Dao et al. 2023): every split keeps the mean of the values that
it saw, weighted by the softmax of its own scores, and the log of the sum that it divided by; a second kernel joins
them. How many splits there are is set by the capacity of the cache, how much each of them takes by the length of a row.
"""

# mypy: allow-untyped-defs

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.dispatch import chains

HEADS = 8  # of queries, keys and values that a program rotates
LOG2_E = 1.4426950408889634
PROGRAMS = 128  # splits of all rows together, where the cache is long enough: one for a multiprocessor of an H200
SHARED_BYTES = 96 * 2**10  # of keys and values under way to a program


class Split(NamedTuple):
    """How programs share a cache: how many of them take one row and group, and the keys that each takes at a time."""

    splits: int
    block: int
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
def _rotate_and_append(
    qkv, cos, sin, lengths, keys, values, query_norm, key_norm, out, Q, H, G, S, P, D,
    key_row, key_group, key_place, value_row, value_group, value_place, eps,
    NORM: tl.constexpr, CHAINED: tl.constexpr, HEADS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """One new position of one row, HEADS of its heads: first and second half of their channels apart."""
    if CHAINED:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    token = tl.program_id(0).to(tl.int64)
    row = token // Q
    place = tl.load(lengths + row) + token % Q
    head = (tl.program_id(1) * HEADS + tl.arange(0, HEADS))[:, None]
    channel = tl.arange(0, HALF)[None, :]
    half = D // 2
    real = (head < H + 2 * G) & (channel < half)
    address = qkv + (token * (H + 2 * G) + head) * D + channel
    a = tl.load(address, mask=real, other=0.0).to(tl.float32)  # [HEADS, HALF]
    b = tl.load(address + half, mask=real, other=0.0).to(tl.float32)
    if NORM:
        scale = tl.rsqrt((tl.sum(a * a, 1) + tl.sum(b * b, 1)) / D + eps)[:, None]
        is_query = real & (head < H)
        is_key = real & (head >= H) & (head < H + G)
        normed = head < H + G
        for_a = tl.load(query_norm + channel, mask=is_query, other=0.0)
        for_b = tl.load(query_norm + half + channel, mask=is_query, other=0.0)
        for_a += tl.load(key_norm + channel, mask=is_key, other=0.0)
        for_b += tl.load(key_norm + half + channel, mask=is_key, other=0.0)
        a = tl.where(normed, a * scale * for_a.to(tl.float32), a)
        b = tl.where(normed, b * scale * for_b.to(tl.float32), b)
    angle = place * D + channel
    known = (head < H + G) & (channel < tl.where(place < P, half, 0))  # values keep their angle
    first = a * tl.load(cos + angle, mask=known, other=1.0) - b * tl.load(sin + angle, mask=known, other=0.0)
    second = b * tl.load(cos + half + angle, mask=known, other=1.0)
    second += a * tl.load(sin + half + angle, mask=known, other=0.0)
    address = out + (token * H + head) * D + channel
    tl.store(address, first, mask=real & (head < H))
    tl.store(address + half, second, mask=real & (head < H))
    room = (channel < tl.where(place < S, half, 0)) & (head >= H)
    address = keys + row * key_row + (head - H) * key_group + place * key_place + channel
    tl.store(address, first, mask=room & (head < H + G))
    tl.store(address + half, second, mask=room & (head < H + G))
    address = values + row * value_row + (head - H - G) * value_group + place * value_place + channel
    tl.store(address, first, mask=room & (head >= H + G) & (head < H + 2 * G))
    tl.store(address + half, second, mask=room & (head >= H + G) & (head < H + 2 * G))


@triton.jit
def _share(lengths, row, Q, S, splits, BLOCK: tl.constexpr):
    """How many keys the last query of the row sees, and how many of them a split takes."""
    seen = tl.minimum(tl.load(lengths + row) + Q, S).to(tl.int32)
    return seen, tl.cdiv(tl.cdiv(seen, splits), BLOCK) * BLOCK


@triton.jit
def _attend(
    q, keys, values, lengths, means, logs, Q, H, G, S, D, splits, scale,
    key_row, key_group, key_place, value_row, value_group, value_place,
    INTERPRETED: tl.constexpr, CHAINED: tl.constexpr,
    QUERIES: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """The queries of one group, each as H / G heads, to one split of one row's cache."""
    if CHAINED:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    row = (tl.program_id(0) // G).to(tl.int64)
    group = tl.program_id(0) % G
    split = tl.program_id(1)
    seen, share = _share(lengths, row, Q, S, splits, BLOCK)
    begin = split * share
    if begin < seen:
        end = tl.minimum(begin + share, seen)
        heads = H // G
        query = tl.program_id(2) * QUERIES + tl.arange(0, QUERIES)
        last = seen - Q + query // heads  # the last key that it sees
        channel = tl.arange(0, WIDTH)
        line = (row * Q + query // heads) * H + group * heads + query % heads  # of q, [QUERIES]
        real = (query < Q * heads)[:, None] & (channel < D)[None, :]
        rows = tl.load(q + line[:, None] * D + channel[None, :], mask=real, other=0.0)
        keys += row * key_row + group * key_group
        values += row * value_row + group * value_group
        top = tl.full([QUERIES], -float("inf"), dtype=tl.float32)
        total = tl.zeros([QUERIES], dtype=tl.float32)
        mean = tl.zeros([QUERIES, WIDTH], dtype=tl.float32)
        for start in tl.range(begin, end, BLOCK, num_stages=STAGES):
            place = start + tl.arange(0, BLOCK)
            there = (place < end)[:, None] & (channel < D)[None, :]
            k = tl.load(keys + place.to(tl.int64)[:, None] * key_place + channel[None, :], mask=there, other=0.0)
            v = tl.load(values + place.to(tl.int64)[:, None] * value_place + channel[None, :], mask=there, other=0.0)
            score = dot(rows, k.T, tl.zeros([QUERIES, BLOCK], dtype=tl.float32), INTERPRETED) * scale
            visible = (place[None, :] < end) & (place[None, :] <= last[:, None])
            score = tl.where(visible, score, -float("inf"))
            new_top = tl.maximum(top, tl.max(score, 1))
            base = tl.where(new_top == -float("inf"), 0.0, new_top)  # a query may see no key of this split
            weight = tl.exp2(score - base[:, None])
            fade = tl.exp2(top - base)
            total = total * fade + tl.sum(weight, 1)
            mean = dot(weight.to(v.dtype), v, mean * fade[:, None], INTERPRETED)
            top = new_top
        mean = mean / tl.where(total > 0, total, 1.0)[:, None]
        tl.store(means + (line[:, None] * splits + split) * D + channel[None, :], mean, mask=real)
        log = tl.where(total > 0, top + tl.log2(tl.where(total > 0, total, 1.0)), -float("inf"))
        tl.store(logs + line * splits + split, log, mask=query < Q * heads)


@triton.jit
def _join(
    means, logs, lengths, out, Q, H, S, D, splits,
    CHAINED: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """One head of one query: its means of the splits that had keys, each by its share of the whole sum."""
    if CHAINED:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    line = tl.program_id(0).to(tl.int64)
    seen, share = _share(lengths, line // (Q * H), Q, S, splits, BLOCK)
    used = tl.cdiv(seen, share)
    channel = tl.arange(0, WIDTH)
    split = tl.arange(0, SPLITS)
    top = tl.max(tl.load(logs + line * splits + split, mask=split < used, other=-float("inf")))
    total = tl.zeros([16], dtype=tl.float32)
    mean = tl.zeros([16, WIDTH], dtype=tl.float32)
    for start in range(0, used, 16):
        some = start + tl.arange(0, 16)
        log = tl.load(logs + line * splits + some, mask=some < used, other=-float("inf"))
        weight = tl.exp2(log - top)
        total += weight
        there = (some < used)[:, None] & (channel < D)[None, :]
        part = tl.load(means + (line * splits + some)[:, None] * D + channel[None, :], mask=there, other=0.0)
        mean += weight[:, None] * part
    tl.store(out + line * D + channel, tl.sum(mean, 0) / tl.sum(total), mask=channel < D)


def rotate_and_append(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    lengths: Tensor,
    keys: Tensor,
    values: Tensor,
    norms: tuple[Tensor, Tensor, float] | None,
) -> Tensor:
    """`tvu.kernels.cache_attention.rotate_and_append` in one launch."""
    rows, new, _ = qkv.shape
    groups, capacity, width = keys.shape[1:]
    heads = qkv.shape[2] // width - 2 * groups
    qkv, cos, sin = qkv.contiguous(), cos.contiguous(), sin.contiguous()
    out = qkv.new_empty(rows, new, heads, width)
    query_norm, key_norm, eps = norms or (qkv, qkv, 0.0)
    chained = chains(qkv.device)
    _rotate_and_append[(rows * new, triton.cdiv(heads + 2 * groups, HEADS))](
        qkv, cos, sin, lengths, keys, values, query_norm, key_norm, out,
        new, heads, groups, capacity, len(cos), width, *keys.stride()[:3], *values.stride()[:3], eps,
        NORM=norms is not None, CHAINED=chained, HEADS=HEADS, HALF=triton.next_power_of_2(width // 2),
        num_warps=2, **({"launch_pdl": True} if chained else {}),
    )  # fmt: skip
    return out


def cached_attention(
    q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float, split: Split | None = None
) -> Tensor:
    """`tvu.kernels.cache_attention.cached_attention` in two launches; `split` instead of what `choose_split` gives."""
    rows, new, heads, width = q.shape
    groups, capacity = keys.shape[1:3]
    q = q.contiguous()
    split = split or choose_split(rows * groups, capacity, width, q.element_size())
    queries = max(16, min(64, triton.next_power_of_2(new * heads // groups)))
    padded = max(16, triton.next_power_of_2(width))
    means = torch.empty(rows, new, heads, split.splits, width, dtype=torch.float32, device=q.device)
    logs = torch.empty(rows, new, heads, split.splits, dtype=torch.float32, device=q.device)
    out = torch.empty_like(q)
    chained = chains(q.device)
    launch = {"launch_pdl": True} if chained else {}
    _attend[(rows * groups, split.splits, triton.cdiv(new * heads // groups, queries))](
        q, keys, values, lengths, means, logs, new, heads, groups, capacity, width, split.splits, scale * LOG2_E,
        *keys.stride()[:3], *values.stride()[:3],
        INTERPRETED=not q.is_cuda, CHAINED=chained, QUERIES=queries, BLOCK=split.block, WIDTH=padded,
        STAGES=split.stages, num_warps=split.warps, **launch,
    )  # fmt: skip
    _join[(rows * new * heads,)](
        means, logs, lengths, out, new, heads, capacity, width, split.splits,
        CHAINED=chained, SPLITS=triton.next_power_of_2(split.splits), BLOCK=split.block, WIDTH=padded,
        num_warps=4, **launch,
    )  # fmt: skip
    return out


def choose_split(parts: int, capacity: int, width: int, element_size: int) -> Split:
    """As many splits as fill the device and the capacity can feed, for `parts` rows times groups."""
    block = 64 if width * element_size <= 256 else 32
    splits = max(1, min(triton.cdiv(PROGRAMS, parts), triton.cdiv(capacity, block)))
    stages = max(1, min(3, SHARED_BYTES // (2 * block * triton.next_power_of_2(width) * element_size)))
    return Split(splits, block, 4, stages)
