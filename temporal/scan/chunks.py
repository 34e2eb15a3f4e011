"""The state space recurrence a chunk at a time (Dao and Gu 2024, "Transformers are SSMs", section 6).

Everything here is discretised: `x` carries its step size already, and a token decays the state by `exp(log_decay)`.

    H_t = exp(a_t) H_(t-1) + x_t B_t^T,    y_t = H_t C_t

Inside a chunk of Q tokens this is attention under a mask of decays; between chunks only the state `[P, N]` travels.
Only differences of prefix sums, which are never positive, are exponentiated; in float32 this costs a weight at most
about Q / e rounding errors, for a large difference belongs to a vanishing weight.

The backward direction reads the same memory (no flip): with S the inclusive prefix sum of a chunk and E the exclusive
one, token i sees j >= i through exp(E_j - E_i) where the forward direction sees j <= i through exp(S_i - S_j).
"""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Of the masked matrices, held at a time. On a CPU fewer would stay in a cache, but its threads would meet more often.
CPU_ELEMENTS, GPU_ELEMENTS = 2**22, 2**27


class StatePassing(Protocol):
    """How the state travels across the borders of chunks.

    states:    `[B, M, H, P, N]`, what the tokens of each of M chunks leave at its far border.
    log_decay: `[B, M, H]`, what a whole chunk does to the state that enters it.
    initial:   `[B, H, P, N]`, the state before the first chunk; zeros if None.
    reverse:   the last chunk comes first.

    Returns the states that enter each chunk, `[B, M, H, P, N]`, and the one that leaves the last, `[B, H, P, N]`.
    """

    def __call__(
        self, states: Tensor, log_decay: Tensor, initial: Tensor | None, *, reverse: bool = False
    ) -> tuple[Tensor, Tensor]: ...


def pass_states(
    states: Tensor, log_decay: Tensor, initial: Tensor | None = None, *, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """The `StatePassing` of the recurrence itself: R_(c+1) = exp(a of chunk c) R_c + states_c, chunk after chunk."""
    decay = log_decay.exp()[..., None, None].unbind(1)
    arriving = states.unbind(1)
    state = torch.zeros_like(arriving[0]) if initial is None else initial.to(states.dtype)
    entering: list[Tensor] = []
    for chunk in range(len(arriving))[:: -1 if reverse else 1]:
        entering.append(state)
        state = torch.addcmul(arriving[chunk], decay[chunk], state)
    return torch.stack(entering[::-1] if reverse else entering, dim=1), state


def split_chunks(tensor: Tensor, size: int) -> Tensor:
    """`[B, L, ...]` as `[B, M, size, ...]`, zeros after the end: a token of zeros leaves the state as it was."""
    ragged = -tensor.shape[1] % size
    if ragged:
        tensor = F.pad(tensor, (0, 0) * (tensor.ndim - 2) + (0, ragged))
    return tensor.unflatten(1, (-1, size))


def prefix_sums(log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """Inclusive and exclusive prefix sums of `[..., Q, H]` over Q."""
    inclusive = log_decay.cumsum(-2)
    return inclusive, F.pad(inclusive[..., :-1, :], (0, 0, 1, 0))


def chunk_states(x: Tensor, log_decay: Tensor, B: Tensor, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """What each chunk alone leaves at its right border (its left one with `reverse`), and its whole decay.

    x `[B, M, Q, H, P]`, log_decay `[B, M, Q, H]`, B `[B, M, Q, G, N]`. Returns `[B, M, H, P, N]` and `[B, M, H]`.
    """
    whole = log_decay.sum(2)

    def some(x: Tensor, log_decay: Tensor, B: Tensor) -> Tensor:
        inclusive, exclusive = prefix_sums(log_decay)
        to_border = exclusive if reverse else inclusive[:, -1:] - inclusive
        weighted = (x * to_border.exp()[..., None]).unflatten(2, (B.shape[2], -1)).flatten(3)  # [K, Q, G, H / G * P]
        states = weighted.permute(0, 2, 3, 1) @ B.transpose(1, 2)  # [K, G, H / G * P, N]
        return states.flatten(1, 2).unflatten(1, tuple(x.shape[2:]))

    return _few_at_a_time(some, x, log_decay, B), whole


def chunk_outputs(
    x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, past: Tensor | None = None, future: Tensor | None = None
) -> Tensor:
    """y of every token, from its own chunk and from the states that enter it.

    x `[B, M, Q, H, P]`, log_decay `[B, M, Q, H]`, B and C `[B, M, Q, G, N]`; past, future `[B, M, H, P, N]`: the states
    that enter at the left and at the right border. A direction whose state is None is not scanned; with both, one
    matrix C B^T serves both and a token sees itself once. Returns `[B, M, Q, H, P]`.
    """
    states = [state for state in (past, future) if state is not None]
    heads_per_group = x.shape[3] // B.shape[3]

    def some(x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, *states: Tensor) -> Tensor:
        inclusive, exclusive = prefix_sums(log_decay)  # [K, Q, H]
        CB = C.transpose(1, 2) @ B.permute(0, 2, 3, 1)  # [K, G, Q, Q]
        seen = _log_decay_between(inclusive.mT, exclusive.mT, past is not None, future is not None).exp_()
        weights = CB[:, :, None] * seen.unflatten(1, (-1, heads_per_group))  # [K, G, H / G, Q, Q]
        y = (weights.flatten(1, 2) @ x.transpose(1, 2)).transpose(1, 2)  # [K, Q, H, P]
        if past is not None:
            y = torch.addcmul(y, inclusive.exp()[..., None], _read(C, states[0]))
        if future is not None:
            y = torch.addcmul(y, (inclusive[:, -1:] - exclusive).exp()[..., None], _read(C, states[-1]))
        return y

    return _few_at_a_time(some, x, log_decay, B, C, *states)


def _few_at_a_time(some: Callable[..., Tensor], x: Tensor, *operands: Tensor) -> Tensor:
    """`some(x, *operands)` of a few chunks at a time: `[B, M, ...]` each, and the answer.

    The masked matrix is `[Q, Q]` per chunk and head, so every few chunks are computed again in the backward pass:
    memory grows with the length, not with the length times Q.
    """
    size, heads, width = x.shape[2:]
    at_once = max(1, (CPU_ELEMENTS if x.device.type == "cpu" else GPU_ELEMENTS) // (heads * size * max(size, width)))
    pieces = list(zip(*(tensor.flatten(0, 1).split(at_once) for tensor in (x, *operands)), strict=True))
    if len(pieces) > 1 and torch.is_grad_enabled():
        answers = [checkpoint(some, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
    else:
        answers = [some(*piece) for piece in pieces]
    return torch.cat(answers).unflatten(0, tuple(x.shape[:2]))


def _log_decay_between(S: Tensor, E: Tensor, backwards_seen: bool, forwards_seen: bool) -> Tensor:
    """Log weight with which token i sees token j, `[K, H, Q, Q]`; -inf where it does not. S and E are `[K, H, Q]`."""
    to_past = torch.ones(2 * S.shape[-1:], dtype=torch.bool, device=S.device).tril_()
    if backwards_seen and forwards_seen:
        return torch.where(to_past, S[..., :, None] - S[..., None, :], E[..., None, :] - E[..., :, None])
    unseen = S.new_zeros(to_past.shape).masked_fill_(~to_past, -torch.inf)  # added: filling in place is slow on a CPU
    if backwards_seen:
        return (S[..., :, None] - S[..., None, :]).add_(unseen)
    return (E[..., None, :] - E[..., :, None]).add_(unseen.mT)


def _read(C: Tensor, states: Tensor) -> Tensor:
    """H C for every token: C `[K, Q, G, N]`, states `[K, H, P, N]`; returns `[K, Q, H, P]`."""
    groups = C.shape[2]
    by_group = states.unflatten(1, (groups, -1)).flatten(2, 3)  # [K, G, H / G * P, N]
    return (C.transpose(1, 2) @ by_group.mT).transpose(1, 2).reshape(*C.shape[:2], *states.shape[1:3])
