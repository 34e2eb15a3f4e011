"""State space duality, the scan of Mamba-2 (Dao and Gu 2024, "Transformers are SSMs", equations 1 and 16).

For every head with a scalar decay A < 0, a state `[P, N]` and the step size dt_t > 0:

    H_t = exp(dt_t A) H_(t-1) + dt_t x_t B_t^T
    y_t = H_t C_t + D x_t,  then y_t silu(z_t) where there is a gate

Everywhere: x and z `[B, L, H, P]`, dt `[B, L, H]`, A `[H]`, B and C `[B, L, G, N]` (head h reads group h // (H / G)),
D `[H]` or `[H, P]`, states `[B, H, P, N]`. Any floating dtype; the recurrence runs in float32 (float64 if anything is
float64), y has the dtype of x and states keep that of the recurrence.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels import ssd_scan as kernels
from tvu.temporal.scan.chunks import StatePassing, chunk_outputs, chunk_states, pass_states, split_chunks
from tvu.temporal.scan.native import LARGEST_OFFSET, mamba_ssm_chunk_scan, offsets_fit

NO_LIMIT = (0.0, math.inf)
CPU_CHUNK = 64
NATIVE_FROM = 2048  # tokens; below it the launches of mamba-ssm's five kernels cost more than they save


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    chunk_size: int = 256,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
    passing: StatePassing = pass_states,
) -> tuple[Tensor, Tensor]:
    """The scan, chunk by chunk (five steps of the paper's section 6), equal to `ssd_sequential` at any chunk size.

    dt_bias:    `[H]`, added to dt; then softplus, if asked for; then dt is clamped to dt_limit.
    initial_state: the state before the first token, zeros if None.
    lengths:    `[B]`, how many tokens of each row are real. What follows them is never read, leaves the state as it is
                and gets zeros.
    reverse:    from the last real token to the first, without flipping memory; the final state has read the first.
    chunk_size: the most tokens that are taken at once.
    passing:    what happens to the state at the borders of chunks (`temporal/scan/collapse.py`).

    Returns y as x, and the final state. On CUDA the kernels of `kernels/ssd_scan.py` run, with their gradients; for
    what they cannot take, mamba-ssm's, where they are installed, can and pay.
    Raises ValueError if shapes disagree or there is no token.
    """
    _check_shapes(x, dt, A, B, C, chunk_size)
    if passing is pass_states and kernels.ssd_runs_on_triton(x, dt, A, B, C, D, z, dt_bias, initial_state):
        return kernels.ssd_scan(
            *(x, dt, A, B, C),
            D=D,
            z=z,
            steps=kernels.StepSizes(dt_bias, dt_softplus, dt_limit),
            initial_state=initial_state,
            lengths=lengths,
            reverse=reverse,
        )
    real = _real(x, lengths)
    x, B, C, z = (_zero_padding(tensor, real) for tensor in (x, B, C, z))
    dt, log_decay = discretise(dt, A, dt_bias=dt_bias, dt_softplus=dt_softplus, dt_limit=dt_limit, real=real)
    if not reverse and passing is pass_states and _suits_native(x, dt, B, C, z, chunk_size):
        native = mamba_ssm_chunk_scan()
        if native is not None:
            # dt is softplus, limit and padding already: nothing is left for the kernels to differ in.
            y, final_state = native(
                x, dt, A.float(), B, C, chunk_size, D=D, z=z, initial_states=initial_state, return_final_states=True
            )
            return _zero_padding(y, real), final_state
    y, final_state = ssd_discrete(
        x.to(dt.dtype) * dt[..., None],
        log_decay,
        B,
        C,
        chunk_size=_fitting_chunk(chunk_size, x, passing),
        initial_state=initial_state,
        reverse=reverse,
        passing=passing,
    )
    return _skip_and_gate(y, x, D, z), final_state


def ssd_discrete(
    x: Tensor,
    log_decay: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    chunk_size: int = 256,
    initial_state: Tensor | None = None,
    reverse: bool = False,
    passing: StatePassing = pass_states,
) -> tuple[Tensor, Tensor]:
    """H_t = exp(a_t) H_(t-1) + x_t B_t^T, y_t = H_t C_t: steps are in x and in log_decay `[B, L, H]` (a) already.

    log_decay is at most 0 and gives the dtype of the rest. Returns y `[B, L, H, P]` and the final state.
    """
    length = x.shape[1]
    operands = (x, log_decay, B, C)
    x, log_decay, B, C = (split_chunks(t.to(log_decay.dtype), min(chunk_size, length)) for t in operands)
    states, whole = chunk_states(x, log_decay, B, reverse=reverse)
    entering, final_state = passing(states, whole, initial_state, reverse=reverse)
    y = chunk_outputs(x, log_decay, B, C, *((None, entering) if reverse else (entering, None)))
    return y.flatten(1, 2)[:, :length], final_state


def ssd_bidirectional(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    chunk_size: int = 256,
    lengths: Tensor | None = None,
    itself_twice: bool = True,
    passing: StatePassing = pass_states,
) -> Tensor:
    """Both directions of one scan, added: one C B^T and one product inside a chunk serve both.

    itself_twice: a token sees itself in both directions, as in the plain sum of two scans; else once.
    The rest is as in `ssd_scan`; D x and the gate come once. Returns y `[B, L, H, P]`.
    """
    _check_shapes(x, dt, A, B, C, chunk_size)
    if passing is pass_states and kernels.ssd_runs_on_triton(x, dt, A, B, C, D, z, dt_bias):
        return kernels.ssd_bidirectional(
            *(x, dt, A, B, C),
            D=D,
            z=z,
            steps=kernels.StepSizes(dt_bias, dt_softplus, dt_limit),
            lengths=lengths,
            itself_twice=itself_twice,
        )
    real = _real(x, lengths)
    x, B, C, z = (_zero_padding(tensor, real) for tensor in (x, B, C, z))
    dt, log_decay = discretise(dt, A, dt_bias=dt_bias, dt_softplus=dt_softplus, dt_limit=dt_limit, real=real)
    tokens = (x.to(dt.dtype) * dt[..., None], log_decay, B.to(dt.dtype), C.to(dt.dtype))
    size = _fitting_chunk(chunk_size, x, passing)
    steps, decay, inserted, read = (split_chunks(tensor, min(size, x.shape[1])) for tensor in tokens)
    past, _ = passing(*chunk_states(steps, decay, inserted), None)
    future, _ = passing(*chunk_states(steps, decay, inserted, reverse=True), None, reverse=True)
    y = chunk_outputs(steps, decay, inserted, read, past, future).flatten(1, 2)[:, : x.shape[1]]
    if itself_twice:
        y = y + _per_head((tokens[2] * tokens[3]).sum(-1), x)[..., None] * tokens[0]  # (C_t . B_t) x_t
    return _skip_and_gate(y, x, D, z)


def ssd_packed(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    lengths: Sequence[int],
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    chunk_size: int = 256,
    initial_state: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Several sequences one after the other along L, each scanned as if it were alone.

    lengths: of the sequences, each at least 1, summing to L; B = 1. initial_state `[sequences, H, P, N]`.
    The rest is as in `ssd_scan`. Returns y `[1, L, H, P]` and the final states `[sequences, H, P, N]`.

    Sequences are padded to whole chunks, so none shares a chunk with another, and the state starts anew between them.
    """
    _check_shapes(x, dt, A, B, C, chunk_size)
    if x.shape[0] != 1 or sum(lengths) != x.shape[1] or min(lengths) < 1:
        raise ValueError(f"sequences of {list(lengths)} tokens do not fill x {tuple(x.shape)}")
    dt, log_decay = discretise(dt, A, dt_bias=dt_bias, dt_softplus=dt_softplus, dt_limit=dt_limit)
    size = min(_fitting_chunk(chunk_size, x, pass_states), max(lengths))
    counts = [-(-length // size) for length in lengths]

    def whole_chunks(tensor: Tensor) -> Tensor:
        alone = tensor.to(dt.dtype).split(list(lengths), dim=1)
        return torch.cat([split_chunks(sequence, size) for sequence in alone], dim=1)

    steps, decay, inserted, read = map(whole_chunks, (x.to(dt.dtype) * dt[..., None], log_decay, B, C))
    states, whole = chunk_states(steps, decay, inserted, reverse=reverse)
    alone = zip(states.split(counts, dim=1), whole.split(counts, dim=1), strict=True)
    starts = [None] * len(counts) if initial_state is None else initial_state[:, None]
    passed = [pass_states(*sequence, start, reverse=reverse) for sequence, start in zip(alone, starts, strict=True)]
    entering = torch.cat([entering for entering, _ in passed], dim=1)
    outputs = chunk_outputs(steps, decay, inserted, read, *((None, entering) if reverse else (entering, None)))
    pieces = zip(outputs.split(counts, dim=1), lengths, strict=True)
    y = torch.cat([chunks.flatten(1, 2)[:, :length] for chunks, length in pieces], dim=1)
    return _skip_and_gate(y, x, D, z), torch.cat([state for _, state in passed])


def ssd_sequential(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The specification: the two equations above, one token at a time. Arguments and results as in `ssd_scan`."""
    _check_shapes(x, dt, A, B, C)
    real = _real(x, lengths)
    x, B, C, z = (_zero_padding(tensor, real) for tensor in (x, B, C, z))
    dt, log_decay = discretise(dt, A, dt_bias=dt_bias, dt_softplus=dt_softplus, dt_limit=dt_limit, real=real)
    batch, length, heads, width = x.shape
    state = dt.new_zeros(batch, heads, width, B.shape[-1]) if initial_state is None else initial_state.to(dt.dtype)
    decay, steps = log_decay.exp()[..., None, None], x.to(dt.dtype) * dt[..., None]
    inserted, read = (_per_head(tensor.to(dt.dtype), x) for tensor in (B, C))  # [B, L, H, N]
    y = []
    for t in range(length)[:: -1 if reverse else 1]:
        state = decay[:, t] * state + steps[:, t, :, :, None] * inserted[:, t, :, None]
        y.append((state * read[:, t, :, None]).sum(-1))
    return _skip_and_gate(torch.stack(y[::-1] if reverse else y, dim=1), x, D, z), state


def ssd_step(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor | None = None,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
) -> tuple[Tensor, Tensor]:
    """One token as it arrives: x and z `[B, H, P]`, dt `[B, H]`, B and C `[B, G, N]`, state as the last call gave it.

    Returns y `[B, H, P]` and the state. More than one token at a time: `ssd_scan` with `initial_state`.
    """
    x, dt, B, C = (tensor[:, None] for tensor in (x, dt, B, C))
    z = None if z is None else z[:, None]
    y, state = ssd_sequential(
        *(x, dt, A, B, C),
        D=D,
        z=z,
        dt_bias=dt_bias,
        dt_softplus=dt_softplus,
        dt_limit=dt_limit,
        initial_state=state,
    )
    return y[:, 0], state


def discretise(
    dt: Tensor,
    A: Tensor,
    *,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = NO_LIMIT,
    real: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Step sizes and log decays `[B, L, H]`, float32 or float64; both 0 where `real` `[B, L]` is false."""
    dtype = torch.float64 if torch.float64 in (dt.dtype, A.dtype) else torch.float32
    dt = dt.to(dtype)
    if real is not None:
        dt = dt.masked_fill(~real[..., None], 0)  # before, for what is not a number has no gradient either
    if dt_bias is not None:
        dt = dt + dt_bias.to(dtype)
    if dt_softplus:
        dt = F.softplus(dt)
    if tuple(dt_limit) != NO_LIMIT:
        dt = dt.clamp(*dt_limit)
    if real is not None:
        dt = dt.masked_fill(~real[..., None], 0)
    return dt, dt * A.to(dtype)


def _real(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """`[B, L]`: which tokens are not padding; None if all are."""
    return None if lengths is None else torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]


def _zero_padding(tensor: Any, real: Tensor | None) -> Any:
    """Zeros for padding, whatever stood there: 0 times a NaN would not be 0."""
    return tensor if tensor is None or real is None else tensor.masked_fill(~real[..., None, None], 0)


def _per_head(per_group: Tensor, x: Tensor) -> Tensor:
    """`[B, L, G, ...]` as `[B, L, H, ...]`."""
    return per_group.repeat_interleave(x.shape[2] // per_group.shape[2], dim=2)


def _skip_and_gate(y: Tensor, x: Tensor, D: Tensor | None, z: Tensor | None) -> Tensor:
    """(y + D x) silu(z) in the dtype of x."""
    if D is not None:
        y = y + x.to(y.dtype) * (D if D.ndim == 2 else D[:, None]).to(y.dtype)
    if z is not None:
        y = y * F.silu(z.to(y.dtype))
    return y.to(x.dtype)


def _fitting_chunk(chunk_size: int, x: Tensor, passing: StatePassing) -> int:
    """On a CPU smaller chunks are faster, and give the same unless something happens at their borders."""
    return min(chunk_size, CPU_CHUNK) if x.device.type == "cpu" and passing is pass_states else chunk_size


def _suits_native(x: Tensor, dt: Tensor, B: Tensor, C: Tensor, z: Tensor | None, chunk_size: int) -> bool:
    """Whether mamba-ssm's kernels can and are expected to pay.

    Half precision only: they round float32 to 19 bits for the tensor cores.
    """
    if not x.is_cuda or x.dtype not in (torch.float16, torch.bfloat16) or x.shape[1] < NATIVE_FROM:
        return False
    batch, length, heads, width = x.shape
    chunks = -(-length // chunk_size)
    largest = batch * chunks * max(heads * width * B.shape[-1], B.shape[2] * chunk_size**2)
    return chunk_size >= 16 and largest <= LARGEST_OFFSET and offsets_fit(x, dt, B, C, z)


def _check_shapes(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, chunk_size: int = 1) -> None:
    if x.ndim != 4 or x.shape[1] == 0:
        raise ValueError(f"x is [B, L, H, P] with at least one token, not {tuple(x.shape)}")
    if chunk_size < 1:
        raise ValueError(f"a chunk holds at least one token, not {chunk_size}")
    if dt.shape != x.shape[:3] or A.shape != x.shape[2:3]:
        raise ValueError(f"dt {tuple(dt.shape)} and A {tuple(A.shape)} do not belong to x {tuple(x.shape)}")
    if B.shape != C.shape or B.ndim != 4 or B.shape[:2] != x.shape[:2] or x.shape[2] % B.shape[2]:
        raise ValueError(f"B {tuple(B.shape)} and C {tuple(C.shape)} do not belong to x {tuple(x.shape)}")
