"""The kernels behind `selective_scan`: three launches forward, five more backward, chunks of tokens side by side.

Forward: (1) what each chunk leaves in an empty state, and by how much it decays; (2) the states that enter the chunks,
one chunk after the other; (3) every chunk again, from the state that enters it. A program keeps the states of some
channels in registers and walks through its tokens; the exponentials are computed twice, and are what the time goes
into. One chunk needs (3) alone.

Backward: with g_t = dL/dh_t = C_t dy_t + exp(dt_(t+1) A) g_(t+1), the same three steps give the states, and (1) and (2)
in the other direction the g, that enter chunks; a last kernel scans a chunk both ways, one state n at a time. Sums over
channels and over chunks are left to PyTorch, in a fixed order: gradients do not change from run to run.
Decays are powers of 2. Addresses are 64-bit.
"""

# mypy: allow-untyped-defs

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from tvu.kernels.exp2_triton import exp2, silu
from tvu.kernels.ssd_scan_triton import _softplus

ANY_LENGTH = ["L", "chunks"]  # else every other length would be compiled anew
LOG2_E = tl.constexpr(1.4426950408889634)
CHUNKS_AHEAD = 4  # loads under way


@dataclass(frozen=True)
class Tiling:
    """Sizes that change speed, not results.

    chunk, channels: tokens that a program walks through, and channels whose states it keeps.
    span, lanes: the same of the backward pass, where every token of a chunk has a thread.
    """

    chunk: int = 128
    channels: int = 32
    warps: int = 1
    span: int = 16
    lanes: int = 32
    span_warps: int = 1


DEFAULT = Tiling()


@triton.jit
def _step_size(delta, bias, SOFTPLUS: tl.constexpr):
    step = delta.to(tl.float32) + bias
    if SOFTPLUS:
        step = _softplus(step)
    return step


@triton.jit
def _row(start, index, stride, lane, inside):
    return tl.load(start + index * stride + lane, mask=inside, other=0.0).to(tl.float32)


@triton.jit(do_not_specialize=ANY_LENGTH)
def _borders(
    u, delta, A, B, bias, states, decays, L, D, N, chunks, per_group,
    stride_ub, stride_ul, stride_db, stride_dl, stride_bb, stride_bl, stride_bg,
    HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, ADJOINT: tl.constexpr,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """One program: what one chunk leaves of some channels, `states` `[B, chunks, D, N]`, and the sum of its steps.

    ADJOINT: u is the gradient of y and B is C; a token's own decay then acts on what it inserts too.
    """
    block, chunk, video = tl.program_id(0), tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    channel, state = block * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    real, kept = channel < D, state < N
    both = real[:, None] & kept[None, :]
    rate = tl.load(A + channel[:, None] * N + state[None, :], mask=both, other=0.0).to(tl.float32) * LOG2_E
    offset = tl.zeros([CHANNELS], dtype=tl.float32)
    if HAS_BIAS:
        offset += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)
    u += video * stride_ub + chunk * CHUNK * stride_ul
    delta += video * stride_db + chunk * CHUNK * stride_dl
    B += video * stride_bb + chunk * CHUNK * stride_bl + block * CHANNELS // per_group * stride_bg
    count = tl.minimum(L - chunk * CHUNK, CHUNK).to(tl.int32)
    h = tl.zeros([CHANNELS, STATES], dtype=tl.float32)
    total = tl.zeros([CHANNELS], dtype=tl.float32)
    for turn in range(count):
        t = turn
        if REVERSE:
            t = count - 1 - turn
        step = _step_size(_row(delta, t, stride_dl, channel, real), offset, SOFTPLUS)
        value = _row(u, t, stride_ul, channel, real)
        inserted = _row(B, t, stride_bl, state, kept)[None, :]
        decay = exp2(step[:, None] * rate)
        if ADJOINT:  # noqa: SIM108  as two lines
            h = (h + value[:, None] * inserted) * decay
        else:
            h = h * decay + (step * value)[:, None] * inserted
        total += step
    first = (video * chunks + chunk) * D + channel
    tl.store(states + first[:, None] * N + state[None, :], h, mask=both)
    tl.store(decays + first, total, mask=real)


@triton.jit(do_not_specialize=["chunks"])
def _pass(
    states, decays, A, initial, final, DN, N, chunks,
    HAS_INITIAL: tl.constexpr, HAS_FINAL: tl.constexpr, REVERSE: tl.constexpr, AHEAD: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One program: some states of one video, chunk after chunk, each replaced by what enters there."""
    video = tl.program_id(1).to(tl.int64)
    element = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = element < DN
    channel = element // N
    rate = tl.load(A + element, mask=inside, other=0.0).to(tl.float32) * LOG2_E
    carried = tl.zeros([BLOCK], dtype=tl.float32)
    if HAS_INITIAL:
        carried += tl.load(initial + video * DN + element, mask=inside, other=0.0).to(tl.float32)
    states += video * chunks * DN + element
    decays += video * chunks * (DN // N) + channel
    for turn in tl.range(0, chunks, num_stages=AHEAD):
        chunk = tl.where(REVERSE, chunks - 1 - turn, turn).to(tl.int64)
        arriving = tl.load(states + chunk * DN, mask=inside, other=0.0)
        total = tl.load(decays + chunk * (DN // N), mask=inside, other=0.0)
        tl.store(states + chunk * DN, carried, mask=inside)
        carried = carried * exp2(total * rate) + arriving
    if HAS_FINAL:
        tl.store(final + video * DN + element, carried, mask=inside)


@triton.jit(do_not_specialize=ANY_LENGTH)
def _outputs(
    u, delta, A, B, C, skip, z, bias, states, out, final, L, D, N, chunks, per_group,
    stride_ub, stride_ul, stride_db, stride_dl, stride_zb, stride_zl,
    stride_bb, stride_bl, stride_bg, stride_cb, stride_cl, stride_cg,
    HAS_BIAS: tl.constexpr, HAS_D: tl.constexpr, HAS_Z: tl.constexpr, HAS_STATES: tl.constexpr,
    SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """One program: the outputs of one chunk of some channels; that of the last chunk keeps the final state."""
    block, chunk, video = tl.program_id(0), tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    channel, state = block * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    real, kept = channel < D, state < N
    both = real[:, None] & kept[None, :]
    rate = tl.load(A + channel[:, None] * N + state[None, :], mask=both, other=0.0).to(tl.float32) * LOG2_E
    offset = tl.zeros([CHANNELS], dtype=tl.float32)
    if HAS_BIAS:
        offset += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)
    through = tl.zeros([CHANNELS], dtype=tl.float32)
    if HAS_D:
        through += tl.load(skip + channel, mask=real, other=0.0).to(tl.float32)
    group = block * CHANNELS // per_group
    u += video * stride_ub + chunk * CHUNK * stride_ul
    delta += video * stride_db + chunk * CHUNK * stride_dl
    B += video * stride_bb + chunk * CHUNK * stride_bl + group * stride_bg
    C += video * stride_cb + chunk * CHUNK * stride_cl + group * stride_cg
    out += (video * L + chunk * CHUNK) * D
    if HAS_Z:
        z += video * stride_zb + chunk * CHUNK * stride_zl
    h = tl.zeros([CHANNELS, STATES], dtype=tl.float32)
    if HAS_STATES:
        first = (video * chunks + chunk) * D + channel
        h += tl.load(states + first[:, None] * N + state[None, :], mask=both, other=0.0).to(tl.float32)
    count = tl.minimum(L - chunk * CHUNK, CHUNK).to(tl.int32)
    for turn in range(count):
        t = turn
        if REVERSE:
            t = count - 1 - turn
        step = _step_size(_row(delta, t, stride_dl, channel, real), offset, SOFTPLUS)
        value = _row(u, t, stride_ul, channel, real)
        inserted = _row(B, t, stride_bl, state, kept)[None, :]
        read = _row(C, t, stride_cl, state, kept)[None, :]
        h = h * exp2(step[:, None] * rate) + (step * value)[:, None] * inserted
        y = tl.sum(h * read, axis=1)
        if HAS_D:
            y += through * value
        if HAS_Z:
            gate = _row(z, t, stride_zl, channel, real)
            y *= silu(gate)
        tl.store(out + t * D + channel, y, mask=real)
    last = chunks - 1
    if REVERSE:
        last = 0
    if chunk == last:
        tl.store(final + (video * D + channel)[:, None] * N + state[None, :], h, mask=both)


@triton.jit
def _then(decay, state, next_decay, next_state):
    return decay * next_decay, state * next_decay + next_state


@triton.jit
def _tile(start, token, stride, channel, inside):
    return tl.load(start + token[:, None] * stride + channel[None, :], mask=inside, other=0.0).to(tl.float32)


@triton.jit(do_not_specialize=ANY_LENGTH)
def _gradients(
    u, delta, A, B, C, bias, grad, states, adjoints, grad_u, grad_delta, grad_A, grad_B, grad_C,
    L, D, N, chunks, per_group,
    stride_ub, stride_ul, stride_db, stride_dl, stride_gb, stride_gl,
    stride_bb, stride_bl, stride_bg, stride_cb, stride_cl, stride_cg,
    HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr, SPAN: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """One program: all gradients of SPAN tokens and LANES channels; those shared by channels as its own share."""
    block, chunk, video = tl.program_id(0), tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    row = tl.arange(0, SPAN)
    token, channel = chunk * SPAN + row, block * LANES + tl.arange(0, LANES)
    real = channel < D
    inside = (token < L)[:, None] & real[None, :]  # [SPAN, LANES]
    offset = tl.zeros([LANES], dtype=tl.float32)
    if HAS_BIAS:
        offset += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)
    group = block * LANES // per_group
    u += video * stride_ub
    delta += video * stride_db
    B += video * stride_bb + group * stride_bg
    C += video * stride_cb + group * stride_cg
    value = _tile(u, token, stride_ul, channel, inside)
    dy = _tile(grad + video * stride_gb, token, stride_gl, channel, inside)
    step = tl.where(inside, _step_size(_tile(delta, token, stride_dl, channel, inside), offset[None, :], SOFTPLUS), 0.0)
    # The step of the next token in the order of the scan decays the g of that token on its way here.
    following, first, last = token + 1, 0, SPAN - 1
    if REVERSE:
        following, first, last = token - 1, SPAN - 1, 0
    comes = (row != last) & (following < L)
    comes = comes[:, None] & real[None, :]
    next_step = _step_size(_tile(delta, following, stride_dl, channel, comes), offset[None, :], SOFTPLUS)
    next_step = tl.where(comes, next_step, 0.0)
    to_u = tl.zeros([SPAN, LANES], dtype=tl.float32)
    to_step = tl.zeros([SPAN, LANES], dtype=tl.float32)
    entering = ((video * chunks + chunk) * D + channel) * N
    share = (video * tl.num_programs(0) + block) * L + token
    for n in range(N):
        rate = tl.load(A + channel * N + n, mask=real, other=0.0).to(tl.float32)[None, :]
        inserted = tl.load(B + token * stride_bl + n, mask=token < L, other=0.0).to(tl.float32)[:, None]
        read = tl.load(C + token * stride_cl + n, mask=token < L, other=0.0).to(tl.float32)[:, None]
        h_before = tl.load(states + entering + n, mask=real, other=0.0)[None, :]
        g_after = tl.load(adjoints + entering + n, mask=real, other=0.0)[None, :]
        decay = exp2(step * (rate * LOG2_E))
        own = step * value * inserted
        start = tl.where(row[:, None] == first, own + decay * h_before, own)
        _, h = tl.associative_scan((decay, start), 0, _then, reverse=REVERSE)
        start = tl.where(row[:, None] == last, dy * read + g_after, dy * read)
        _, g = tl.associative_scan((exp2(next_step * (rate * LOG2_E)), start), 0, _then, reverse=not REVERSE)
        through_decay = g * (h - own)  # h_(t-1) exp(dt_t A) is h_t without what t inserted
        to_step += through_decay * rate + g * inserted * value
        to_u += g * inserted
        tl.store(grad_A + entering + n, tl.sum(through_decay * step, axis=0), mask=real)
        tl.store(grad_B + share * N + n, tl.sum(g * step * value, axis=1), mask=token < L)
        tl.store(grad_C + share * N + n, tl.sum(h * dy, axis=1), mask=token < L)
    if SOFTPLUS:
        to_step *= 1.0 - tl.exp(-step)  # the sigmoid of what softplus was given
    address = (video * L + token[:, None]) * D + channel[None, :]
    tl.store(grad_u + address, to_u * step, mask=inside)
    tl.store(grad_delta + address, to_step, mask=inside)


def _rows(tensor: Tensor) -> Tensor:
    """The kernels want channels beside each other; everything else may be strided."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _bordering(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, bias: Tensor | None, initial: Tensor | None,
    *, softplus: bool, reverse: bool, adjoint: bool, chunk: int, tiling: Tiling, keep_final: bool,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """The states that enter each chunk, `[B, chunks, D, N]` float32, and the one after the last, `[B, D, N]`."""
    (batch, length, channels), size = u.shape, A.shape[1]
    chunks = triton.cdiv(length, chunk)
    states = u.new_empty(batch, chunks, channels, size, dtype=torch.float32)
    decays = u.new_empty(batch, chunks, channels, dtype=torch.float32)
    per_group = channels // B.shape[2]
    block = _fitting(tiling.channels, per_group)
    _borders[(triton.cdiv(channels, block), chunks, batch)](
        u, delta, A, B, bias, states, decays, length, channels, size, chunks, per_group,
        *u.stride()[:2], *delta.stride()[:2], *B.stride()[:3],
        HAS_BIAS=bias is not None, SOFTPLUS=softplus, REVERSE=reverse, ADJOINT=adjoint,
        CHUNK=chunk, CHANNELS=block, STATES=triton.next_power_of_2(size), num_warps=tiling.warps,
    )  # fmt: skip
    final = u.new_empty(batch, channels, size, dtype=torch.float32) if keep_final else None
    _pass[(triton.cdiv(channels * size, 128), batch)](
        states, decays, A, initial, final, channels * size, size, chunks,
        HAS_INITIAL=initial is not None, HAS_FINAL=keep_final, REVERSE=reverse, AHEAD=CHUNKS_AHEAD, BLOCK=128,
        num_warps=1,
    )  # fmt: skip
    return states, final


def _fitting(block: int, per_group: int) -> int:
    """A program's channels read one B: a power of 2 that divides a group, or all of the only one."""
    while per_group % block and block > 1:
        block //= 2
    return block


def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    softplus: bool,
    initial_state: Tensor | None,
    reverse: bool,
    tiling: Tiling = DEFAULT,
) -> tuple[Tensor, Tensor]:
    """As `selective_scan`, without gradients."""
    u, delta, B, C = (_rows(tensor) for tensor in (u, delta, B, C))
    z = None if z is None else _rows(z)
    A = A.contiguous()
    initial_state = None if initial_state is None else initial_state.contiguous()
    (batch, length, channels), size = u.shape, A.shape[1]
    chunks = triton.cdiv(length, tiling.chunk)
    states = initial_state
    if chunks > 1:
        states, _ = _bordering(
            u, delta, A, B, delta_bias, initial_state,
            softplus=softplus, reverse=reverse, adjoint=False, chunk=tiling.chunk, tiling=tiling, keep_final=False,
        )  # fmt: skip
    out = torch.empty(u.shape, dtype=u.dtype, device=u.device)
    final = u.new_empty(batch, channels, size, dtype=torch.float32)
    per_group = channels // B.shape[2]
    block = _fitting(tiling.channels, per_group)
    _outputs[(triton.cdiv(channels, block), chunks, batch)](
        u, delta, A, B, C, D, z, delta_bias, states, out, final, length, channels, size, chunks, per_group,
        *u.stride()[:2], *delta.stride()[:2], *((0, 0) if z is None else z.stride()[:2]),
        *B.stride()[:3], *C.stride()[:3],
        HAS_BIAS=delta_bias is not None, HAS_D=D is not None, HAS_Z=z is not None, HAS_STATES=states is not None,
        SOFTPLUS=softplus, REVERSE=reverse,
        CHUNK=tiling.chunk, CHANNELS=block, STATES=triton.next_power_of_2(size), num_warps=tiling.warps,
    )  # fmt: skip
    return out, final


class SelectiveScan(torch.autograd.Function):
    """`selective_scan` without D and z, with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        bias: Tensor | None,
        softplus: bool,
        initial_state: Tensor | None,
        reverse: bool,
        tiling: Tiling = DEFAULT,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(u, delta, A, B, C, bias, initial_state)
        ctx.settings = (softplus, reverse, tiling)
        return scan(u, delta, A, B, C, None, None, bias, softplus, initial_state, reverse, tiling)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, bias, initial_state = ctx.saved_tensors
        softplus, reverse, tiling = ctx.settings
        rows_u, rows_delta, rows_B, rows_C, grad = (_rows(tensor) for tensor in (u, delta, B, C, grads[0]))
        rates = A.contiguous()
        (batch, length, channels), size = u.shape, A.shape[1]
        per_group = channels // B.shape[2]
        shared = {"softplus": softplus, "chunk": tiling.span, "tiling": tiling}
        initial = None if initial_state is None else initial_state.contiguous()
        states, _ = _bordering(
            rows_u, rows_delta, rates, rows_B, bias, initial,
            reverse=reverse, adjoint=False, keep_final=False, **shared,
        )  # fmt: skip
        adjoints, grad_initial = _bordering(
            grad, rows_delta, rates, rows_C, bias, grads[1].contiguous(),
            reverse=not reverse, adjoint=True, keep_final=initial is not None, **shared,
        )  # fmt: skip
        chunks = states.shape[1]
        block = _fitting(tiling.lanes, per_group)
        blocks = triton.cdiv(channels, block)
        grad_u = torch.empty(u.shape, dtype=u.dtype, device=u.device)
        grad_delta = torch.empty(u.shape, dtype=delta.dtype, device=u.device)
        grad_A = torch.empty_like(states)
        grad_B, grad_C = u.new_empty(2, batch, blocks, length, size, dtype=torch.float32)
        _gradients[(blocks, chunks, batch)](
            rows_u, rows_delta, rates, rows_B, rows_C, bias, grad, states, adjoints,
            grad_u, grad_delta, grad_A, grad_B, grad_C, length, channels, size, chunks, per_group,
            *rows_u.stride()[:2], *rows_delta.stride()[:2], *grad.stride()[:2],
            *rows_B.stride()[:3], *rows_C.stride()[:3],
            HAS_BIAS=bias is not None, SOFTPLUS=softplus, REVERSE=reverse, SPAN=tiling.span, LANES=block,
            num_warps=tiling.span_warps,
        )  # fmt: skip
        # [B, blocks, L, N] to [B, L, G, N]: a block belongs to one group
        grad_B, grad_C = (
            share.unflatten(1, (B.shape[2], -1)).sum(2).transpose(1, 2).to(matrix.dtype)
            for share, matrix in ((grad_B, B), (grad_C, C))
        )
        grad_bias = None if bias is None else grad_delta.sum((0, 1), dtype=torch.float32).to(bias.dtype)
        grad_initial = None if grad_initial is None else grad_initial.to(initial_state.dtype)
        grad_rates = grad_A.sum((0, 1)).to(A.dtype)
        return grad_u, grad_delta, grad_rates, grad_B, grad_C, grad_bias, None, grad_initial, None, None
