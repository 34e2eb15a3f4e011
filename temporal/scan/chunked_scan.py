"""The selective scan a chunk at a time, with its gradients: what `selective_scan` runs."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class ChunkedScan(torch.autograd.Function):
    """y and the last state from inputs that have their dtype and their groups: channels d of G runs of H.

    Inside a chunk a position is one multiply-add over a state `[B, G, N, H]`; all else is done for the chunk at once.
    Channels lie innermost: every operand of the expensive products is then contiguous or a scalar along them. The
    backward pass computes the states of a chunk again from the one before it. With g_t = dL/dh_t,

        g_t = C_t dy_t + exp(dt_(t+1) A) g_(t+1),    dL/d(dt_t A) = g_t h_(t-1) exp(dt_t A).
    """

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,  # [B, D, L]
        dt: Tensor,  # [B, D, L]
        A: Tensor,  # [G, N, H]
        B: Tensor,  # [B, G, N, L] or [G, N, H]
        C: Tensor,  # [B, G, N, L] or [G, N, H]
        state: Tensor,  # [B, G, N, H]
        chunk_size: int,
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.chunks = _chunks(u.shape[-1], chunk_size, reverse)
        ctx.reverse = reverse
        y = u.new_empty(u.shape[0], u.shape[2], u.shape[1])  # [B, L, D], as the next projection wants it
        kept = []
        work = u.new_empty(2, min(chunk_size, u.shape[2]), *state.shape)
        with torch.autocast(u.device.type, enabled=False):
            for chunk in ctx.chunks:
                if any(ctx.needs_input_grad):
                    kept.append(state)
                _, states = _chunk_states(u, dt, A, B, state, chunk, reverse, work)
                y[:, chunk] = _sum_states(states, _of_chunk(C, chunk)).flatten(2).transpose(0, 1)
                state = states[0 if reverse else -1].clone()
        ctx.save_for_backward(u, dt, A, B, C, *kept)
        return y.transpose(1, 2), state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_state: Tensor) -> tuple[Tensor | None, ...]:
        u, dt, A, B, C, *kept = ctx.saved_tensors
        grad_u, grad_dt = torch.empty_like(u), torch.empty_like(dt)
        grad_A, grad_B, grad_C = torch.zeros_like(A), torch.zeros_like(B), torch.zeros_like(C)
        carry = grad_state  # of the state that the chunk hands on
        work = u.new_empty(4, max(chunk.stop - chunk.start for chunk in ctx.chunks), *grad_state.shape)
        with torch.autocast(u.device.type, enabled=False):
            for chunk, state in zip(reversed(ctx.chunks), reversed(kept), strict=True):
                decays, states = _chunk_states(u, dt, A, B, state, chunk, ctx.reverse, work)
                B_t, C_t = _of_chunk(B, chunk), _of_chunk(C, chunk)
                dy, u_t, dt_t = (_per_position(x, chunk, A) for x in (grad_y, u, dt))
                grads, product = work[2:, : len(dy)]  # [q, B, G, N, H]
                _outer(dy, C_t, out=grads)
                order = range(len(grads))[:: 1 if ctx.reverse else -1]
                grads[order[0]] += carry
                for later, now in pairwise(order):
                    grads[now].addcmul_(decays[later], grads[later])
                carry = decays[order[-1]] * grads[order[-1]]

                grad_input = _sum_states(grads, B_t)  # of dt u
                _add_coefficients(grad_B, chunk, grads, dt_t * u_t)
                _add_coefficients(grad_C, chunk, states, dy)
                grads.mul_(decays)[order[-1]] *= state
                if ctx.reverse:
                    grads[:-1] *= states[1:]
                else:
                    grads[1:] *= states[:-1]  # of dt A, now
                grad_A += torch.mul(grads, dt_t.unsqueeze(-2), out=product).sum(dim=(0, 1))
                grad_step = grads.mul_(A).sum(dim=-2) + grad_input * u_t
                grad_u[..., chunk] = _per_channel(grad_input * dt_t)
                grad_dt[..., chunk] = _per_channel(grad_step)
        return grad_u, grad_dt, grad_A, grad_B, grad_C, carry, None, None


def _chunk_states(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, state: Tensor, chunk: slice, reverse: bool, work: Tensor
) -> tuple[Tensor, Tensor]:
    """exp(dt A) and h of every position of a chunk, both `[q, B, G, N, H]`: the first two of `work`."""
    dt_t = _per_position(dt, chunk, A)
    decays, states = work[:2, : len(dt_t)]
    torch.mul(dt_t.unsqueeze(-2), A, out=decays).exp_()
    _outer(dt_t * _per_position(u, chunk, A), _of_chunk(B, chunk), out=states)
    steps = list(zip(states.unbind(), decays.unbind(), strict=True))
    for now, decay in reversed(steps) if reverse else steps:
        state = now.addcmul_(decay, state)
    return decays, states


def _per_position(x: Tensor, chunk: slice, A: Tensor) -> Tensor:
    """`[B, D, L]` to `[q, B, G, H]`."""
    return x[..., chunk].permute(2, 0, 1).contiguous().unflatten(-1, (A.shape[0], A.shape[2]))


def _per_channel(x: Tensor) -> Tensor:
    """`[q, B, G, H]` to `[B, D, q]`."""
    return x.flatten(2).permute(1, 2, 0)


def _of_chunk(matrix: Tensor, chunk: slice) -> Tensor:
    """What B or C is in a chunk: `[q, B, G, N]`, or `[G, N, H]` if constant."""
    return matrix if matrix.ndim == 3 else matrix[..., chunk].permute(3, 0, 1, 2).contiguous()


def _outer(x: Tensor, matrix: Tensor, out: Tensor) -> None:
    """`[q, B, G, H]` by B or C of the chunk: `[q, B, G, N, H]`."""
    torch.mul(x.unsqueeze(-2), matrix if matrix.ndim == 3 else matrix.unsqueeze(-1), out=out)


def _sum_states(states: Tensor, matrix: Tensor) -> Tensor:
    """`[q, B, G, N, H]` weighted by B or C of the chunk and summed over N: `[q, B, G, H]`."""
    return (states * matrix).sum(dim=-2) if matrix.ndim == 3 else (matrix.unsqueeze(-2) @ states).squeeze(-2)


def _add_coefficients(grad: Tensor, chunk: slice, states: Tensor, x: Tensor) -> None:
    """Into the gradient of B or C: `states [q, B, G, N, H]` weighted by `x [q, B, G, H]`."""
    if grad.ndim == 3:
        grad += (states * x.unsqueeze(-2)).sum(dim=(0, 1))
    else:
        grad[..., chunk] = (states @ x.unsqueeze(-1)).squeeze(-1).permute(1, 2, 3, 0)


def _chunks(length: int, size: int, reverse: bool) -> list[slice]:
    if size < 1:
        raise ValueError(f"a chunk holds at least one position, not {size}")
    chunks = [slice(start, min(start + size, length)) for start in range(0, length, size)]
    return chunks[::-1] if reverse else chunks
