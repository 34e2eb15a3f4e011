"""Attention over a key-value cache whose rows have lengths of their own, known to the device alone."""

import torch
from torch import Tensor
from torch.nn import functional


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
    keys, values: `[R, G, S, D]`, written in place at the new positions, all of which must lie below S and P.
    norms:    weights `[D]` of an RMSNorm over the channels of every query and of every key, and its eps (Qwen3).

    Returns the queries `[R, Q, H, D]`. Channel d is rotated with channel d + D / 2, as the published Llama does.
    """
    return rotate_and_append_plain(qkv, cos, sin, lengths, keys, values, norms=norms)


def cached_attention(q: Tensor, keys: Tensor, values: Tensor, lengths: Tensor, scale: float) -> Tensor:
    """Query i of row r looks at the first lengths[r] + i + 1 keys of its row.

    q `[R, Q, H, D]` with a few queries a row; keys, values `[R, G, S, D]`, query head h reads head h // (H / G);
    lengths int64 `[R]` on the device. Returns `[R, Q, H, D]` in the dtype of q. The device is not waited for.
    """
    return cached_attention_plain(q, keys, values, lengths, scale)


def causal_attention(q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """The last Q of S positions look at everything up to themselves: a chunk of a prompt after what came before it.

    q `[R, Q, H, D]`, keys and values `[R, G, S, D]` with S >= Q. Returns `[R, Q, H, D]`.
    """
    return causal_attention_plain(q, keys, values, scale)


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
    rows, new, _ = qkv.shape
    groups, width = keys.shape[1], keys.shape[3]
    q, k, v = qkv.unflatten(2, (-1, width)).split([qkv.shape[2] // width - 2 * groups, groups, groups], dim=2)
    if norms is not None:
        q, k = (functional.rms_norm(x, (width,), weight, norms[2]) for x, weight in zip((q, k), norms[:2], strict=True))
    place = lengths[:, None] + torch.arange(new, device=qkv.device)  # [R, Q]
    cos, sin = (table[place][:, :, None].to(qkv.dtype) for table in (cos, sin))
    q, k = (x * cos + torch.cat([-x[..., width // 2 :], x[..., : width // 2]], dim=-1) * sin for x in (q, k))
    row = torch.arange(rows, device=qkv.device)[:, None]
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
    last = torch.full((len(q),), keys.shape[2] - q.shape[1], device=q.device)
    return cached_attention_plain(q, keys, values, last, scale)
