"""The selective scan of Mamba (Gu and Dao 2023, arXiv 2312.00752, equation 2 and algorithm 2).

With a step size dt_t per position and channel d, and states n that a channel keeps for itself:

    h_t[d, n] = exp(dt_t[d] A[d, n]) h_(t-1)[d, n] + dt_t[d] B_t[n] u_t[d]
    y_t[d]    = (sum_n C_t[n] h_t[d, n] + D[d] u_t[d]) silu(z_t[d])

A is discretised exactly, B by Euler's rule, as the official code does. A is real and negative: the complex A of earlier
state-space models is not needed by any video model here, and is refused.

The recurrence is written three times: `selective_scan_sequential` is the equation, `selective_scan` what is used,
`selective_state_update` one position of it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels import selective_scan as kernels
from tvu.temporal.scan.chunked_scan import ChunkedScan
from tvu.temporal.scan.native import mamba_ssm_selective_scan, offsets_fit


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    reverse: bool = False,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The scan, a chunk of positions at a time, in the layout of the official operator.

    u, delta: `[B, D, L]`, L >= 1: inputs and raw step sizes; dt = softplus(delta + delta_bias), or without softplus.
              Fastest as transposed views of `[B, L, D]` tensors.
    A:        `[D, N]`, real, not positive.
    B, C:     `[B, N, L]`, or `[B, G, N, L]` where channels d of one of G equal runs share them, or constant `[D, N]`.
    D, delta_bias: `[D]`. z: `[B, D, L]`, the gate.
    initial_state: `[B, D, N]`, what came before the first position (with `reverse`, after the last); zeros if None.
    reverse:  scan from the last position to the first: what flipping every sequence, scanning and flipping back gives,
              without moving memory.
    chunk_size: positions at a time; changes the time and the memory taken, not the answer. None: what fits a CPU's
              cache, 16 to 256.

    Returns y `[B, D, L]` in the dtype of u and the state after the scan `[B, D, N]`, float32 (float64 if u is). The
    state and every exponential are of that dtype inside too; only dt A <= 0 is ever exponentiated. A position with
    dt = 0 leaves the state as it is. All tensors get gradients, the last state gives them; memory is that of the
    inputs, one chunk with its states, and, if gradients are needed, one state per chunk.

    On a CUDA device the kernels of `kernels/selective_scan.py` run; where B or C is constant, that of mamba-ssm if the
    package is installed, whose last state gives no gradient.
    Raises ValueError if shapes disagree, L is 0 or A is complex.
    """
    _check(u, delta, A, B, C)
    if B.ndim > 2 and C.ndim > 2:
        inserted, read = _by_token(B), _by_token(C)  # [B, L, G, N]
        if kernels.selective_scan_runs_on_triton(u, delta, A, inserted, read, D, z, delta_bias, initial_state):
            y, state = kernels.selective_scan(
                *(u.mT, delta.mT, A, inserted, read),
                D=D,
                z=None if z is None else z.mT,
                delta_bias=delta_bias,
                softplus=delta_softplus,
                initial_state=initial_state,
                reverse=reverse,
            )
            return y.mT, state
    if initial_state is None and not reverse and _native_takes(u, delta, A, B, C, z):
        return _native(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    dtype = _working(u)
    groups = math.lcm(*(matrix.shape[1] for matrix in (B, C) if matrix.ndim == 4))
    if initial_state is None:
        initial_state = A.new_zeros(u.shape[0], *A.shape, dtype=dtype)
    y, last_state = ChunkedScan.apply(
        u.to(dtype),
        _step_sizes(delta, delta_bias, delta_softplus, dtype),
        _grouped(A.to(dtype), groups),
        _per_group(B.to(dtype), groups),
        _per_group(C.to(dtype), groups),
        _grouped(initial_state.to(dtype), groups),
        chunk_size or _fitting_chunk(u.shape[0] * A.numel()),
        reverse,
    )
    return _skip_and_gate(y, u, D, z), last_state.transpose(-1, -2).flatten(1, 2)


def selective_scan_sequential(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    *,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The equation, position after position: what `selective_scan` must agree with, its arguments and its results."""
    _check(u, delta, A, B, C)
    dtype = _working(u)
    length, channels = u.shape[-1], u.shape[1]
    dt = _step_sizes(delta, delta_bias, delta_softplus, dtype)
    A = A.to(dtype)

    def at(matrix: Tensor, t: int) -> Tensor:  # [B, D, N], or [D, N] where it is constant
        if matrix.ndim == 2:
            return matrix.to(dtype)
        now = (matrix if matrix.ndim == 4 else matrix[:, None])[..., t].to(dtype)
        return now.repeat_interleave(channels // now.shape[1], dim=1)

    h = A.new_zeros(u.shape[0], *A.shape) if initial_state is None else initial_state.to(dtype)
    ys = []
    for t in reversed(range(length)) if reverse else range(length):
        dt_t, u_t = dt[:, :, t, None], u[:, :, t, None].to(dtype)
        h = torch.exp(dt_t * A) * h + dt_t * at(B, t) * u_t
        ys.append((at(C, t) * h).sum(dim=-1))
    y = torch.stack(ys[::-1] if reverse else ys, dim=-1)
    return _skip_and_gate(y, u, D, z), h


def selective_state_update(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    *,
    dt_softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """One position of the scan, in the layout of the official decoding step of Mamba-1 and Mamba-2.

    state: `[B, H, P, N]`; x, dt, z `[B, H, P]`; A `[H, P, N]`; B, C `[B, G, N]`, shared by H / G heads; D, dt_bias
    `[H, P]`. Or all of them without the H, and B, C `[B, N]`.

    Returns y as x and the new state in the dtype of the old one, which, unlike in the official code, stays as it was.
    The sum itself is done in float32 (float64 if the state or x is).
    """
    dtype = torch.promote_types(_working(state), x.dtype)
    one_head = state.ndim == 3
    if one_head:
        state, x, dt, B, C = state[:, None], x[:, None], dt[:, None], B.unsqueeze(1), C.unsqueeze(1)
        z = None if z is None else z[:, None]
    heads = state.shape[1]
    if heads % B.shape[1] or B.shape != C.shape:
        raise ValueError(f"B {tuple(B.shape)} and C {tuple(C.shape)} do not serve {heads} heads")
    dt = dt.to(dtype) if dt_bias is None else dt.to(dtype) + dt_bias.to(dtype)
    dt = (F.softplus(dt) if dt_softplus else dt)[..., None]  # [B, H, P, 1]
    B, C = (matrix.to(dtype).repeat_interleave(heads // matrix.shape[1], dim=1)[:, :, None] for matrix in (B, C))
    new = torch.exp(dt * A.to(dtype)) * state.to(dtype) + dt * B * x.to(dtype)[..., None]
    y = (new * C).sum(dim=-1)
    if D is not None:
        y = y + x.to(dtype) * D.to(dtype)
    if z is not None:
        y = y * F.silu(z.to(dtype))
    y, new = y.to(x.dtype), new.to(state.dtype)
    return (y[:, 0], new[:, 0]) if one_head else (y, new)


def _native_takes(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, z: Tensor | None) -> bool:
    """Whether the kernel of mamba-ssm is there for this scan: on CUDA, up to 256 states, offsets of 32 bits."""
    known = u.dtype in (torch.float32, torch.float16, torch.bfloat16)
    fits = u.is_cuda and known and A.shape[1] <= 256 and offsets_fit(u, delta, B, C, z)
    return fits and mamba_ssm_selective_scan() is not None


def _native(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> tuple[Tensor, Tensor]:
    """By mamba-ssm, which wants what varies along the sequence in one dtype and the rest in float32."""
    scan = mamba_ssm_selective_scan()
    assert scan is not None
    delta, z = delta.to(u.dtype), None if z is None else z.to(u.dtype)
    B, C = (matrix.float() if matrix.ndim == 2 else matrix.to(u.dtype) for matrix in (B, C))
    D, delta_bias = (None if x is None else x.float() for x in (D, delta_bias))
    y, state = scan(u, delta, A.float(), B, C, D, z, delta_bias, delta_softplus, return_last_state=True)
    return y, state.detach()


def _by_token(matrix: Tensor) -> Tensor:
    """`[B, N, L]` or `[B, G, N, L]` to `[B, L, G, N]`."""
    return (matrix if matrix.ndim == 4 else matrix[:, None]).permute(0, 3, 1, 2)


def _fitting_chunk(state_size: int) -> int:
    """Positions whose states stay in a core's cache; the floor bounds the states that are kept for gradients."""
    return min(max(2**18 // max(state_size, 1), 16), 256)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """`[..., D, N]` to `[..., G, N, H]`."""
    return x.unflatten(-2, (groups, -1)).transpose(-1, -2).contiguous()


def _per_group(matrix: Tensor, groups: int) -> Tensor:
    """B or C to `[B, G, N, L]`, or `[G, N, H]` if constant."""
    if matrix.ndim == 2:
        return _grouped(matrix, groups)
    matrix = matrix if matrix.ndim == 4 else matrix[:, None]
    return matrix.repeat_interleave(groups // matrix.shape[1], dim=1)


def _step_sizes(delta: Tensor, bias: Tensor | None, softplus: bool, dtype: torch.dtype) -> Tensor:
    delta = delta.to(dtype) if bias is None else delta.to(dtype) + bias.to(dtype)[:, None]
    return F.softplus(delta) if softplus else delta


def _skip_and_gate(y: Tensor, u: Tensor, D: Tensor | None, z: Tensor | None) -> Tensor:
    if D is not None:
        y = y + u.to(y.dtype) * D.to(y.dtype)[:, None]
    if z is not None:
        y = y * F.silu(z.to(y.dtype))
    return y.to(u.dtype)


def _working(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _check(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
    if u.ndim != 3 or u.shape != delta.shape or u.shape[-1] == 0:
        raise ValueError(f"u and delta are [B, D, L] with L >= 1, not {tuple(u.shape)} and {tuple(delta.shape)}")
    batch, channels, length = u.shape
    if A.is_complex() or A.ndim != 2 or A.shape[0] != channels:
        raise ValueError(f"A is real, [{channels}, N], not {A.dtype} {tuple(A.shape)}")
    for name, matrix in (("B", B), ("C", C)):
        groups = matrix.shape[1] if matrix.ndim == 4 else 1
        constant = tuple(matrix.shape) == tuple(A.shape)
        varying = matrix.ndim in (3, 4) and (matrix.shape[0], *matrix.shape[-2:]) == (batch, A.shape[1], length)
        if not (constant or varying) or channels % groups:
            raise ValueError(f"{name} {tuple(matrix.shape)} does not serve u {tuple(u.shape)} and A {tuple(A.shape)}")
