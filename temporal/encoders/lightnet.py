"""LightNet (Qin et al. 2024, "You Only Scan Once", arXiv 2405.21022): a recurrence that adds where others multiply.

Every token adds exp(k_t) v_t^T to the state, and the state is divided by what was added: a running softmax over time,
one per key channel. With z_t = log sum_(s <= t) exp(k_s) this is a gated recurrence whose gates are never above 1:

    H_t = diag(exp(z_(t-1) - z_t)) H_(t-1) + exp(k_t - z_t) v_t^T,    o_t = K^-0.5 silu(q_t)^T H_t
    y_t = W_o (RMSNorm(o_t) silu(W_g x_t))

Without a direction, z over all positions, it is softmax(k)^T v once and one product with q per token: every token sees
the whole video in a single pass, whatever the number of dimensions. Departure: the paper's relative positions (MD-TPE,
MD-LRPE) are left out, as in flash-linear-attention, so this form knows no order unless the features carry it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.encoders.gated_recurrence import gated_recurrence
from tvu.temporal.encoders.residual import ResidualEncoder, StreamingResidualEncoder
from tvu.temporal.scan.conv import causal_conv1d


@dataclass(frozen=True)
class LightNetConfig:
    """One layer, under the names of flash-linear-attention.

    hidden_size:        channels C.
    num_heads:          H; hidden_size // expand_ratio if None.
    expand_ratio:       K, key channels per head; hidden_size // num_heads if None.
    use_short_conv:     a causal depthwise convolution over q, k and v before the recurrence.
    conv_size:          its taps.
    conv_bias:          whether it has a bias.
    gate_low_rank_dim:  width between the two matrices of the output gate.
    elementwise_affine: whether the output norm has a weight.
    norm_eps:           of the output norm. The official layer computes with 1e-6 whatever its own `norm_eps` says.

    Raises ValueError if neither heads nor key width is given, or the heads do not divide the channels.
    """

    hidden_size: int
    num_heads: int | None = None
    expand_ratio: int | None = 128
    use_short_conv: bool = False
    conv_size: int = 4
    conv_bias: bool = False
    gate_low_rank_dim: int = 128
    elementwise_affine: bool = True
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.num_heads is None and self.expand_ratio is None:
            raise ValueError("LightNet needs num_heads or expand_ratio")
        if min(self.hidden_size, self.heads, self.key_channels, self.conv_size, self.gate_low_rank_dim) < 1:
            raise ValueError(f"every size of LightNet is at least 1: {self}")
        if self.hidden_size % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.hidden_size} channels")

    @property
    def heads(self) -> int:
        """H."""
        if self.num_heads is not None:
            return self.num_heads
        assert self.expand_ratio is not None
        return self.hidden_size // self.expand_ratio

    @property
    def key_channels(self) -> int:
        """K, key channels per head."""
        return self.hidden_size // self.heads if self.expand_ratio is None else self.expand_ratio


@dataclass(frozen=True)
class LightNetState:
    """What a layer remembers of the tokens so far, in float32 (float64 if it runs in float64).

    recurrent:      `[B, H, K, V]`, the normalised state H_t.
    log_normaliser: `[B, 1, H, K]`, z_t.
    convolutions:   the last inputs of the short convolutions of q, k and v, `[B, D, conv_size]` each; empty without.
    """

    recurrent: Tensor
    log_normaliser: Tensor
    convolutions: tuple[Tensor, ...]


class _Projections(nn.Module):
    """What both forms share: the weights, under the key names of flash-linear-attention's `LightNetAttention`."""

    def __init__(self, config: LightNetConfig) -> None:
        super().__init__()
        self.config = config
        channels, key_channels = config.hidden_size, config.heads * config.key_channels
        self.q_proj = nn.Linear(channels, key_channels, bias=False)
        self.k_proj = nn.Linear(channels, key_channels, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        if config.use_short_conv:
            for name, width in ("q", key_channels), ("k", key_channels), ("v", channels):
                conv = nn.Conv1d(width, width, config.conv_size, groups=width, bias=config.conv_bias)
                self.add_module(f"{name}_conv1d", conv)
        self.g_proj = nn.Sequential(
            nn.Linear(channels, config.gate_low_rank_dim, bias=False),
            nn.Linear(config.gate_low_rank_dim, channels, bias=False),
        )
        self.g_norm = nn.RMSNorm(channels, eps=config.norm_eps, elementwise_affine=config.elementwise_affine)
        self.o_proj = nn.Linear(channels, channels, bias=False)

    def project(
        self, x: Tensor, mask: Tensor | None, tails: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
        """K^-0.5 silu(q) and k `[B, L, H, K]`, v `[B, L, H, V]`, and the last inputs of the convolutions."""
        projected = [self.q_proj(x), self.k_proj(x), self.v_proj(x)]
        windows = []
        if self.config.use_short_conv:
            for i, name in enumerate("qkv"):
                conv: nn.Conv1d = getattr(self, f"{name}_conv1d")
                seen = projected[i] if mask is None else projected[i].masked_fill(mask[..., None] == 0, 0)
                y, window = causal_conv1d(seen.mT, conv.weight[:, 0], conv.bias, state=tails[i] if tails else None)
                projected[i] = y.mT
                windows.append(window)
        q, k, v = (tensor.unflatten(-1, (self.config.heads, -1)) for tensor in projected)
        q, k, v = (tensor.to(torch.promote_types(x.dtype, torch.float32)) for tensor in (q, k, v))
        if mask is not None:
            padding = mask[..., None, None] == 0
            # Finite, so that padding before the first token gives no difference of infinities; its v is zero anyway.
            k = k.masked_fill(padding, torch.finfo(k.dtype).min / 2)
            v = v.masked_fill(padding, 0)
        return F.silu(q) * q.shape[-1] ** -0.5, k, v, tuple(windows)

    def output(self, o: Tensor, x: Tensor) -> Tensor:
        """o `[B, L, H, V]` and the input of the layer to its output, `[B, L, C]`."""
        return self.o_proj(self.g_norm(o.flatten(2).to(x.dtype)) * F.silu(self.g_proj(x)))


class LightNetLayer(_Projections):
    """The causal layer."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`, L >= 1; mask `[B, L]`, 0 where a position is padding, on any side. Returns `[B, L, C]`."""
        return self.step(x, mask=mask)[0]

    def step(
        self, x: Tensor, state: LightNetState | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, LightNetState]:
        """The next L >= 1 tokens, `[B, L, C]`, after those that `state` remembers.

        Departure: the official layer continues a state exactly only one token at a time; here any number does.
        """
        q, k, v, windows = self.project(x, mask, state.convolutions if state else ())
        z = k.logcumsumexp(1)
        if state:
            z = torch.logaddexp(z, state.log_normaliser)
        before = torch.cat([state.log_normaliser if state else z[:, :1], z[:, :-1]], dim=1)
        recurrent = state.recurrent if state else None
        o, recurrent = gated_recurrence(q, (k - z).exp(), v, before - z, recurrent, scale=1.0)
        return self.output(o, x), LightNetState(recurrent, z[:, -1:], windows)


class GlobalLightNetLayer(_Projections):
    """The layer without a direction, with the same weights: every token sees all of them (the paper's vision form).

    Its last token gives what the causal layer gives there; and it cannot be streamed.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`; mask `[B, L]`, 0 where a position is padding. Returns `[B, L, C]`."""
        q, k, v, _ = self.project(x, mask)
        state = torch.einsum("blhk,blhv->bhkv", k.softmax(1), v)
        return self.output(torch.einsum("blhk,bhkv->blhv", q, state), x)


@dataclass(frozen=True)
class LightNetEncoderConfig:
    """`layers` causal LightNet layers, each after a norm and beside a residual."""

    layer: LightNetConfig
    layers: int = 2

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"a LightNet encoder has at least one layer, not {self.layers}")


@dataclass(frozen=True)
class GlobalLightNetEncoderConfig(LightNetEncoderConfig):
    """The same without a direction."""


class LightNetEncoder(StreamingResidualEncoder):
    """Causal LightNet over all tokens of a video, frame after frame."""

    def __init__(self, config: LightNetEncoderConfig) -> None:
        layers = [LightNetLayer(config.layer) for _ in range(config.layers)]
        super().__init__(config.layer.hidden_size, layers)


class GlobalLightNetEncoder(ResidualEncoder):
    """LightNet in which every token sees the whole video, in one pass."""

    def __init__(self, config: GlobalLightNetEncoderConfig) -> None:
        layers = [GlobalLightNetLayer(config.layer) for _ in range(config.layers)]
        super().__init__(config.layer.hidden_size, layers)
