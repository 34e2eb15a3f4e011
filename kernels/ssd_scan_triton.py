"""The kernels behind `ssd_scan` and `ssd_bidirectional`: four launches for one direction or both.

Chunk by chunk, as in section 6 of the paper: (1) step sizes and the prefix sums S of the log decays of each chunk;
(2) what a chunk alone leaves at its borders; (3) the states that enter each chunk, one chunk after the other;
(4) the outputs, from the tokens of a chunk and from the states that enter it, and what a norm after the gate needs:
each program has a few heads of a token and writes their sum of squares; a fifth launch makes factors of the sums.

Nothing is flipped: with E the exclusive prefix sum, token i sees j >= i through exp(E_j - E_i) in the backward
direction where it sees j <= i through exp(S_i - S_j) in the forward one. Of the two exponents the one that is not
positive is the one that counts, so both directions share one matrix C B^T, one exponential and one product. Only such
differences are exponentiated. Step sizes and decays are kept as logarithms to base 2, so that dt_j joins the exponent.
Addresses are 64-bit.

The gradients are scans of the same kind. Where y_i = sum_j w_ij (C_i . B_j) dt_j x_j, those of dt_j x_j, of B and of C
are sums over the same w_ij or, with the roles of reader and writer exchanged, over w_ji: `TRANSPOSED` scans, in which S
and E change places. That of a_t = dt_t A is the sum of what all pairs give that t lies between: what readers have
received up to a border of a chunk less what writers have given, and across the border the product of the state that
crosses it with its gradient.
"""

# mypy: allow-untyped-defs

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.exp2_triton import exp2, silu
from tvu.kernels.ssd_scan import PLAIN_STEPS, StepSizes

HEADS_OF_STEPS = 16  # of one program
PASSED_AT_ONCE = 512  # elements of a state
ROWS_OF_FACTORS = 128
ENOUGH_PROGRAMS = 1024  # to fill any GPU
CHUNKS_AHEAD = 4  # loads under way
ANY_LENGTH = ["L", "chunks"]  # else every other length would be compiled anew


@dataclass(frozen=True)
class Tiling:
    """Sizes that change speed, not results.

    chunk: tokens between two states that are stored; block, which divides it: tokens whose outputs a program computes.
    heads: how many heads one program takes in turn, for which it computes C B^T once.
    registers: the most that a thread may use; more of them and fewer programs at a time if None.
    state_block: tokens that a program of the second kernel takes at a time; state_heads: how many heads in turn.
    state_dtype: of the states between chunks, where x is no wider; they are added up in float32 in any case.
    """

    chunk: int = 128
    block: int = 128
    heads: int = 8
    warps: int = 8
    stages: int = 3
    registers: int | None = None
    state_block: int = 128
    state_heads: int = 8
    state_warps: int = 4
    state_stages: int = 3
    state_dtype: torch.dtype = torch.bfloat16


@triton.jit
def _softplus(x):
    """log(1 + exp(x)) without losing small values (Kahan's log1p)."""
    small = tl.exp(-tl.abs(x))
    above = 1.0 + small
    log1p = tl.where(above == 1.0, small, tl.log(above) * small / tl.where(above == 1.0, 1.0, above - 1.0))
    return tl.maximum(x, 0.0) + log1p


@triton.jit
def _real_tokens(lengths, video, L, HAS_LENGTHS: tl.constexpr):
    if HAS_LENGTHS:
        L = tl.minimum(tl.load(lengths + video), L).to(tl.int32)
    return L


@triton.jit(do_not_specialize=ANY_LENGTH)
def _steps(
    dt, A, bias, lengths, steps, sums, L, H, chunks, low, high, stride_b, stride_l, stride_h, stride_a, stride_bias,
    HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, HAS_LENGTHS: tl.constexpr, TRANSPOSED: tl.constexpr,
    CHUNK: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    """One program: one chunk of a few heads. `steps` (log2 dt) and `sums` (S) are `[B, H, chunks * CHUNK]`.

    TRANSPOSED: what is written carries no step size, so `steps` are 0.
    """
    chunk, video = tl.program_id(0).to(tl.int64), tl.program_id(2).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    token = chunk * CHUNK + tl.arange(0, CHUNK)
    there = (token < _real_tokens(lengths, video, L, HAS_LENGTHS))[:, None] & (head < H)[None, :]  # [CHUNK, HEADS]
    address = dt + video * stride_b + token[:, None] * stride_l + head[None, :] * stride_h
    step = tl.load(address, mask=there, other=0.0).to(tl.float32)
    if HAS_BIAS:
        step += tl.load(bias + head * stride_bias, mask=head < H, other=0.0).to(tl.float32)[None, :]
    if SOFTPLUS:
        step = _softplus(step)
    step = tl.where(there, tl.minimum(tl.maximum(step, low), high), 0.0)
    rate = tl.load(A + head * stride_a, mask=head < H, other=0.0).to(tl.float32) * 1.4426950408889634  # log2(e)
    total = tl.cumsum(step * rate[None, :], axis=0)
    out = (video * H + head)[None, :] * (chunks * CHUNK) + token[:, None]
    if TRANSPOSED:
        tl.store(steps + out, tl.zeros_like(step), mask=(head < H)[None, :])
    else:
        tl.store(steps + out, tl.log2(step), mask=(head < H)[None, :])
    tl.store(sums + out, total, mask=(head < H)[None, :])


@triton.jit
def _sums_of(sums, token, TRANSPOSED: tl.constexpr):
    """S and E of the tokens of a chunk; E and S if TRANSPOSED."""
    inclusive, exclusive = tl.load(sums + token), tl.load(sums + token - 1, mask=token > 0, other=0.0)
    if TRANSPOSED:
        return exclusive, inclusive
    return inclusive, exclusive


@triton.jit
def _tile(start, rows, stride, columns, there, width):
    """`[rows, columns]` from memory; zeros where no token is or beyond the width."""
    inside = there[:, None] & (columns < width)[None, :]
    return tl.load(start + rows[:, None] * stride + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _left_behind(value, key, weight, PRECISION: tl.constexpr):
    """The state that tokens leave at a border: the sum of weight_j x_j B_j^T, `[P, N]`."""
    if key.shape[1] <= 64:  # else the other is the narrower
        weighted = (key.to(tl.float32) * weight[:, None]).to(key.dtype)
        return tl.dot(tl.trans(value), weighted, input_precision=PRECISION)
    weighted = (value.to(tl.float32) * weight[:, None]).to(value.dtype)
    return tl.dot(tl.trans(weighted), key, input_precision=PRECISION)


@triton.jit(do_not_specialize=ANY_LENGTH)
def _states(
    x, B, lengths, steps, sums, states, L, H, P, N, chunks, heads_per_group, runs, direction_stride,
    stride_xb, stride_xl, stride_xh, stride_bb, stride_bl, stride_bg,
    FORWARD: tl.constexpr, BACKWARD: tl.constexpr, HAS_LENGTHS: tl.constexpr, TRANSPOSED: tl.constexpr,
    PRECISION: tl.constexpr, HEADS: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program: one chunk of a run of heads of one group, a block of tokens at a time.

    `states` `[directions, B, chunks, H, P, N]`.
    """
    video, run = tl.program_id(1).to(tl.int64), tl.program_id(0) % runs
    chunk = (tl.program_id(0) // runs).to(tl.int64)
    runs_per_group = tl.cdiv(heads_per_group, HEADS)
    group = run // runs_per_group
    first_head = group * heads_per_group + run % runs_per_group * HEADS
    end_head = tl.minimum(first_head + HEADS, (group + 1) * heads_per_group)
    channel, state = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_N)
    inside = (channel < P)[:, None] & (state < N)[None, :]
    real = _real_tokens(lengths, video, L, HAS_LENGTHS) - chunk * CHUNK
    x += video * stride_xb + chunk * CHUNK * stride_xl
    B += video * stride_bb + chunk * CHUNK * stride_bl + group * stride_bg
    if BLOCK == CHUNK:
        token = tl.arange(0, BLOCK)
        key = _tile(B, token, stride_bl, state, token < real, N)
    for head in range(first_head, end_head):
        first = ((video * H + head) * chunks + chunk) * CHUNK
        whole = tl.load(sums + first + CHUNK - 1)
        right = tl.zeros([BLOCK_P, BLOCK_N], dtype=tl.float32)
        left = tl.zeros([BLOCK_P, BLOCK_N], dtype=tl.float32)
        for start in tl.static_range(0, CHUNK, BLOCK):
            token = start + tl.arange(0, BLOCK)
            if BLOCK < CHUNK:
                key = _tile(B, token, stride_bl, state, token < real, N)
            value = _tile(x + head * stride_xh, token, stride_xl, channel, token < real, P)
            step = tl.load(steps + first + token)
            S, E = _sums_of(sums + first, token, TRANSPOSED)
            if FORWARD:
                right += _left_behind(value, key, exp2(whole - S + step), PRECISION)
            if BACKWARD:
                left += _left_behind(value, key, exp2(E + step), PRECISION)
        out = states + ((video * chunks + chunk) * H + head) * P * N + channel[:, None] * N + state[None, :]
        if FORWARD:
            tl.store(out, right, mask=inside)
            out += direction_stride
        if BACKWARD:
            tl.store(out, left, mask=inside)


@triton.jit(do_not_specialize=["chunks"])
def _pass(
    states, sums, initial, final, batch, H, PN, parts, chunks, direction_stride,
    HAS_INITIAL: tl.constexpr, FORWARD: tl.constexpr, CHUNK: tl.constexpr, AHEAD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: some elements of the state of one head, chunk after chunk, each replaced by what enters there."""
    head, direction = (tl.program_id(0) // parts).to(tl.int64), tl.program_id(1).to(tl.int64)  # of all videos
    backward = (direction == 1) | (not FORWARD)
    element = tl.program_id(0) % parts * BLOCK + tl.arange(0, BLOCK)
    inside = element < PN
    states += direction * direction_stride + (head // H * chunks * H + head % H) * PN + element
    sums += head * chunks * CHUNK + CHUNK - 1
    carried = tl.zeros([BLOCK], dtype=tl.float32)
    if HAS_INITIAL:
        carried += tl.load(initial + head * PN + element, mask=inside, other=0.0).to(tl.float32)
    for turn in tl.range(0, chunks, num_stages=AHEAD):
        chunk = tl.where(backward, chunks - 1 - turn, turn).to(tl.int64)
        arriving = tl.load(states + chunk * H * PN, mask=inside, other=0.0).to(tl.float32)
        decay = exp2(tl.load(sums + chunk * CHUNK))
        tl.store(states + chunk * H * PN, carried, mask=inside)
        carried = carried * decay + arriving
    tl.store(final + (direction * batch * H + head) * PN + element, carried, mask=inside)


@triton.jit(do_not_specialize=ANY_LENGTH)
def _outputs(
    x, B, C, D, z, weight, lengths, steps, sums, states, out, squares, L, H, P, N, chunks, heads_per_group, runs,
    direction_stride, stride_xb, stride_xl, stride_xh, stride_bb, stride_bl, stride_bg, stride_cb, stride_cl, stride_cg,
    stride_dh, stride_dp, stride_zb, stride_zl, stride_zh,
    FORWARD: tl.constexpr, BACKWARD: tl.constexpr, ITSELF: tl.constexpr, HAS_LENGTHS: tl.constexpr,
    HAS_D: tl.constexpr, HAS_Z: tl.constexpr, HAS_WEIGHT: tl.constexpr, TRANSPOSED: tl.constexpr,
    PRECISION: tl.constexpr, HEADS: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program: one block of tokens, a run of at most HEADS heads of one group, which share C B^T.

    HAS_WEIGHT: y is multiplied by `weight` `[H, P]` after its squares were summed into `squares` `[runs, B, L]`.
    """
    video = tl.program_id(1).to(tl.int64)
    run = tl.program_id(0) % runs
    block = tl.program_id(0) // runs % (CHUNK // BLOCK)
    chunk = (tl.program_id(0) // (runs * (CHUNK // BLOCK))).to(tl.int64)
    runs_per_group = tl.cdiv(heads_per_group, HEADS)
    group = run // runs_per_group
    first_head = group * heads_per_group + run % runs_per_group * HEADS
    end_head = tl.minimum(first_head + HEADS, (group + 1) * heads_per_group)

    channel, state, row = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_N), tl.arange(0, BLOCK)
    start = block * BLOCK
    real = _real_tokens(lengths, video, L, HAS_LENGTHS) - chunk * CHUNK
    there = start + row < real
    x += video * stride_xb + chunk * CHUNK * stride_xl
    B += video * stride_bb + chunk * CHUNK * stride_bl + group * stride_bg
    C += video * stride_cb + chunk * CHUNK * stride_cl + group * stride_cg
    query = _tile(C, start + row, stride_cl, state, there, N)
    CB = tl.dot(query, tl.trans(_tile(B, start + row, stride_bl, state, there, N)), input_precision=PRECISION)
    if ITSELF != 1:  # how many times a token sees itself
        CB = tl.where(row[:, None] == row[None, :], CB * ITSELF, CB)
    square = tl.zeros([BLOCK], dtype=tl.float32)

    for head in range(first_head, end_head):
        first = ((video * H + head) * chunks + chunk) * CHUNK
        value = _tile(x + head * stride_xh, start + row, stride_xl, channel, there, P)
        if HAS_Z:  # asked for early, used last
            at = z + video * stride_zb + chunk * CHUNK * stride_zl + head * stride_zh
            gate = _tile(at, start + row, stride_zl, channel, there, P)
        S, E = _sums_of(sums + first, start + row, TRANSPOSED)
        step = tl.load(steps + first + start + row)
        past, future = S[:, None] - S[None, :], E[None, :] - E[:, None]  # [i, j]: how token i sees token j
        if FORWARD and BACKWARD:
            decay = tl.minimum(past, future)
        elif FORWARD:
            decay = tl.where(row[:, None] >= row[None, :], past, float("-inf"))
        else:
            decay = tl.where(row[:, None] <= row[None, :], future, float("-inf"))
        y = tl.dot((CB * exp2(decay + step[None, :])).to(value.dtype), value, input_precision=PRECISION)

        entering = states + ((video * chunks + chunk) * H + head) * P * N + channel[:, None] * N + state[None, :]
        inside = (channel < P)[:, None] & (state < N)[None, :]
        if FORWARD:
            H_left = tl.load(entering, mask=inside, other=0.0)
            before = 0.0
            if BLOCK < CHUNK:
                before = tl.load(sums + first + start - 1, mask=start > 0, other=0.0)
                H_left = H_left.to(tl.float32) * exp2(before)
                for other in range(0, start, BLOCK):
                    token = other + row
                    inserted = _tile(x + head * stride_xh, token, stride_xl, channel, token < real, P)
                    key = _tile(B, token, stride_bl, state, token < real, N)
                    seen, _ = _sums_of(sums + first, token, TRANSPOSED)
                    seen = exp2(before - seen + tl.load(steps + first + token))
                    H_left += _left_behind(inserted, key, seen, PRECISION)
            read = tl.dot(query, tl.trans(H_left.to(query.dtype)), input_precision=PRECISION)
            y += read * exp2(S - before)[:, None]
            entering += direction_stride
        if BACKWARD:
            H_right = tl.load(entering, mask=inside, other=0.0)
            after = tl.load(sums + first + start + BLOCK - 1)
            if BLOCK < CHUNK:
                H_right = H_right.to(tl.float32) * exp2(tl.load(sums + first + CHUNK - 1) - after)
                for other in range(start + BLOCK, CHUNK, BLOCK):
                    token = other + row
                    inserted = _tile(x + head * stride_xh, token, stride_xl, channel, token < real, P)
                    key = _tile(B, token, stride_bl, state, token < real, N)
                    _, seen = _sums_of(sums + first, token, TRANSPOSED)
                    seen = exp2(seen - after + tl.load(steps + first + token))
                    H_right += _left_behind(inserted, key, seen, PRECISION)
            read = tl.dot(query, tl.trans(H_right.to(query.dtype)), input_precision=PRECISION)
            y += read * exp2(after - E)[:, None]
        if HAS_D:
            skip = tl.load(D + head * stride_dh + channel * stride_dp, mask=channel < P, other=0.0).to(tl.float32)
            y += value.to(tl.float32) * skip[None, :]
        if HAS_Z:
            wide = gate.to(tl.float32)
            y *= silu(wide)
        if HAS_WEIGHT:
            square += tl.sum(y * y, axis=1)
            y *= tl.load(weight + head * P + channel, mask=channel < P, other=0.0).to(tl.float32)[None, :]
        token = chunk * CHUNK + start + row
        address = out + ((video * L + token[:, None]) * H + head) * P + channel[None, :]
        tl.store(address, y, mask=(token < L)[:, None] & (channel < P)[None, :])
    if HAS_WEIGHT:
        token = chunk * CHUNK + start + row
        tl.store(squares + (run * tl.num_programs(1) + video) * L + token, square, mask=token < L)


@triton.jit(do_not_specialize=["rows"])
def _row_factors(squares, out, rows, runs, channels, eps, BLOCK: tl.constexpr):
    """1 / sqrt(mean square + eps) of each row, from sums of squares `[runs, rows]`, added in their order."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for _ in range(runs):
        total += tl.load(squares + row, mask=row < rows, other=0.0)
        squares += rows
    tl.store(out + row, tl.rsqrt(total / channels + eps), mask=row < rows)


def scan_normed(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor,
    weight: Tensor,
    step_sizes: StepSizes,
    lengths: Tensor | None,
    *,
    eps: float,
    itself_twice: bool,
    tiling: Tiling | None = None,
) -> tuple[Tensor, Tensor]:
    """`ssd_bidirectional_normed`: u and the factors of its rows."""
    batch, length, heads, width = x.shape
    tiling = tiling or fitting_tiling(x, B)
    runs = B.shape[2] * triton.cdiv(heads // B.shape[2], tiling.heads)
    squares = x.new_empty(runs, batch, length, dtype=torch.float32)
    u, _, _ = _scan(
        *(x, dt, A, B, C, D, z, step_sizes, lengths),
        forward=True, backward=True, itself=2 if itself_twice else 1, tiling=tiling,
        norm=(weight.contiguous(), squares),
    )  # fmt: skip
    factor = x.new_empty(batch, length, dtype=torch.float32)
    rows = batch * length
    _row_factors[(triton.cdiv(rows, ROWS_OF_FACTORS),)](
        squares, factor, rows, runs, heads * width, eps, BLOCK=ROWS_OF_FACTORS, num_warps=1
    )
    return u, factor


def scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    step_sizes: StepSizes,
    lengths: Tensor | None,
    *,
    initial_state: Tensor | None = None,
    forward: bool,
    backward: bool,
    itself_twice: bool = False,
    tiling: Tiling | None = None,
) -> tuple[Tensor, Tensor]:
    """`ssd_scan` forward, backward or both ways: y and the final states `[directions, B, H, P, N]`."""
    y, final, _ = _scan(
        *(x, dt, A, B, C, D, z, step_sizes, lengths),
        initial_state=initial_state, forward=forward, backward=backward,
        itself=2 if forward and backward and itself_twice else 1, tiling=tiling,
    )  # fmt: skip
    return y, final


def _scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    step_sizes: StepSizes = PLAIN_STEPS,
    lengths: Tensor | None = None,
    *,
    initial_state: Tensor | None = None,
    forward: bool,
    backward: bool,
    itself: int = 1,
    transposed: bool = False,
    tiling: Tiling | None = None,
    dtype: torch.dtype | None = None,
    norm: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the final states, and those that enter each chunk, `[directions, B, chunks, H, P, N]`.

    dtype: of y; that of x if None.
    norm: the weight that y is multiplied by, and where the sums of squares of runs of heads go, as in `_outputs`.
    """
    batch, length, heads, width = x.shape
    groups, size = B.shape[2:]
    x, B, C = (_rows(tensor) for tensor in (x, B, C))
    z = None if z is None else _rows(z)
    D = None if D is None else D.view(heads, -1).expand(heads, width)
    initial_state = None if initial_state is None else initial_state.contiguous()
    lengths = None if lengths is None else lengths.to(x.device)
    tiling = tiling or fitting_tiling(x, B)
    chunk, directions = tiling.chunk, forward + backward
    chunks = triton.cdiv(length, chunk)
    blocks = {"BLOCK_P": _power_of_2(width), "BLOCK_N": _power_of_2(size)}
    precision = "tf32x3" if x.dtype == torch.float32 else "tf32"  # of float32 operands, 24 bits and not 11
    which = {"FORWARD": forward, "BACKWARD": backward, "HAS_LENGTHS": lengths is not None, "PRECISION": precision}
    which["TRANSPOSED"] = transposed

    steps, sums = x.new_empty(2, batch, heads, chunks * chunk, dtype=torch.float32)
    bias, (low, high) = step_sizes.bias, step_sizes.limit
    run = min(HEADS_OF_STEPS, triton.next_power_of_2(heads))
    _steps[(chunks, triton.cdiv(heads, run), batch)](
        dt, A, bias, lengths, steps, sums, length, heads, chunks, float(low), float(high), *dt.stride(), A.stride(0),
        0 if bias is None else bias.stride(0),
        HAS_BIAS=bias is not None, SOFTPLUS=step_sizes.softplus, HAS_LENGTHS=lengths is not None,
        TRANSPOSED=transposed, CHUNK=chunk, HEADS=run,
    )  # fmt: skip

    wide = torch.float32 if x.dtype == torch.float32 else tiling.state_dtype
    states = x.new_empty(directions, batch, chunks, heads, width, size, dtype=wide)
    state_runs = groups * triton.cdiv(heads // groups, tiling.state_heads)
    _states[(chunks * state_runs, batch)](
        x, B, lengths, steps, sums, states, length, heads, width, size, chunks, heads // groups, state_runs,
        states.stride(0), *x.stride()[:3], *B.stride()[:3],
        **which, HEADS=tiling.state_heads, CHUNK=chunk, BLOCK=tiling.state_block, **blocks,
        num_warps=tiling.state_warps, num_stages=tiling.state_stages,
    )  # fmt: skip

    final = x.new_empty(directions, batch, heads, width, size, dtype=torch.float32)
    parts = triton.cdiv(width * size, PASSED_AT_ONCE)
    _pass[(parts * batch * heads, directions)](
        states, sums, initial_state, final, batch, heads, width * size, parts, chunks, states.stride(0),
        HAS_INITIAL=initial_state is not None, FORWARD=forward, CHUNK=chunk, AHEAD=CHUNKS_AHEAD, BLOCK=PASSED_AT_ONCE,
    )  # fmt: skip

    out = x.new_empty(x.shape, dtype=dtype)
    weight, squares = (None, None) if norm is None else norm
    runs = groups * triton.cdiv(heads // groups, tiling.heads)
    _outputs[(chunks * (chunk // tiling.block) * runs, batch)](
        x, B, C, D, z, weight, lengths, steps, sums, states, out, squares,
        length, heads, width, size, chunks, heads // groups, runs, states.stride(0), *x.stride()[:3],
        *B.stride()[:3], *C.stride()[:3],
        *((0, 0) if D is None else D.stride()), *((0, 0, 0) if z is None else z.stride()[:3]),
        **which, ITSELF=itself, HAS_D=D is not None, HAS_Z=z is not None, HAS_WEIGHT=norm is not None,
        HEADS=tiling.heads, CHUNK=chunk, BLOCK=tiling.block, **blocks,
        num_warps=tiling.warps, num_stages=tiling.stages, maxnreg=tiling.registers,
    )  # fmt: skip
    return out, final, states


def fitting_tiling(x: Tensor, B: Tensor) -> Tiling:
    """What fits the shared memory of an H100 or H200."""
    (batch, length, heads, width), (groups, size) = x.shape, B.shape[2:]
    most = max(1, batch * length * heads // 128 // ENOUGH_PROGRAMS)
    run = min(16, heads // groups, triton.next_power_of_2(most))
    warps = 8 if width * size > 64 * 64 else 4
    if x.dtype == torch.float32:
        return Tiling(
            chunk=64, block=32, heads=run, warps=warps, stages=1, state_block=32, state_heads=run, state_warps=warps
        )
    if width * size > 64 * 128:
        return Tiling(
            chunk=128,
            block=64,
            heads=run,
            warps=warps,
            stages=1,
            state_block=64,
            state_heads=1,
            state_warps=warps,
            state_stages=1,
        )
    stages = 3 if max(width, size) <= 64 else 2
    return Tiling(heads=run, stages=3 if width <= 64 else 2, state_heads=min(8, run), state_stages=stages)


def _rows(tensor: Tensor) -> Tensor:
    """The kernels want channels next to each other; everything else may be strided."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _power_of_2(width: int) -> int:
    return max(16, triton.next_power_of_2(width))  # the least that a tensor core takes


@triton.jit
def _flows(
    x, grad, y, to_written, y_forward, to_written_forward, dt, itself, D, grad_x, flow, flow_forward, to_step, grad_D,
    L, H, P, heads_per_group, stride_xb, stride_xl, stride_xh, stride_gb, stride_gl, stride_gh, stride_dh, stride_dp,
    HAS_D: tl.constexpr, BOTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """One program: BLOCK tokens of a head. What each received as a reader less what it gave as a writer, times dL/dy.

    y and `to_written`, dL/d(dt x), are without what a token tells itself, `itself` `[B, L, G]`: no border lies between,
    and where the state forgets at once all else would drown in its rounding. Writes grad_x, the flows `[B, L, H]` and
    the share of dL/d dt that dt x has.
    """
    video, head = tl.program_id(2).to(tl.int64), tl.program_id(1)
    token, channel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, BLOCK_P)
    there = token < L
    value = _tile(x + video * stride_xb + head * stride_xh, token, stride_xl, channel, there, P).to(tl.float32)
    dy = _tile(grad + video * stride_gb + head * stride_gh, token, stride_gl, channel, there, P).to(tl.float32)
    whole = (video * L * H + head) * P
    row = token * H
    written = _tile(to_written + whole, row, P, channel, there, P).to(tl.float32)
    received = _tile(y + whole, row, P, channel, there, P).to(tl.float32)
    scalar = video * L * H + head + row
    step = tl.load(dt + scalar, mask=there, other=0.0)
    own = tl.load(
        itself + (video * L + token) * (H // heads_per_group) + head // heads_per_group, mask=there, other=0.0
    )
    to_own = dy * own[:, None]
    to_x = (written + to_own) * step[:, None]
    if HAS_D:
        skip = tl.load(D + head * stride_dh + channel * stride_dp, mask=channel < P, other=0.0).to(tl.float32)[None, :]
        to_x += dy * skip
        share = ((video * tl.num_programs(0) + tl.program_id(0)) * H + head) * P
        tl.store(grad_D + share + channel, tl.sum(value * dy, axis=0), mask=channel < P)
    address = grad_x + whole + row[:, None] * P + channel[None, :]
    tl.store(address, to_x, mask=there[:, None] & (channel < P)[None, :])
    given = tl.sum(written * value, axis=1)
    tl.store(to_step + scalar, given + tl.sum(to_own * value, axis=1), mask=there)
    tl.store(flow + scalar, tl.sum(received * dy, axis=1) - step * given, mask=there)
    if BOTH:
        received = _tile(y_forward + whole, row, P, channel, there, P).to(tl.float32)
        written = _tile(to_written_forward + whole, row, P, channel, there, P).to(tl.float32)
        one_way = tl.sum(received * dy, axis=1) - step * tl.sum(written * value, axis=1)
        tl.store(flow_forward + scalar, one_way, mask=there)


class SsdScan(torch.autograd.Function):
    """The scan forward, backward or both ways with its gradients, from step sizes `dt` `[B, L, H]` float32.

    Returns y and the final states `[directions, B, H, P, N]`; only with one direction do these give a gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dt: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        initial_state: Tensor | None,
        forward: bool,
        backward: bool,
        itself_twice: bool,
        tiling: Tiling | None = None,
    ) -> tuple[Tensor, Tensor]:
        itself = 2 if forward and backward and itself_twice else 1
        settings = (forward, backward, itself, tiling)
        y, final, _ = _scan(
            *(x, dt, A, B, C, D),
            initial_state=initial_state, forward=forward, backward=backward, itself=itself, tiling=tiling,
        )  # fmt: skip
        ctx.save_for_backward(x, dt, A, B, C, D, initial_state)
        ctx.settings = settings
        return y, final

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, D, initial_state = ctx.saved_tensors
        batch, length, heads, width = x.shape
        forward, backward, itself, tiling = ctx.settings
        grad = _rows(grads[0].to(x.dtype))
        after = None if forward and backward else grads[1][0]
        onward = partial(_with_wide_states, tiling, forward=forward, backward=backward)
        returning = partial(_with_wide_states, tiling, forward=backward, backward=forward, transposed=True)
        values_B, values_C = (_per_head(matrix, heads) for matrix in (B, C))

        # What flows over a token is a small difference of sums of these: rounded to bfloat16 they were 2 to 8 % of it.
        exact: dict[str, Any] = {"itself": 0, "dtype": torch.float32}
        y, _, _ = onward(x, dt, A, B, C, initial_state=initial_state, **exact)
        to_written, before, _ = returning(grad, dt, A, C, B, initial_state=after, **exact)
        turned = None if initial_state is None else initial_state.mT
        to_C, passed_final, passed = onward(values_B, dt, A, x, grad, initial_state=turned, itself=itself)
        turned = None if after is None else after.mT
        to_B, _, returned = returning(values_C, dt, A, grad, x, initial_state=turned, itself=itself)
        one_way = (y, to_written)  # not read where there is one direction
        if forward and backward:
            one_way = (
                _with_wide_states(tiling, x, dt, A, B, C, forward=True, backward=False, **exact)[0],
                _with_wide_states(*(tiling, grad, dt, A, C, B), forward=False, backward=True, transposed=True, **exact)[
                    0
                ],
            )
        own = itself * (B.float() * C.float()).sum(-1)  # [B, L, G]

        grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        flow, flow_forward, to_step = dt.new_empty(3, batch, length, heads)
        skip = None if D is None else D.view(heads, -1).expand(heads, width)
        tokens = 64
        programs = triton.cdiv(length, tokens)
        grad_D = None if D is None else dt.new_empty(batch * programs, heads, width)
        _flows[(programs, heads, batch)](
            _rows(x), grad, y, to_written, *one_way, dt.contiguous(), own, skip,
            grad_x, flow, flow_forward, to_step, grad_D, length, heads, width, heads // B.shape[2],
            *_rows(x).stride()[:3], *grad.stride()[:3], *((0, 0) if skip is None else skip.stride()),
            HAS_D=D is not None, BOTH=forward and backward, BLOCK=tokens, BLOCK_P=triton.next_power_of_2(width),
        )  # fmt: skip

        chunk = (tiling or fitting_tiling(x, B)).chunk
        to_decay = torch.zeros_like(flow)
        if forward:
            crossing = torch.cat([passed[0, :, 1:], passed_final[0, :, None].to(passed.dtype)], dim=1)
            to_decay += _between(flow_forward if backward else flow, chunk, crossing, returned[-1], reverse=False)
        if backward:
            crossing = torch.cat([passed_final[-1, :, None].to(passed.dtype), passed[-1, :, :-1]], dim=1)
            to_decay += _between(flow - flow_forward if forward else flow, chunk, crossing, returned[0], reverse=True)
        grad_dt = to_decay * A + to_step
        grad_A = (to_decay * dt).sum((0, 1)).to(A.dtype)
        groups = B.shape[2]
        grad_C = to_C.unflatten(2, (groups, -1)).sum(3, dtype=torch.float32).to(C.dtype)
        weighted = to_B.unflatten(2, (groups, -1)).mT @ dt.to(to_B.dtype).unflatten(2, (groups, -1))[..., None]
        if D is not None and grad_D is not None:
            grad_D = grad_D.sum(0)
            grad_D = (grad_D if D.ndim == 2 else grad_D.sum(-1)).to(D.dtype)
        grad_initial = None if initial_state is None else before[0].to(initial_state.dtype)
        return (
            grad_x,
            grad_dt,
            grad_A,
            weighted[..., 0].to(B.dtype),
            grad_C,
            grad_D,
            grad_initial,
            None,
            None,
            None,
            None,
        )


def _with_wide_states(
    tiling: Tiling | None, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, **options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """`_scan` with float32 states: rounded to bfloat16 they made the gradient of A as wrong as it is large."""
    if tiling is None:
        tiling = fitting_tiling(x, B)
        stages = tiling.stages if max(x.shape[-1], B.shape[-1]) <= 64 else 1  # wide states take their room
        tiling = replace(tiling, state_dtype=torch.float32, stages=stages)
    return _scan(x, dt, A, B, C, tiling=tiling, **options)


def _per_head(matrix: Tensor, heads: int) -> Tensor:
    """B or C `[B, L, G, N]` as `[B, L, H, N]`, without a copy where there is one group."""
    if matrix.shape[2] == 1:
        return matrix.expand(-1, -1, heads, -1)
    return matrix.repeat_interleave(heads // matrix.shape[2], dim=2)


def _between(flow: Tensor, chunk: int, crossing: Tensor, returned: Tensor, *, reverse: bool) -> Tensor:
    """dL/d(dt A) of one direction: what passes over each token of flow `[B, L, H]`.

    crossing, returned `[B, chunks, H, N, P]`: the state that leaves each chunk, and its gradient.
    """
    length = flow.shape[1]
    flow = torch.nn.functional.pad(flow, (0, 0, 0, -length % chunk)).unflatten(1, (-1, chunk))
    inside = flow.cumsum(2) if reverse else flow.flip(2).cumsum(2).flip(2)
    border = (crossing.float() * returned.float()).sum((-1, -2))
    return (inside + border[:, :, None]).flatten(1, 2)[:, :length]
