"""Attention as a recurrence (Feng et al. 2024, "Attention as an RNN", arXiv 2405.13956, section 3.2: Aaren).

Softmax attention of one query over a growing set of keys is a fold of triples (m, u, w): the largest score, the sum of
exp(s - m), and the sum of exp(s - m) v. A token alone is (s, 1, v), and two sets become one by

    m = max(m1, m2),   u = u1 exp(m1 - m) + u2 exp(m2 - m),   w likewise,   o = w / u

This is associative, so the answers at all positions are a prefix scan: linear work, logarithmic depth, and a state of
2 + P numbers per head. Nothing but differences from a maximum is exponentiated.

Everywhere: key `[B, H, L, D]`, value `[B, H, L, P]`, key_padding `[B, L]`, nonzero where a key is ignored; `scale` of
the scores is D^-0.5 if None. Scores and triples are float32 (float64 if value is).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tvu.temporal.encoders.residual import ResidualEncoder, StreamingResidualEncoder

KEYS_AT_ONCE = 512  # columns of the score matrix that `per_step_attention` holds


@dataclass(frozen=True)
class Softmax:
    """Softmax-weighted means on their way: the triple of each of `[B, H, L]` sets of keys.

    maximum:  m `[B, H, L]`, -inf for no keys.
    total:    u `[B, H, L]`, sum of exp(s - m); 0 for no keys.
    weighted: w `[B, H, L, P]`, sum of exp(s - m) v.
    """

    maximum: Tensor
    total: Tensor
    weighted: Tensor

    @property
    def mean(self) -> Tensor:
        """o = w / u, `[B, H, L, P]`; zeros for no keys."""
        return self.weighted / self.total.masked_fill(self.total == 0, 1)[..., None]

    @property
    def log_sum(self) -> Tensor:
        """Logarithm of the sum of exp(s), `[B, H, L]`; -inf for no keys."""
        return self.maximum + self.total.log()

    def at(self, positions: slice) -> "Softmax":
        """The sets at some of the L positions."""
        return Softmax(self.maximum[:, :, positions], self.total[:, :, positions], self.weighted[:, :, positions])


def merge(a: Softmax, b: Softmax) -> Softmax:
    """The sets of a and of b together, position by position."""
    maximum = torch.maximum(a.maximum, b.maximum)
    from_a, from_b = ((side.maximum - _finite(maximum)).exp() for side in (a, b))
    total = a.total * from_a + b.total * from_b
    return Softmax(maximum, total, a.weighted * from_a[..., None] + b.weighted * from_b[..., None])


def _finite(maximum: Tensor) -> Tensor:
    """What to subtract: nothing merged with nothing is nothing, not a difference of infinities."""
    return maximum.masked_fill(maximum == -torch.inf, 0)


def _nothing_like(some: Softmax) -> Softmax:
    """The neutral element of `merge`, at one position."""
    one = some.at(slice(0, 1))
    return Softmax(
        torch.full_like(one.maximum, -torch.inf), torch.zeros_like(one.total), torch.zeros_like(one.weighted)
    )


def _combined(combine: Callable[[list[Tensor]], Tensor], *parts: Softmax) -> Softmax:
    return Softmax(*(combine([getattr(part, name) for part in parts]) for name in ("maximum", "total", "weighted")))


def _joined(*parts: Softmax) -> Softmax:
    return _combined(lambda tensors: torch.cat(tensors, dim=2), *parts)


def prefix_scan(tokens: Softmax) -> Softmax:
    """Every position merged with all before it: neighbours into pairs, the pairs scanned, the gaps filled in."""
    return _scan(tokens, reverse=False)


def suffix_scan(tokens: Softmax) -> Softmax:
    """Every position merged with all after it; nothing is flipped in memory."""
    return _scan(tokens, reverse=True)


def _scan(tokens: Softmax, *, reverse: bool) -> Softmax:
    length = tokens.maximum.shape[2]
    if length == 1:
        return tokens
    nothing = _nothing_like(tokens)
    if length % 2:
        tokens = _joined(tokens, nothing)
    even, odd = tokens.at(slice(0, None, 2)), tokens.at(slice(1, None, 2))
    pairs = _scan(merge(even, odd), reverse=reverse)
    if reverse:  # a pair's suffix starts at its even position
        even, odd = pairs, merge(odd, _joined(pairs.at(slice(1, None)), nothing))
    else:  # a pair's prefix ends at its odd position
        even, odd = merge(_joined(nothing, pairs.at(slice(0, -1))), even), pairs
    return _combined(lambda tensors: torch.stack(tensors, dim=3).flatten(2, 3), even, odd).at(slice(0, length))


def prefix_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding: Tensor | None = None,
    *,
    scale: float | None = None,
    before: Softmax | None = None,
) -> Softmax:
    """Attention at every position over the keys up to it, where the score of a key is the same from everywhere.

    query:  `[H, D]`, one learned query per head; or `[B, H, L, D]`, each for its own key only: s_i = scale <q_i, k_i>.
    before: one position, what stood before the first key (the last position of the piece before); nothing if None.

    Returns the triple of every position: `.mean` is the answer, `.at(slice(-1, None))` is what a next piece continues.
    """
    tokens = _tokens(query, key, value, key_padding, scale)
    if before is not None:
        tokens = _joined(merge(before, tokens.at(slice(0, 1))), tokens.at(slice(1, None)))
    return prefix_scan(tokens)


def suffix_attention(
    query: Tensor, key: Tensor, value: Tensor, key_padding: Tensor | None = None, *, scale: float | None = None
) -> Softmax:
    """Attention at every position over the keys from it on; query as in `prefix_attention`."""
    return suffix_scan(_tokens(query, key, value, key_padding, scale))


def per_step_attention(
    query: Tensor, key: Tensor, value: Tensor, key_padding: Tensor | None = None, *, scale: float | None = None
) -> Softmax:
    """Attention of a query of each position, `[B, H, L, D]`, over the keys up to it.

    Scores now depend on both ends, so this is ordinary causal attention, in quadratic work and without a state of fixed
    size; the same triples merge it a block of keys at a time.
    """
    dtype = _check(query, key, value)
    if query.shape != key.shape:
        raise ValueError(f"query {tuple(query.shape)} is not a query of each key {tuple(key.shape)}")
    query = query.to(dtype) * (query.shape[-1] ** -0.5 if scale is None else scale)
    length = key.shape[2]
    position = torch.arange(length, device=key.device)
    found: Softmax | None = None
    for start in range(0, length, KEYS_AT_ONCE):
        block = slice(start, start + KEYS_AT_ONCE)
        scores = query[:, :, start:] @ key[:, :, block].to(dtype).mT  # [B, H, L - start, keys]
        unseen = position[start:, None] < position[block]
        if key_padding is not None:
            unseen = unseen | (key_padding[:, None, None, block] != 0)
        scores = scores.masked_fill(unseen, -torch.inf)
        maximum = scores.amax(-1)
        weights = (scores - _finite(maximum)[..., None]).exp()
        block_found = Softmax(maximum, weights.sum(-1), weights @ value[:, :, block].to(dtype))
        if found is None:
            found = block_found
        else:
            found = _joined(found.at(slice(0, start)), merge(found.at(slice(start, None)), block_found))
    assert found is not None
    return found


def _tokens(query: Tensor, key: Tensor, value: Tensor, key_padding: Tensor | None, scale: float | None) -> Softmax:
    """The triple (s, 1, v) of every key alone; (-inf, 0, 0) where it is padding."""
    dtype = _check(query, key, value)
    if query.shape not in (key.shape, (key.shape[1], key.shape[3])):
        raise ValueError(f"query of key {tuple(key.shape)} is [H, D] or [B, H, L, D], not {tuple(query.shape)}")
    query = query.to(dtype) * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = torch.einsum("hd,bhld->bhl" if query.ndim == 2 else "bhld,bhld->bhl", query, key.to(dtype))
    total, value = torch.ones_like(scores), value.to(dtype)
    if key_padding is not None:
        padding = (key_padding != 0)[:, None].expand_as(scores)
        scores, total = scores.masked_fill(padding, -torch.inf), total.masked_fill(padding, 0)
        value = value.masked_fill(padding[..., None], 0)
    return Softmax(scores, total, value)


def _check(query: Tensor, key: Tensor, value: Tensor) -> torch.dtype:
    if key.ndim != 4 or value.shape[:3] != key.shape[:3] or key.shape[2] == 0:
        raise ValueError(f"key {tuple(key.shape)} and value {tuple(value.shape)} are not [B, H, L >= 1, .]")
    return torch.promote_types(value.dtype, torch.float32)


@dataclass(frozen=True)
class PrefixAttentionConfig:
    """Layers of prefix attention, each after a norm and beside a residual; causal.

    channels: C.
    heads:    H, which divides C.
    layers:   how many.
    """

    channels: int
    heads: int = 8
    layers: int = 2

    def __post_init__(self) -> None:
        if min(self.channels, self.heads, self.layers) < 1 or self.channels % self.heads:
            raise ValueError(f"heads must divide channels, and all be at least 1: {self}")


@dataclass(frozen=True)
class BidirectionalPrefixAttentionConfig(PrefixAttentionConfig):
    """The same, in which every token also sees what comes after it."""


class PrefixAttentionLayer(nn.Module):
    """Aaren: what one learned query per head finds in the tokens up to each token."""

    def __init__(self, config: PrefixAttentionConfig) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(config.heads, config.channels // config.heads))
        self.key_proj = nn.Linear(config.channels, config.channels)
        self.value_proj = nn.Linear(config.channels, config.channels)
        self.out_proj = nn.Linear(config.channels, config.channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`, L >= 1; mask `[B, L]`, 0 where a position is padding. Returns `[B, L, C]`."""
        found = prefix_attention(self.query, *self._heads(x), _padding(mask))
        return self.out_proj(_merged(found, x))

    def step(self, x: Tensor, state: Softmax | None = None) -> tuple[Tensor, Softmax]:
        """The next L >= 1 tokens, `[B, L, C]`; the state is the triple of all before them, `[B, H, 1]`."""
        found = prefix_attention(self.query, *self._heads(x), before=state)
        return self.out_proj(_merged(found, x)), found.at(slice(-1, None))

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        key, value = (project(x).unflatten(-1, (len(self.query), -1)) for project in (self.key_proj, self.value_proj))
        return key.transpose(1, 2), value.transpose(1, 2)


class BidirectionalPrefixAttentionLayer(PrefixAttentionLayer):
    """The same keys and values read up to each token and from it on; both answers go through one output projection."""

    def __init__(self, config: BidirectionalPrefixAttentionConfig) -> None:
        super().__init__(config)
        self.out_proj = nn.Linear(2 * config.channels, config.channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`, L >= 1; mask `[B, L]`, 0 where a position is padding. Returns `[B, L, C]`."""
        key, value = self._heads(x)
        past = prefix_attention(self.query, key, value, _padding(mask))
        future = suffix_attention(self.query, key, value, _padding(mask))
        return self.out_proj(torch.cat([_merged(past, x), _merged(future, x)], dim=-1))


def _padding(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask == 0


def _merged(found: Softmax, x: Tensor) -> Tensor:
    """The means of all heads side by side, `[B, L, C]`, in the dtype of x."""
    return found.mean.transpose(1, 2).flatten(2).to(x.dtype)


class PrefixAttentionEncoder(StreamingResidualEncoder):
    """Prefix attention over all tokens of a video, frame after frame."""

    def __init__(self, config: PrefixAttentionConfig) -> None:
        super().__init__(config.channels, [PrefixAttentionLayer(config) for _ in range(config.layers)])


class BidirectionalPrefixAttentionEncoder(ResidualEncoder):
    """Prefix and suffix attention over all tokens of a video, frame after frame."""

    def __init__(self, config: BidirectionalPrefixAttentionConfig) -> None:
        super().__init__(config.channels, [BidirectionalPrefixAttentionLayer(config) for _ in range(config.layers)])
