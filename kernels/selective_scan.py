"""The selective scan of Mamba (Gu and Dao 2023, arXiv 2312.00752, equation 2 and algorithm 2), either way.

With a step size dt_t per token and channel d, and states n that a channel keeps for itself:

    h_t[d, n] = exp(dt_t[d] A[d, n]) h_(t-1)[d, n] + dt_t[d] B_t[n] u_t[d]
    y_t[d]    = (sum_n C_t[n] h_t[d, n] + D[d] u_t[d]) silu(z_t[d])
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels.dispatch import needs_gradient, runs_on_triton

WIDEST = 256  # states of a channel


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    softplus: bool = False,
    initial_state: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """One direction of the scan, with its gradients.

    u, delta, z: `[B, L, D]`, L >= 1, the channels of a token beside each other; rows as far apart as they like.
    A: `[D, N]`, not positive. B, C: `[B, L, G, N]`, shared by D / G channels. D, delta_bias: `[D]`.
    dt = softplus(delta + delta_bias), or without the softplus.
    initial_state: `[B, D, N]`, the state before the first token (with `reverse` after the last), zeros if None.
    reverse: from the last token to the first, without flipping memory.

    Returns y `[B, L, D]` in the dtype of u, and the final state `[B, D, N]` in float32 (float64 if u is). States and
    decays are float32 in any case. Between chunks of tokens only the state travels, so all chunks are scanned at once.
    """
    if selective_scan_runs_on_triton(u, delta, A, B, C, D, z, delta_bias, initial_state):
        from tvu.kernels.selective_scan_triton import SelectiveScan, scan

        if not needs_gradient(u, delta, A, B, C, D, z, delta_bias, initial_state):
            return scan(u, delta, A, B, C, D, z, delta_bias, softplus, initial_state, reverse)
        y, state = SelectiveScan.apply(u, delta, A, B, C, delta_bias, softplus, initial_state, reverse)
        return _skip_and_gate(y, u, D, z), state
    return selective_scan_plain(
        *(u, delta, A, B, C),
        D=D, z=z, delta_bias=delta_bias, softplus=softplus, initial_state=initial_state, reverse=reverse,
    )  # fmt: skip


def selective_scan_runs_on_triton(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, *more: Tensor | None
) -> bool:
    """Whether the kernels can take this scan: on a CUDA device, in float32 or below, B and C shared alike."""
    operands = (u, delta, A, B, C, *(tensor for tensor in more if tensor is not None))
    return runs_on_triton(*operands) and B.shape == C.shape and A.shape[1] <= WIDEST


def selective_scan_plain(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    softplus: bool = False,
    initial_state: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The specification of `selective_scan`: the two equations, one token at a time."""
    wide = torch.promote_types(u.dtype, torch.float32)
    step = delta.to(wide) if delta_bias is None else delta.to(wide) + delta_bias.to(wide)
    step = F.softplus(step) if softplus else step
    inserted, read = (matrix.to(wide).repeat_interleave(u.shape[2] // matrix.shape[2], dim=2) for matrix in (B, C))
    h = u.new_zeros(u.shape[0], *A.shape, dtype=wide) if initial_state is None else initial_state.to(wide)
    y = []
    for t in range(u.shape[1])[:: -1 if reverse else 1]:
        step_t = step[:, t, :, None]
        h = (step_t * A.to(wide)).exp() * h + step_t * inserted[:, t] * u[:, t, :, None].to(wide)
        y.append((h * read[:, t]).sum(-1))
    return _skip_and_gate(torch.stack(y[::-1] if reverse else y, dim=1), u, D, z), h


def _skip_and_gate(y: Tensor, u: Tensor, D: Tensor | None, z: Tensor | None) -> Tensor:
    wide = torch.promote_types(u.dtype, torch.float32)
    y = y.to(wide)
    if D is not None:
        y = y + u.to(wide) * D.to(wide)
    if z is not None:
        y = y * F.silu(z.to(wide))
    return y.to(u.dtype)
