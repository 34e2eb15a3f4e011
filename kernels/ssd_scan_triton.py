"""The kernels behind `ssd_scan` and `ssd_bidirectional`: three or four launches for one direction or both, six or
eight for gradients.

Chunk by chunk, as in section 6 of the paper: (1) step sizes and the prefix sums S of the log decays of each chunk;
(2) what a chunk alone leaves at its borders; (3) the states that enter each chunk, one chunk after the other, with many
heads at once with (2); (4) the outputs, from the tokens of a chunk and from the states that enter it.

Nothing is flipped: with E the exclusive prefix sum, token i sees j >= i through exp(E_j - E_i) in the backward
direction where it sees j <= i through exp(S_i - S_j) in the forward one. Of the two exponents the one that is not
positive is the one that counts, so both directions share one matrix C B^T, one exponential and one product. Only such
differences are exponentiated. Step sizes and decays are kept as logarithms to base 2, so that dt_j joins the exponent.
Addresses are 64-bit.

The gradients are scans of the same kind. Where y_i = sum_j w_ij (C_i . B_j) dt_j x_j, those of dt_j x_j, of B and of C
are sums over the same w_ij or, with the roles of reader and writer exchanged, over w_ji: `TRANSPOSED` scans, in which S
and E change places. B and C have one each; x is left to `_gradients`, which has their states and the same products.

The gradient of a_t = dt_t A is the sum of all that crosses t: of w_ij (C_i . B_j) dt_j (x_j . dL/dy_i) over j < t <= i.
That is also what readers have received up to t less what writers have given, but as a small difference of large sums:
in bfloat16 it was 15 % off. `_gradients` adds up the pairs that t lies between, and nothing else.
"""

# mypy: allow-untyped-defs

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.exp2_triton import exp2, silu
from tvu.kernels.ssd_scan import PLAIN_STEPS, StepSizes

HEADS_OF_STEPS = 16  # of one program
PASSED_AT_ONCE = 512  # elements of a state
ENOUGH_PROGRAMS = 1024  # to fill any GPU
ENOUGH_CARRIERS = 128  # about as many as a GPU has multiprocessors: fewer leave it idle while states are carried
CHUNKS_AHEAD = 4  # loads under way
ANY_LENGTH = ["L", "chunks"]  # else every other length would be compiled anew


@dataclass(frozen=True)
class Tiling:
    """Sizes that change speed, not results.

    chunk: tokens between two states that are stored; block, which divides it: tokens whose outputs a program computes.
    heads: how many heads one program takes in turn, for which it computes C B^T once.
    registers: the most that a thread may use; more of them and fewer programs at a time if None.
    state_block: tokens that a program of the second kernel takes at a time; state_heads: how many heads in turn.
    carriers: where there are so many heads, both directions counted, one program takes the state of each through all
    chunks, and what chunks leave behind is never stored; else, and for None, it is, by as many programs as there are
    chunks, and passed on after that.
    gradient_block, which divides the chunk: tokens of a program of `_gradients`.
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
    carriers: int | None = None
    gradient_block: int = 64
    gradient_warps: int = 4
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
    HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, HAS_LENGTHS: tl.constexpr, CHUNK: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    """One program: one chunk of a few heads. `steps` (log2 dt) and `sums` (S) are `[B, H, chunks * CHUNK]`."""
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
def _inserted(steps, token, TRANSPOSED: tl.constexpr):
    """log2 of the step size that tokens are written with; none if TRANSPOSED."""
    return tl.zeros_like(token).to(tl.float32) if TRANSPOSED else tl.load(steps + token)


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


@triton.jit
def _at_left(
    state, value, key, stride_value, stride_key, columns, key_columns, width, size, steps, sums, start, real,
    TRANSPOSED: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The state that enters a block of tokens from the left, in float32, from the one that enters its chunk there."""
    before = tl.load(sums + start - 1, mask=start > 0, other=0.0)
    state = state.to(tl.float32) * exp2(before)
    for other in range(0, start, BLOCK):
        token = other + tl.arange(0, BLOCK)
        values = _tile(value, token, stride_value, columns, token < real, width)
        keys = _tile(key, token, stride_key, key_columns, token < real, size)
        S, _ = _sums_of(sums, token, TRANSPOSED)
        state += _left_behind(values, keys, exp2(before - S + _inserted(steps, token, TRANSPOSED)), PRECISION)
    return state


@triton.jit
def _at_right(
    state, value, key, stride_value, stride_key, columns, key_columns, width, size, steps, sums, start, real,
    TRANSPOSED: tl.constexpr, PRECISION: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The same from the right."""
    after = tl.load(sums + start + BLOCK - 1)
    state = state.to(tl.float32) * exp2(tl.load(sums + CHUNK - 1) - after)
    for other in range(start + BLOCK, CHUNK, BLOCK):
        token = other + tl.arange(0, BLOCK)
        values = _tile(value, token, stride_value, columns, token < real, width)
        keys = _tile(key, token, stride_key, key_columns, token < real, size)
        _, E = _sums_of(sums, token, TRANSPOSED)
        state += _left_behind(values, keys, exp2(E - after + _inserted(steps, token, TRANSPOSED)), PRECISION)
    return state


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
            step = _inserted(steps + first, token, TRANSPOSED)
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
def _carry(
    x, B, lengths, steps, sums, initial, states, final, batch, L, H, P, N, chunks, heads_per_group,
    direction_stride, stride_xb, stride_xl, stride_xh, stride_bb, stride_bl, stride_bg,
    HAS_INITIAL: tl.constexpr, FORWARD: tl.constexpr, HAS_LENGTHS: tl.constexpr, TRANSPOSED: tl.constexpr,
    PRECISION: tl.constexpr, CHUNK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """`_states` and `_pass` in one. One program: the state of one head one way, chunk after chunk."""
    head, direction = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)  # of all videos
    backward = (direction == 1) | (not FORWARD)
    video, own = head // H, head % H
    channel, state = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_N)
    inside = (channel < P)[:, None] & (state < N)[None, :]
    token = tl.arange(0, CHUNK)
    real = _real_tokens(lengths, video, L, HAS_LENGTHS)
    x += video * stride_xb + own * stride_xh
    B += video * stride_bb + own // heads_per_group * stride_bg
    address = channel[:, None] * N + state[None, :]
    states += direction * direction_stride + (video * chunks * H + own) * P * N
    carried = tl.zeros([BLOCK_P, BLOCK_N], dtype=tl.float32)
    if HAS_INITIAL:
        carried += tl.load(initial + head * P * N + address, mask=inside, other=0.0).to(tl.float32)
    for turn in tl.range(0, chunks, num_stages=STAGES):
        chunk = tl.where(backward, chunks - 1 - turn, turn).to(tl.int64)
        tl.store(states + chunk * H * P * N + address, carried, mask=inside)
        there = token < real - chunk * CHUNK
        key = _tile(B + chunk * CHUNK * stride_bl, token, stride_bl, state, there, N)
        value = _tile(x + chunk * CHUNK * stride_xl, token, stride_xl, channel, there, P)
        first = (head * chunks + chunk) * CHUNK
        whole = tl.load(sums + first + CHUNK - 1)
        S, E = _sums_of(sums + first, token, TRANSPOSED)
        left = tl.where(backward, E, whole - S) + _inserted(steps + first, token, TRANSPOSED)
        carried = carried * exp2(whole) + _left_behind(value, key, exp2(left), PRECISION)
    tl.store(final + (direction * batch * H + head) * P * N + address, carried, mask=inside)


@triton.jit(do_not_specialize=ANY_LENGTH)
def _outputs(
    x, B, C, D, z, lengths, steps, sums, states, out, L, H, P, N, chunks, heads_per_group, runs, direction_stride,
    stride_xb, stride_xl, stride_xh, stride_bb, stride_bl, stride_bg, stride_cb, stride_cl, stride_cg,
    stride_dh, stride_dp, stride_zb, stride_zl, stride_zh,
    FORWARD: tl.constexpr, BACKWARD: tl.constexpr, ITSELF: tl.constexpr, HAS_LENGTHS: tl.constexpr,
    HAS_D: tl.constexpr, HAS_Z: tl.constexpr, TRANSPOSED: tl.constexpr, PRECISION: tl.constexpr, HEADS: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program: one block of tokens, a run of at most HEADS heads of one group, which share C B^T."""
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

    for head in range(first_head, end_head):
        first = ((video * H + head) * chunks + chunk) * CHUNK
        value = _tile(x + head * stride_xh, start + row, stride_xl, channel, there, P)
        if HAS_Z:  # asked for early, used last
            at = z + video * stride_zb + chunk * CHUNK * stride_zl + head * stride_zh
            gate = _tile(at, start + row, stride_zl, channel, there, P)
        S, E = _sums_of(sums + first, start + row, TRANSPOSED)
        step = _inserted(steps + first, start + row, TRANSPOSED)
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
                H_left = _at_left(
                    H_left, x + head * stride_xh, B, stride_xl, stride_bl, channel, state, P, N,
                    steps + first, sums + first, start, real, TRANSPOSED, PRECISION, BLOCK,
                )  # fmt: skip
            read = tl.dot(query, tl.trans(H_left.to(query.dtype)), input_precision=PRECISION)
            y += read * exp2(S - before)[:, None]
            entering += direction_stride
        if BACKWARD:
            H_right = tl.load(entering, mask=inside, other=0.0)
            after = tl.load(sums + first + start + BLOCK - 1)
            if BLOCK < CHUNK:
                H_right = _at_right(
                    H_right, x + head * stride_xh, B, stride_xl, stride_bl, channel, state, P, N,
                    steps + first, sums + first, start, real, TRANSPOSED, PRECISION, CHUNK, BLOCK,
                )  # fmt: skip
            read = tl.dot(query, tl.trans(H_right.to(query.dtype)), input_precision=PRECISION)
            y += read * exp2(after - E)[:, None]
        if HAS_D:
            skip = tl.load(D + head * stride_dh + channel * stride_dp, mask=channel < P, other=0.0).to(tl.float32)
            y += value.to(tl.float32) * skip[None, :]
        if HAS_Z:
            y *= silu(gate.to(tl.float32))
        token = chunk * CHUNK + start + row
        address = out + ((video * L + token[:, None]) * H + head) * P + channel[None, :]
        tl.store(address, y, mask=(token < L)[:, None] & (channel < P)[None, :])


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
    prefix: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the final states, and those that enter each chunk, `[directions, B, chunks, H, P, N]`.

    prefix: what `_prefix_sums` gives, where it is known.
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
    blocks = {"BLOCK_P": columns_held(width, x.dtype), "BLOCK_N": columns_held(size, x.dtype)}
    which = {"FORWARD": forward, "BACKWARD": backward, "HAS_LENGTHS": lengths is not None, "PRECISION": _precision(x)}
    which["TRANSPOSED"] = transposed

    steps, sums = prefix or _prefix_sums(dt, A, chunk, step_sizes, lengths)
    wide = torch.float32 if x.dtype == torch.float32 else tiling.state_dtype
    states = x.new_empty(directions, batch, chunks, heads, width, size, dtype=wide)
    final = x.new_empty(directions, batch, heads, width, size, dtype=torch.float32)
    if tiling.carriers is not None and directions * batch * heads >= tiling.carriers:
        _carry[(batch * heads, directions)](
            x, B, lengths, steps, sums, initial_state, states, final, batch, length, heads, width, size, chunks,
            heads // groups, states.stride(0), *x.stride()[:3], *B.stride()[:3],
            HAS_INITIAL=initial_state is not None, FORWARD=forward, HAS_LENGTHS=lengths is not None,
            TRANSPOSED=transposed, PRECISION=_precision(x), CHUNK=chunk, STAGES=tiling.state_stages, **blocks,
            num_warps=tiling.state_warps,
        )  # fmt: skip
    else:
        state_runs = groups * triton.cdiv(heads // groups, tiling.state_heads)
        _states[(chunks * state_runs, batch)](
            x, B, lengths, steps, sums, states, length, heads, width, size, chunks, heads // groups, state_runs,
            states.stride(0), *x.stride()[:3], *B.stride()[:3],
            **which, HEADS=tiling.state_heads, CHUNK=chunk, BLOCK=tiling.state_block, **blocks,
            num_warps=tiling.state_warps, num_stages=tiling.state_stages,
        )  # fmt: skip
        parts = triton.cdiv(width * size, PASSED_AT_ONCE)
        _pass[(parts * batch * heads, directions)](
            states, sums, initial_state, final, batch, heads, width * size, parts, chunks, states.stride(0),
            HAS_INITIAL=initial_state is not None, FORWARD=forward, CHUNK=chunk, AHEAD=CHUNKS_AHEAD,
            BLOCK=PASSED_AT_ONCE,
        )  # fmt: skip

    out = x.new_empty(x.shape)
    runs = groups * triton.cdiv(heads // groups, tiling.heads)
    _outputs[(chunks * (chunk // tiling.block) * runs, batch)](
        x, B, C, D, z, lengths, steps, sums, states, out, length, heads, width, size, chunks, heads // groups, runs,
        states.stride(0), *x.stride()[:3], *B.stride()[:3], *C.stride()[:3],
        *((0, 0) if D is None else D.stride()), *((0, 0, 0) if z is None else z.stride()[:3]),
        **which, ITSELF=itself, HAS_D=D is not None, HAS_Z=z is not None,
        HEADS=tiling.heads, CHUNK=chunk, BLOCK=tiling.block, **blocks,
        num_warps=tiling.warps, num_stages=tiling.stages, maxnreg=tiling.registers,
    )  # fmt: skip
    return out, final, states


def _prefix_sums(
    dt: Tensor, A: Tensor, chunk: int, step_sizes: StepSizes = PLAIN_STEPS, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """log2 of the step sizes, and S of each chunk to base 2, `[B, H, chunks * chunk]` float32."""
    batch, length, heads = dt.shape
    chunks = triton.cdiv(length, chunk)
    steps, sums = dt.new_empty(2, batch, heads, chunks * chunk, dtype=torch.float32)
    bias, (low, high) = step_sizes.bias, step_sizes.limit
    run = min(HEADS_OF_STEPS, triton.next_power_of_2(heads))
    _steps[(chunks, triton.cdiv(heads, run), batch)](
        dt, A, bias, lengths, steps, sums, length, heads, chunks, float(low), float(high), *dt.stride(), A.stride(0),
        0 if bias is None else bias.stride(0),
        HAS_BIAS=bias is not None, SOFTPLUS=step_sizes.softplus, HAS_LENGTHS=lengths is not None,
        CHUNK=chunk, HEADS=run,
    )  # fmt: skip
    return steps, sums


def _precision(x: Tensor) -> str:
    """Of products of float32: 24 bits and not 11 where x has them."""
    return "tf32x3" if x.dtype == torch.float32 else "tf32"


def fitting_tiling(x: Tensor, B: Tensor) -> Tiling:
    """What fits the shared memory of an H100 or H200."""
    (batch, length, heads, width), (groups, size) = x.shape, B.shape[2:]
    width, size = columns_held(width, x.dtype), columns_held(size, x.dtype)
    most = max(1, batch * length * heads // 128 // ENOUGH_PROGRAMS)
    run = min(16, heads // groups, triton.next_power_of_2(most))
    warps = 8 if width * size > 64 * 64 else 4
    if x.dtype == torch.float32:
        return Tiling(
            chunk=64, block=32, heads=run, warps=warps, stages=1,
            state_block=32, state_heads=run, state_warps=warps, gradient_block=32, gradient_warps=warps,
        )  # fmt: skip
    if width * size > 64 * 128:
        return Tiling(
            chunk=128, block=64, heads=run, warps=warps, stages=1,
            state_block=64, state_heads=1, state_warps=warps, state_stages=1, gradient_warps=warps,
        )  # fmt: skip
    stages = 3 if max(width, size) <= 64 else 2
    whole = x.dtype == torch.bfloat16 and width <= 64 and warps == 8  # float16's pairs are float32, and would spill
    return Tiling(
        heads=run, stages=3 if width <= 64 else 2,
        state_heads=min(8, run), state_stages=stages, carriers=ENOUGH_CARRIERS,
        gradient_block=128 if whole else 64, gradient_warps=warps,
    )  # fmt: skip


def _rows(tensor: Tensor) -> Tensor:
    """The kernels want channels next to each other; everything else may be strided."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def columns_held(width: int, dtype: torch.dtype) -> int:
    """Columns of the blocks that hold so many channels, or states; what they have beyond is zero.

    A tensor core takes no fewer than 16. In half precision blocks of 16 or 32 channels beside more states gave wrong
    numbers on an H200 (Triton 3.6), or read beyond their memory, where blocks of 64 are right.
    """
    return max(16 if dtype == torch.float32 else 64, triton.next_power_of_2(width))


@triton.jit
def _one_way(
    pairs, reads, query, key, value, dy, step, held, returned, to_reader, to_border, whole, PRECISION: tl.constexpr
):
    """Of one direction: what crosses each token of a block; what its writers get from beyond it; what dt has of that.

    pairs `[i, j]`: what reader i gets from writer j, times dL/dy_i. reads `[i, t]`: whether t is crossed by what i
    reads, else by what i writes. held, returned `[N, P]` float32: the state at the border that is read, and the
    gradient of the state at the other; to_reader, to_border `[BLOCK]`: log2 of what is left on the way from one and to
    the other.
    """
    through = tl.sum(tl.sum(held * returned, axis=1), axis=0)
    read = tl.dot(query, held.to(query.dtype), input_precision=PRECISION)
    read = tl.sum(read * dy.to(tl.float32), axis=1) * exp2(to_reader)
    sent = tl.dot(key, returned.to(key.dtype), input_precision=PRECISION) * exp2(to_border)[:, None]
    share = tl.sum(sent * value.to(tl.float32), axis=1)
    told = tl.dot(pairs, tl.where(reads, 0.0, 1.0).to(pairs.dtype), input_precision=PRECISION)
    crossing = tl.sum(tl.where(reads, told + read[:, None], (share * step)[:, None]), axis=0)
    return crossing + through * exp2(whole), sent, share


@triton.jit(do_not_specialize=ANY_LENGTH)
def _gradients(
    x, grad, B, C, D, steps, sums, entering, returning, grad_x, to_step, to_decay, grad_D,
    L, H, P, N, chunks, heads_per_group, direction_stride,
    stride_xb, stride_xl, stride_xh, stride_gb, stride_gl, stride_gh, stride_bb, stride_bl, stride_bg,
    stride_cb, stride_cl, stride_cg, stride_dh, stride_dp,
    FORWARD: tl.constexpr, BACKWARD: tl.constexpr, ITSELF: tl.constexpr, HAS_D: tl.constexpr, PRECISION: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One program: a block of tokens of one head. Gradients of x, dt and A, and of D.

    entering, returning `[directions, B, chunks, H, N, P]`: the states that enter each chunk, and the gradients of those
    that leave it, of which the forward direction's, as they run to the left, come last. grad_x `[B, L, H, P]`; to_step,
    the part of dL/d dt that dt x has, and to_decay, dL/d(dt A), `[B, H, L]`; grad_D `[B, blocks, H, P]`.
    """
    video, head = tl.program_id(1).to(tl.int64), tl.program_id(0) % H
    block = (tl.program_id(0) // H).to(tl.int64)
    chunk, start = block // (CHUNK // BLOCK), (block % (CHUNK // BLOCK) * BLOCK).to(tl.int32)
    group = head // heads_per_group
    channel, state, row = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_N), tl.arange(0, BLOCK)
    real = (L - chunk * CHUNK).to(tl.int32)
    there = start + row < real
    x += video * stride_xb + chunk * CHUNK * stride_xl + head * stride_xh
    grad += video * stride_gb + chunk * CHUNK * stride_gl + head * stride_gh
    B += video * stride_bb + chunk * CHUNK * stride_bl + group * stride_bg
    C += video * stride_cb + chunk * CHUNK * stride_cl + group * stride_cg
    steps += ((video * H + head) * chunks + chunk) * CHUNK
    sums += ((video * H + head) * chunks + chunk) * CHUNK

    query, key = _tile(C, start + row, stride_cl, state, there, N), _tile(B, start + row, stride_bl, state, there, N)
    value, dy = (
        _tile(x, start + row, stride_xl, channel, there, P),
        _tile(grad, start + row, stride_gl, channel, there, P),
    )
    if HAS_D:
        share = tl.sum(value.to(tl.float32) * dy.to(tl.float32), axis=0)
        tl.store(
            grad_D + ((video * chunks * (CHUNK // BLOCK) + block) * H + head) * P + channel, share, mask=channel < P
        )
    S, E = _sums_of(sums, start + row, False)
    step = exp2(tl.load(steps + start + row))
    CB = tl.dot(query, tl.trans(key), input_precision=PRECISION)
    if ITSELF != 1:  # how many times a token sees itself
        CB = tl.where(row[:, None] == row[None, :], CB * ITSELF, CB)
    weight = CB * exp2(tl.minimum(S[:, None] - S[None, :], E[None, :] - E[:, None]))  # [i, j]: how i sees j
    if not BACKWARD:
        weight = tl.where(row[:, None] >= row[None, :], weight, 0.0)
    if not FORWARD:
        weight = tl.where(row[:, None] <= row[None, :], weight, 0.0)
    to_x = tl.dot(tl.trans(weight.to(dy.dtype)), dy, input_precision=PRECISION)
    pairs = tl.dot(dy, tl.trans(value), input_precision=PRECISION) * weight
    to_dt = tl.sum(pairs, axis=0)
    pairs *= step[None, :]
    if value.dtype == tl.bfloat16:  # float16 might not hold them
        pairs = pairs.to(value.dtype)

    before = tl.load(sums + start - 1, mask=start > 0, other=0.0)
    after = tl.load(sums + start + BLOCK - 1)
    border = ((video * chunks + chunk) * H + head) * N * P + state[:, None] * P + channel[None, :]
    inside = (state < N)[:, None] & (channel < P)[None, :]
    crossing = tl.zeros([BLOCK], dtype=tl.float32)
    if FORWARD:
        held = tl.load(entering + border, mask=inside, other=0.0)
        held = _at_left(
            held, B, x, stride_bl, stride_xl, state, channel, N, P, steps, sums, start, real, False, PRECISION, BLOCK
        )
        returned = tl.load(returning + border + BACKWARD * direction_stride, mask=inside, other=0.0)
        returned = _at_right(
            returned, C, grad, stride_cl, stride_gl, state, channel, N, P, steps, sums, start, real,
            True, PRECISION, CHUNK, BLOCK,
        )  # fmt: skip
        crossed, sent, share = _one_way(
            pairs, row[:, None] >= row[None, :], query, key, value, dy, step,
            held, returned, S - before, after - S, after - before, PRECISION,
        )  # fmt: skip
        crossing, to_x, to_dt = crossing + crossed, to_x + sent, to_dt + share
    if BACKWARD:
        held = tl.load(entering + border + FORWARD * direction_stride, mask=inside, other=0.0)
        held = _at_right(
            held, B, x, stride_bl, stride_xl, state, channel, N, P, steps, sums, start, real,
            False, PRECISION, CHUNK, BLOCK,
        )  # fmt: skip
        returned = tl.load(returning + border, mask=inside, other=0.0)
        returned = _at_left(
            returned,
            C,
            grad,
            stride_cl,
            stride_gl,
            state,
            channel,
            N,
            P,
            steps,
            sums,
            start,
            real,
            True,
            PRECISION,
            BLOCK,
        )
        crossed, sent, share = _one_way(
            pairs, row[:, None] <= row[None, :], query, key, value, dy, step,
            held, returned, after - E, E - before, after - before, PRECISION,
        )  # fmt: skip
        crossing, to_x, to_dt = crossing + crossed, to_x + sent, to_dt + share

    token = chunk * CHUNK + start + row
    scalar = (video * H + head) * L + token
    tl.store(to_decay + scalar, crossing, mask=there)
    tl.store(to_step + scalar, to_dt, mask=there)
    to_x *= step[:, None]
    if HAS_D:
        skip = tl.load(D + head * stride_dh + channel * stride_dp, mask=channel < P, other=0.0).to(tl.float32)
        to_x += dy.to(tl.float32) * skip[None, :]
    address = grad_x + ((video * L + token[:, None]) * H + head) * P + channel[None, :]
    tl.store(address, to_x, mask=there[:, None] & (channel < P)[None, :])


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
        x, B, C, grad = _rows(x), _rows(B), _rows(C), _rows(grads[0].to(x.dtype))
        size, groups = B.shape[3], B.shape[2]
        fitting = tiling or fitting_tiling(x, B)  # the scans below have other widths, but the same chunks
        prefix = _prefix_sums(dt, A, fitting.chunk)
        returns = None if forward and backward else grads[1][0].mT
        initial = None if initial_state is None else initial_state.mT
        shared: dict[str, Any] = {"itself": itself, "tiling": tiling, "prefix": prefix}
        to_C, _, entering = _scan(
            *(_per_head(B, heads), dt, A, x, grad),
            initial_state=initial, forward=forward, backward=backward, **shared,
        )  # fmt: skip
        to_B, before, returning = _scan(
            *(_per_head(C, heads), dt, A, grad, x),
            initial_state=returns, forward=backward, backward=forward, transposed=True, **shared,
        )  # fmt: skip

        skip = None if D is None else D.view(heads, -1).expand(heads, width)
        chunks, block = triton.cdiv(length, fitting.chunk), min(fitting.chunk, fitting.gradient_block)
        blocks = chunks * (fitting.chunk // block)
        grad_x = x.new_empty(x.shape)
        to_step, to_decay = dt.new_empty(2, batch, heads, length)
        grad_D = None if D is None else dt.new_empty(batch, blocks, heads, width)
        _gradients[(blocks * heads, batch)](
            x, grad, B, C, skip, *prefix, entering, returning, grad_x, to_step, to_decay, grad_D,
            length, heads, width, size, chunks, heads // groups, entering.stride(0),
            *x.stride()[:3], *grad.stride()[:3], *B.stride()[:3], *C.stride()[:3],
            *((0, 0) if skip is None else skip.stride()),
            FORWARD=forward, BACKWARD=backward, ITSELF=itself, HAS_D=D is not None, PRECISION=_precision(x),
            CHUNK=fitting.chunk, BLOCK=block,
            BLOCK_P=columns_held(width, x.dtype), BLOCK_N=columns_held(size, x.dtype),
            num_warps=fitting.gradient_warps, num_stages=1,
        )  # fmt: skip

        grad_dt = (to_decay * A[:, None] + to_step).mT
        grad_A = (to_decay * dt.mT).sum((0, 2)).to(A.dtype)
        grad_C = to_C.unflatten(2, (groups, -1)).sum(3, dtype=torch.float32).to(C.dtype)
        weighted = to_B.unflatten(2, (groups, -1)).mT @ dt.to(to_B.dtype).unflatten(2, (groups, -1))[..., None]
        if D is not None and grad_D is not None:
            grad_D = grad_D.sum((0, 1))
            grad_D = (grad_D if D.ndim == 2 else grad_D.sum(-1)).to(D.dtype)
        grad_initial = None if initial_state is None else before[0].mT.to(initial_state.dtype)
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


def _per_head(matrix: Tensor, heads: int) -> Tensor:
    """B or C `[B, L, G, N]` as `[B, L, H, N]`, without a copy where there is one group."""
    if matrix.shape[2] == 1:
        return matrix.expand(-1, -1, heads, -1)
    return matrix.repeat_interleave(heads // matrix.shape[2], dim=2)
