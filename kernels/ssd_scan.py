"""The scan of Mamba-2, state space duality (Dao and Gu 2024, "Transformers are SSMs", equations 1 and 16).

For every head with a scalar decay A < 0, a state `[P, N]` and the step size dt_t > 0:

    H_t = exp(dt_t A) H_(t-1) + dt_t x_t B_t^T
    y_t = H_t C_t + D x_t,  then y_t silu(z_t) where there is a gate

x and z `[B, L, H, P]`, dt `[B, L, H]`, A `[H]`, B and C `[B, L, G, N]` (head h reads group h // (H / G)), D `[H]` or
`[H, P]`, states `[B, H, P, N]`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.dispatch import needs_gradient, runs_on_triton

WIDEST = 128  # channels of a head, and states, that the kernels hold at once


@dataclass(frozen=True)
class StepSizes:
    """How dt becomes step sizes: `bias` `[H]` is added; then softplus, if asked for; then they are clamped to limit."""

    bias: Tensor | None = None
    softplus: bool = False
    limit: tuple[float, float] = (0.0, math.inf)


PLAIN_STEPS = StepSizes()


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    steps: StepSizes = PLAIN_STEPS,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """One direction of the scan.

    initial_state: the state before the first token, zeros if None.
    lengths:    `[B]`, how many tokens of each row are real. What follows them is never read, leaves the state as it is
                and gets zeros.
    reverse:    from the last real token to the first, without flipping memory; the final state has read the first.

    Returns y `[B, L, H, P]` in the dtype of x, and the final state in float32 (float64 if anything is float64).
    Sums run in float32. The kernels round the factors of their products to the dtype of x, and the states between
    chunks to bfloat16 where x is no wider; in float16 a state beyond 65,504 is infinite. Gradients are rounded alike.
    Wherever `ssd_runs_on_triton` says no, the plain twin runs.
    """
    if ssd_runs_on_triton(x, dt, A, B, C, D, z, steps.bias, initial_state):
        from tvu.kernels.ssd_scan_triton import scan

        if needs_gradient(x, dt, A, B, C, D, z, steps.bias, initial_state):
            y, states = _with_gradients(
                *(x, dt, A, B, C, D, z, steps, initial_state, lengths), forward=not reverse, backward=reverse
            )
            return y, states[0]
        y, states = scan(
            *(x, dt, A, B, C, D, z, steps, lengths), initial_state=initial_state, forward=not reverse, backward=reverse
        )
        return y, states[0]
    return ssd_scan_plain(
        *(x, dt, A, B, C), D=D, z=z, steps=steps, initial_state=initial_state, lengths=lengths, reverse=reverse
    )


def ssd_bidirectional(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    steps: StepSizes = PLAIN_STEPS,
    lengths: Tensor | None = None,
    itself_twice: bool = True,
) -> Tensor:
    """Both directions of one scan, added; D x and the gate come once.

    itself_twice: a token sees itself in both directions, as in the plain sum of two scans; else once.
    The rest is as in `ssd_scan`. Returns y `[B, L, H, P]`.
    """
    if ssd_runs_on_triton(x, dt, A, B, C, D, z, steps.bias):
        from tvu.kernels.ssd_scan_triton import scan

        if needs_gradient(x, dt, A, B, C, D, z, steps.bias):
            return _with_gradients(
                *(x, dt, A, B, C, D, z, steps, None, lengths), forward=True, backward=True, itself_twice=itself_twice
            )[0]
        return scan(*(x, dt, A, B, C, D, z, steps, lengths), forward=True, backward=True, itself_twice=itself_twice)[0]
    return ssd_bidirectional_plain(*(x, dt, A, B, C), D=D, z=z, steps=steps, lengths=lengths, itself_twice=itself_twice)


def ssd_runs_on_triton(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, *more: Tensor | None) -> bool:
    """Whether the kernels can take this scan: on a CUDA device, of one dtype up to float32, no wider than they hold."""
    fits = max(x.shape[-1], B.shape[-1]) <= WIDEST
    operands = (x, dt, A, B, C, *(tensor for tensor in more if tensor is not None))
    return runs_on_triton(*operands) and x.dtype == B.dtype == C.dtype and fits


def ssd_scan_plain(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    steps: StepSizes = PLAIN_STEPS,
    initial_state: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The specification of `ssd_scan`: the two equations, one token at a time."""
    there = _there(x, lengths)
    inputs, step, inserted, read = _discrete(x, dt, A, B, C, steps, there)
    y, state = _recurrence(inputs, step, A, inserted, read, initial_state, reverse)
    return _skip_and_gate(y, x, D, z, there), state


def ssd_bidirectional_plain(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    steps: StepSizes = PLAIN_STEPS,
    lengths: Tensor | None = None,
    itself_twice: bool = True,
) -> Tensor:
    """The specification of `ssd_bidirectional`: two scans, added."""
    there = _there(x, lengths)
    inputs, step, inserted, read = _discrete(x, dt, A, B, C, steps, there)
    y, _ = _recurrence(inputs, step, A, inserted, read, None, reverse=False)
    y = y + _recurrence(inputs, step, A, inserted, read, None, reverse=True)[0]
    if not itself_twice:
        y = y - (inserted * read).sum(-1, keepdim=True) * step[..., None] * inputs
    return _skip_and_gate(y, x, D, z, there)


def _with_gradients(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    steps: StepSizes,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    *,
    forward: bool,
    backward: bool,
    itself_twice: bool = False,
    tiling: Any = None,
) -> tuple[Tensor, Tensor]:
    """By kernels: step sizes, padding and gate, a small part of the work, are left to PyTorch and its gradients."""
    from tvu.kernels.ssd_scan_triton import SsdScan

    there = None
    if lengths is not None:
        there = _there(x, lengths)
        x, B, C = (tensor.masked_fill(~there[..., None, None], 0) for tensor in (x, B, C))
        dt = dt.masked_fill(~there[..., None], 0)  # before softplus: what is not a number has no gradient either
    y, states = SsdScan.apply(
        x, _step_sizes(dt, steps, there), A.float(), B, C, D, initial_state, forward, backward, itself_twice, tiling
    )
    if z is not None:
        z = z if there is None else z.masked_fill(~there[..., None, None], 0)
        y = (y.float() * F.silu(z.float())).to(x.dtype)
    return y, states


def _step_sizes(dt: Tensor, steps: StepSizes, there: Tensor | None, wide: torch.dtype = torch.float32) -> Tensor:
    """`[B, L, H]`, zero where no token is."""
    step = dt.to(wide) if steps.bias is None else dt.to(wide) + steps.bias.to(wide)
    step = (F.softplus(step) if steps.softplus else step).clamp(*steps.limit)
    return step if there is None else step.masked_fill(~there[..., None], 0)


def _there(x: Tensor, lengths: Tensor | None) -> Tensor:
    """`[B, L]`: where a token is."""
    reach = x.shape[1] if lengths is None else lengths.to(x.device)[:, None]
    return (torch.arange(x.shape[1], device=x.device) < reach).expand(x.shape[:2])


def _discrete(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, steps: StepSizes, there: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, step sizes, B and C of every head, in the dtype of the recurrence and zero where no token is."""
    wide = torch.promote_types(torch.promote_types(x.dtype, dt.dtype), torch.promote_types(A.dtype, torch.float32))
    inserted, read = (tensor.repeat_interleave(x.shape[2] // tensor.shape[2], dim=2) for tensor in (B, C))
    x, inserted, read = (t.to(wide).masked_fill(~there[..., None, None], 0) for t in (x, inserted, read))
    return x, _step_sizes(dt, steps, there, wide), inserted, read


def _recurrence(
    x: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor, initial_state: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    batch, length, heads, width = x.shape
    state = x.new_zeros(batch, heads, width, B.shape[-1]) if initial_state is None else initial_state.to(x.dtype)
    decay, inserted = (step * A.to(x.dtype)).exp(), x * step[..., None]
    y = torch.empty_like(x)
    for t in range(length)[:: -1 if reverse else 1]:
        state = decay[:, t, :, None, None] * state + inserted[:, t, :, :, None] * B[:, t, :, None]
        y[:, t] = (state * C[:, t, :, None]).sum(-1)
    return y, state


def _skip_and_gate(y: Tensor, x: Tensor, D: Tensor | None, z: Tensor | None, there: Tensor) -> Tensor:
    padding = ~there[..., None, None]
    if D is not None:
        y = y + x.to(y.dtype).masked_fill(padding, 0) * D.view(x.shape[2], -1).to(y.dtype)
    if z is not None:
        y = y * F.silu(z.to(y.dtype).masked_fill(padding, 0))
    return y.masked_fill(padding, 0).to(x.dtype)
