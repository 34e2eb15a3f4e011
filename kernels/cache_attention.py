"""Attention over a key-value cache whose rows have lengths of their own, known to the device alone."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from tvu.kernels.dispatch import needs_gradient, runs_on_triton


def rotate_and_append(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    lengths: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    norms: tuple[Tensor, Tensor, float] | None = None,
) -> Tensor:
    """Rotary positions for new queries and keys, and the new keys and values put behind those in the cache.

    qkv:      `[R, Q, (H + 2 * G) * D]`: H queries, then G keys, then G values of D channels, for Q new positions of
              each of R rows.
    cos, sin: float32 `[P, D]`, a row a position; the new ones of row r are lengths[r], lengths[r] + 1, ...
    lengths:  int64 `[R]` on the device: how many keys the rows hold. It is read, not changed.
    keys, values: `[R, G, S, D]`, written in place at the new positions, all of which must lie below S and P (the
              plain twin raises IndexError otherwise; on a GPU, which is not waited for, nothing is written there).
    norms:    weights `[D]` of an RMSNorm over the channels of every query and of every key, and its eps (Qwen3).

    Returns the queries `[R, Q, H, D]`. Channel d is rotated with channel d + D / 2, as the published Llama does. On a
    GPU norm and rotation are float32 and rounded once.
    """
    if (
        runs_on_triton(qkv, cos, sin, keys, values)
        and keys.stride(3) == values.stride(3) == 1
        and not needs_gradient(qkv, *(norms or ())[:2])
    ):
        from tvu.kernels import cache_attention_triton

        return cache_attention_triton.rotate_and_append(qkv, cos, sin, lengths, keys, values, norms)
    room = min(len(cos), keys.shape[2]) - qkv.shape[1]
    if qkv.device.type == "cpu" and int(lengths.min()) == (length := int(lengths.max())) <= room:
        return _append_to_even_rows(qkv, cos, sin, length, keys, values, norms)
    return rotate_and_append_plain(qkv, cos, sin, lengths, keys, values, norms=norms)


def cached_attention(q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float) -> Tensor:
    """Query i of row r looks at the first lengths[r] + i + 1 keys of its row.

    q `[R, Q, H, D]` with a few queries a row; keys, values `[R, G, S, D]`, query head h reads head h // (H / G);
    lengths int64 `[R]` on the device. Returns `[R, Q, H, D]` in the dtype of q. A GPU is not waited for, and a graph
    that captured this serves every length. The cost follows the lengths and not S.
    """
    if (
        runs_on_triton(q, keys, values)
        and keys.stride(3) == values.stride(3) == 1
        and not needs_gradient(q, keys, values)
    ):
        from tvu.kernels import cache_attention_triton

        return cache_attention_triton.cached_attention(q, keys, values, lengths, scale)
    if q.device.type == "cpu":
        return _cached_attention_on_cpu(q, keys, values, lengths, scale)
    return cached_attention_plain(q, keys, values, lengths, scale)


def causal_attention(q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """The last Q of S positions look at everything up to themselves: a chunk of a prompt after what came before it.

    q `[R, Q, H, D]`, keys and values `[R, G, S, D]` with S >= Q, read where they lie: they may be the filled part of a
    cache. Returns `[R, Q, H, D]`. What is held besides are a mask of Q x S at most, and nothing of that size on a GPU.
    """
    if not q.is_cuda and q.shape[1] < keys.shape[2]:
        return causal_attention_plain(q, keys, values, scale)
    seen = causal_lower_right(q.shape[1], keys.shape[2])
    out = functional.scaled_dot_product_attention(q.transpose(1, 2), keys, values, seen, scale=scale, enable_gqa=True)
    return out.transpose(1, 2)


def append_and_attend(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    length: int,
    keys: Tensor,
    values: Tensor,
    scale: float,
    *,
    norms: tuple[Tensor, Tensor, float] | None = None,
) -> Tensor:
    """`rotate_and_append` and `cached_attention` of one new position of rows that all hold `length` keys, for a CPU.

    Nothing that a host which knows the length need not ask, mask or look up for every layer: in a small model that is a
    tenth of the time of a token. qkv `[R, 1, (H + 2 * G) * D]`; cos `[D]` of the new position and its `signed` sin;
    keys, values, norms as above. Returns `[R, 1, H, D]`.
    """
    groups, width = keys.shape[1], keys.shape[3]
    x = qkv.view(len(qkv), -1, width)  # [R, H + 2 * G, D]
    turning = x.shape[1] - groups
    qk = x[:, :turning]
    if norms is not None:
        heads = qk.split([turning - groups, groups], dim=1)
        qk = torch.cat(
            [functional.rms_norm(y, (width,), w, norms[2]) for y, w in zip(heads, norms[:2], strict=True)], 1
        )
    qk = torch.addcmul(qk * cos, qk.roll(width // 2, -1), sin)
    keys[:, :, length] = qk[:, turning - groups :]
    values[:, :, length] = x[:, turning:]
    together = qk[:, : turning - groups].unflatten(1, (groups, -1))  # [R, G, H / G, D]: a group reads the same keys
    seen = functional.scaled_dot_product_attention(
        together, keys[:, :, : length + 1], values[:, :, : length + 1], scale=scale
    )
    return seen.flatten(1, 2)[:, None]


def signed(sin: Tensor) -> Tensor:
    """sin `[..., D]`, its first half negated: what a half turn of the channels is multiplied with."""
    first, second = sin.chunk(2, dim=-1)
    return torch.cat([-first, second], dim=-1)


def rotate_and_append_plain(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    lengths: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    norms: tuple[Tensor, Tensor, float] | None = None,
) -> Tensor:
    """The specification of `rotate_and_append`."""
    place = lengths[:, None] + torch.arange(qkv.shape[1], device=qkv.device)  # [R, Q]
    q, k, v = _rotated(qkv, cos[place], sin[place], keys.shape[1], keys.shape[3], norms)
    row = torch.arange(len(qkv), device=qkv.device)[:, None]
    keys[row, :, place] = k
    values[row, :, place] = v
    return q


def cached_attention_plain(q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float) -> Tensor:
    """The specification of `cached_attention`."""
    place = torch.arange(keys.shape[2], device=q.device)
    seen = place < (lengths[:, None] + torch.arange(1, q.shape[1] + 1, device=q.device))[..., None]  # [R, Q, S]
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2), keys, values, attn_mask=seen[:, None], scale=scale, enable_gqa=True
    )
    return out.transpose(1, 2)


def causal_attention_plain(q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """The specification of `causal_attention`."""
    seen = torch.ones(q.shape[1], keys.shape[2], dtype=torch.bool, device=q.device).tril(keys.shape[2] - q.shape[1])
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2), keys, values, attn_mask=seen, scale=scale, enable_gqa=True
    )
    return out.transpose(1, 2)


def _rotated(
    qkv: Tensor, cos: Tensor, sin: Tensor, groups: int, width: int, norms: tuple[Tensor, Tensor, float] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries `[R, Q, H, D]`, keys and values `[R, Q, G, D]`; cos, sin `[R or 1, Q, D]` of the positions."""
    x = qkv.unflatten(2, (-1, width))
    x, v = x.split([x.shape[2] - groups, groups], dim=2)
    if norms is not None:
        heads = x.split([x.shape[2] - groups, groups], dim=2)
        x = torch.cat(
            [functional.rms_norm(y, (width,), weight, norms[2]) for y, weight in zip(heads, norms[:2], strict=True)],
            dim=2,
        )
    cos, sin = (table[:, :, None].to(qkv.dtype) for table in (cos, sin))
    turned = torch.cat([-x[..., width // 2 :], x[..., : width // 2]], dim=-1)
    q, k = torch.addcmul(x * cos, turned, sin).split([x.shape[2] - groups, groups], dim=2)
    return q, k, v


def _append_to_even_rows(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    length: int,
    keys: Tensor,
    values: Tensor,
    norms: tuple[Tensor, Tensor, float] | None,
) -> Tensor:
    """`rotate_and_append` to rows that all hold `length` keys: slices cost less than places."""
    new = slice(length, length + qkv.shape[1])
    q, k, v = _rotated(qkv, cos[None, new], sin[None, new], keys.shape[1], keys.shape[3], norms)
    keys[:, :, new] = k.transpose(1, 2)
    values[:, :, new] = v.transpose(1, 2)
    return q


def _cached_attention_on_cpu(q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float) -> Tensor:
    """What lies beyond the longest row is not looked at; one query in rows of one length needs no mask."""
    longest = int(lengths.max())
    keys, values = keys[:, :, : longest + q.shape[1]], values[:, :, : longest + q.shape[1]]
    if q.shape[1] > 1 or int(lengths.min()) < longest:
        return cached_attention_plain(q, keys, values, lengths, scale)
    together = q.unflatten(2, (keys.shape[1], -1))[:, 0]  # [R, G, H / G, D]: the heads of a group read the same keys
    return functional.scaled_dot_product_attention(together, keys, values, scale=scale).flatten(1, 2)[:, None]
