"""Gated linear recurrences (Yang et al. 2024, "Gated Linear Attention Transformers", arXiv 2312.06635, equation 3).

    H_t = diag(exp(g_t)) H_(t-1) + k_t v_t^T,    y_t = scale q_t^T H_t

The state H is `[K, V]` per head. With a gate for every key channel (GLA, LightNet) g_t is a vector; with one gate per
head (simple GLA, and the Mamba-2 scan: q = C, k = B, v = dt x, g = dt A, scale = 1) it is a number.

All functions take query and key `[B, L, H, K]`, value `[B, L, H, V]` and the logarithm of the gate, at most 0; -inf is
allowed and forgets everything. `initial_state` is `[B, H, K, V]`, zeros if None; `scale` is K^-0.5 if None. They return
y `[B, L, H, V]` in the dtype of value, and the state after the last token, `[B, H, K, V]` in float32 (float64 if value
is): inside, all is computed in that dtype. Fed with the state that the last piece returned, any cut of a sequence into
pieces gives the same y.
"""

import torch
from torch import Tensor

from tvu.temporal.scan.chunks import split_chunks
from tvu.temporal.scan.ssd import ssd_discrete


def gated_recurrence_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_gate: Tensor,
    initial_state: Tensor | None = None,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written, a token at a time; log_gate `[B, L, H, K]`, or `[B, L, H]` for one per head."""
    q, k, v, g, state = _prepared(query, key, value, log_gate, initial_state, scale)
    y = []
    for t in range(q.shape[1]):
        state = g[:, t].exp()[..., None] * state + k[:, t, :, :, None] * v[:, t, :, None]
        y.append((q[:, t, :, None] @ state)[:, :, 0])
    return torch.stack(y, dim=1).to(value.dtype), state


def gated_recurrence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_gate: Tensor,
    initial_state: Tensor | None = None,
    *,
    scale: float | None = None,
    chunk_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """One gate per key channel, log_gate `[B, L, H, K]`, a chunk at a time.

    A chunk is halved until a token stands alone. In every half-and-half, the right sees the left through their border:
    k decays up to it, q since it. So what is exponentiated is a sum of gates, never a difference of sums: it cannot
    overflow as the usual q exp(G), k exp(-G) does, and strong gates lose no digits. Between chunks travels the state.

    Raises ValueError unless chunk_size is a power of two.
    """
    if chunk_size < 1 or chunk_size & (chunk_size - 1):
        raise ValueError(f"a chunk is halved down to one token, so its size is a power of two, not {chunk_size}")
    q, k, v, g, state = _prepared(query, key, value, log_gate, initial_state, scale)
    length = q.shape[1]
    q, k, v, g = (split_chunks(tensor, chunk_size).transpose(2, 3) for tensor in (q, k, v, g))  # [B, M, H, Q, ...]
    y, since, until = _within_chunks(q, k, v, g)

    arriving = ((k * until.exp()).mT @ v).unbind(1)  # [B, H, K, V] of each chunk
    decay = since[..., -1, :, None].exp().unbind(1)
    entering = []
    for chunk in range(len(arriving)):
        entering.append(state)
        state = torch.addcmul(arriving[chunk], decay[chunk], state)
    y = y + (q * since.exp()) @ torch.stack(entering, dim=1)
    return y.transpose(2, 3).flatten(1, 2)[:, :length].to(value.dtype), state


def _within_chunks(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What every token sees of its own chunk, `[..., Q, V]`, and its log decay since the start, until the end of it."""
    y = (q * k).sum(-1, keepdim=True) * v
    since, until = g.clone(), torch.zeros_like(g)  # in a block of one token: its own gate stands before it
    width = 1
    while width < q.shape[-2]:
        q_right, y_right, since_right = (_half(tensor, width, 1) for tensor in (q, y, since))
        k_left, v_left, since_left, until_left = (_half(tensor, width, 0) for tensor in (k, v, since, until))
        seen = (q_right * since_right.exp()) @ (k_left * until_left.exp()).mT  # [..., width, width]
        y_right += seen @ v_left
        until_left += since_right[..., -1:, :]
        since_right += since_left[..., -1:, :]
        width *= 2
    return y, since, until


def _half(tensor: Tensor, width: int, which: int) -> Tensor:
    """Of `[..., Q, D]` the left (0) or right (1) half of every block of 2 width tokens, `[..., blocks, width, D]`."""
    return tensor.unflatten(-2, (-1, 2, width)).select(-3, which)


def scalar_gated_recurrence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_gate: Tensor,
    initial_state: Tensor | None = None,
    *,
    scale: float | None = None,
    chunk_size: int = 64,
) -> tuple[Tensor, Tensor]:
    """One gate per head, log_gate `[B, L, H]`: the chunked scan of Mamba-2 under its other names."""
    q, k, v, g, state = _prepared(query, key, value, log_gate, initial_state, scale)
    y, state = ssd_discrete(v, g[..., 0], k, q, chunk_size=chunk_size, initial_state=state.mT)
    return y.to(value.dtype), state.mT


def _prepared(
    query: Tensor, key: Tensor, value: Tensor, log_gate: Tensor, initial_state: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Checked, in one dtype: scaled query, key, value, log gate with a channel axis, state."""
    batch, length, heads, channels = query.shape
    if length == 0:
        raise ValueError("a recurrence needs at least one token")
    if key.shape != query.shape or value.shape[:3] != query.shape[:3]:
        raise ValueError(f"query {_told(query)}, key {_told(key)} and value {_told(value)} disagree")
    if log_gate.shape not in (query.shape, query.shape[:3]):
        raise ValueError(f"log_gate of query {_told(query)} is [B, L, H, K] or [B, L, H], not {_told(log_gate)}")
    state_shape = (batch, heads, channels, value.shape[-1])
    if initial_state is not None and initial_state.shape != state_shape:
        raise ValueError(f"initial_state is {state_shape}, not {_told(initial_state)}")
    dtype = torch.promote_types(value.dtype, torch.float32)
    state = value.new_zeros(state_shape, dtype=dtype) if initial_state is None else initial_state.to(dtype)
    gate = log_gate if log_gate.ndim == 4 else log_gate[..., None]
    scaled = query.to(dtype) * (channels**-0.5 if scale is None else scale)
    return scaled, key.to(dtype), value.to(dtype), gate.to(dtype), state


def _told(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
