"""The Mamba block (Gu and Dao 2023, arXiv 2312.00752, section 3.4), under the parameter names of its authors."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.scan.conv import causal_conv_silu
from tvu.temporal.scan.selective_scan import selective_scan


@dataclass(frozen=True)
class MambaConfig:
    """The sizes of a Mamba mixer, under the names of the official constructor.

    d_model:   width of the tokens.
    d_state:   states that every channel keeps.
    d_conv:    taps of the short convolution.
    expand:    inner channels per channel of a token; `d_inner` is their product, rounded down.
    dt_rank:   width of the bottleneck from which step sizes come; None: a sixteenth of d_model, rounded up ("auto").
    bias:      whether the projections into and out of the block have one.
    conv_bias: whether the convolution has one.
    dt_min, dt_max: where step sizes lie at the start of training, log-uniform.

    Raises ValueError if a size is not positive.
    """

    d_model: int
    d_state: int = 16
    d_conv: int = 4
    expand: float = 2
    dt_rank: int | None = None
    bias: bool = False
    conv_bias: bool = True
    dt_min: float = 1e-3
    dt_max: float = 0.1

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("d_model", "d_state", "d_conv", "d_inner", "rank")}
        if any(size < 1 for size in sizes.values()):
            raise ValueError(f"every size of a Mamba block is at least 1, not {sizes}")
        if not 0 < self.dt_min <= self.dt_max:
            raise ValueError(f"step sizes start between 0 < dt_min <= dt_max, not {self.dt_min} and {self.dt_max}")

    @property
    def d_inner(self) -> int:
        return int(self.expand * self.d_model)

    @property
    def rank(self) -> int:
        return math.ceil(self.d_model / 16) if self.dt_rank is None else self.dt_rank


class MambaState(NamedTuple):
    """What a Mamba block carries from one piece of a sequence to the next; the layouts are the official ones.

    conv: `[B, d_inner, d_conv]`, the last inputs of the convolution, oldest first.
    ssm:  `[B, d_inner, d_state]`, the state of the scan, float32 (float64 in a float64 block).
    """

    conv: Tensor
    ssm: Tensor


class Mamba(nn.Module):
    """A token learns from all before it: x, z = in_proj(tokens); x = silu(conv(x)); out_proj(scan(x) silu(z)).

    The step sizes, B and C of the scan are linear in x. Parameter names, shapes and initial values are those of
    `mamba_ssm.modules.mamba_simple.Mamba`.
    """

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.config = config
        self.in_proj = nn.Linear(config.d_model, 2 * config.d_inner, bias=config.bias)
        self.conv1d = short_convolution(config)
        self.x_proj = nn.Linear(config.d_inner, config.rank + 2 * config.d_state, bias=False)
        self.dt_proj = step_projection(config)
        self.A_log = nn.Parameter(initial_A_log(config))
        self.D = nn.Parameter(torch.ones(config.d_inner))
        self.out_proj = nn.Linear(config.d_inner, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x `[B, L, d_model]`, lengths `[B]` real tokens (all L if None). Returns `[B, L, d_model]`.

        Real tokens come first, so padding cannot reach them; with lengths it is zeroed, so that nothing in it (a NaN)
        reaches the gradients of the weights either.
        """
        return self.out_proj(self.mix(x, lengths))

    def mix(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The block up to its output projection: `[B, L, d_inner]`."""
        if lengths is not None:
            x = x.masked_fill(padding(x, lengths), 0)
        return self._advance(x, None)[0]

    def step(self, x: Tensor, state: MambaState | None = None) -> tuple[Tensor, MambaState]:
        """The next L >= 1 tokens, `[B, L, d_model]`, after those that `state` has seen (none: the start).

        Any cut of a sequence into steps gives what one call on the whole gives.
        """
        y, state = self._advance(x, state)
        return self.out_proj(y), state

    def _advance(self, x: Tensor, state: MambaState | None) -> tuple[Tensor, MambaState]:
        inner, gate = self.in_proj(x).chunk(2, dim=-1)  # [B, L, d_inner] each
        conv, ssm = (None, None) if state is None else state
        inner, window = causal_conv_silu(inner, self.conv1d.weight[:, 0], self.conv1d.bias, state=conv)
        parameters = (self.x_proj, self.dt_proj, self.A_log, self.D)
        y, ssm = scan_direction(inner.mT, gate.mT, *parameters, initial_state=ssm)
        return y.transpose(1, 2), MambaState(window, ssm)


def scan_direction(
    x: Tensor,
    gate: Tensor,
    x_proj: nn.Linear,
    dt_proj: nn.Linear,
    A_log: Tensor,
    D: Tensor,
    *,
    initial_state: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The scan of x `[B, d_inner, L]` whose step sizes, B and C are projected from x; gated.

    Returns `[B, d_inner, L]` and the state `[B, d_inner, d_state]`.
    """
    states = A_log.shape[1]
    low, B, C = x_proj(x.transpose(1, 2)).split([dt_proj.in_features, states, states], dim=-1)
    return selective_scan(
        x,
        F.linear(low, dt_proj.weight).transpose(1, 2),
        -torch.exp(A_log.to(torch.promote_types(A_log.dtype, torch.float32))),
        B.transpose(1, 2),
        C.transpose(1, 2),
        D,
        gate,
        dt_proj.bias,
        delta_softplus=True,
        initial_state=initial_state,
        reverse=reverse,
    )


def padding(x: Tensor, lengths: Tensor) -> Tensor:
    """`[B, L, 1]` bool, true where x `[B, L, D]` is beyond `lengths` `[B]`."""
    return (torch.arange(x.shape[1], device=x.device) >= lengths.to(x.device)[:, None])[..., None]


def short_convolution(config: MambaConfig) -> nn.Conv1d:
    """Holds the weights of the short convolution under their official names; `causal_conv_silu` applies them."""
    channels = config.d_inner
    return nn.Conv1d(channels, channels, config.d_conv, groups=channels, bias=config.conv_bias)


def step_projection(config: MambaConfig) -> nn.Linear:
    """From the bottleneck to raw step sizes: softplus of the bias starts log-uniform between dt_min and dt_max."""
    projection = nn.Linear(config.rank, config.d_inner)
    nn.init.uniform_(projection.weight, -(config.rank**-0.5), config.rank**-0.5)
    low, high = math.log(config.dt_min), math.log(config.dt_max)
    dt = torch.exp(torch.empty(config.d_inner).uniform_(low, high)).clamp(min=1e-4)
    with torch.no_grad():
        projection.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
    return projection


def initial_A_log(config: MambaConfig) -> Tensor:
    """`[d_inner, d_state]`: A = -1, -2, ... -d_state in every channel (S4D-real)."""
    return torch.log(torch.arange(1, config.d_state + 1, dtype=torch.float32)).repeat(config.d_inner, 1)
