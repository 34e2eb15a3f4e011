"""Hydra, a bidirectional mixer on the scan of Mamba-2 (Hwang et al. 2024, section 4), under its official key names."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.scan.mamba2 import decay_rates, initial_dt_bias, zero_padding
from tvu.temporal.scan.norm import GatedRMSNorm
from tvu.temporal.scan.ssd import NO_LIMIT, ssd_scan


@dataclass(frozen=True)
class HydraConfig:
    """The settings of a Hydra mixer, under the official names and with the official defaults.

    They mean what they mean in `Mamba2Config`. Raises ValueError if heads do not fill the inner channels, groups do not
    divide the heads, or d_conv is even: the convolution is centred.
    """

    d_model: int
    d_state: int = 64
    d_conv: int = 7
    conv_init: float | None = None
    expand: float = 2
    headdim: int = 64
    ngroups: int = 1
    dt_min: float = 0.001
    dt_max: float = 0.1
    dt_init_floor: float = 1e-4
    dt_limit: tuple[float, float] = NO_LIMIT
    learnable_init_states: bool = False
    bias: bool = False
    conv_bias: bool = True
    chunk_size: int = 256

    def __post_init__(self) -> None:
        if min(self.d_model, self.d_state, self.headdim, self.ngroups, self.chunk_size, self.d_inner) < 1:
            raise ValueError(f"every size of a Hydra mixer is at least 1: {self}")
        if self.d_inner % self.headdim or self.nheads % self.ngroups:
            raise ValueError(f"{self.d_inner} channels are not {self.ngroups} groups of heads of {self.headdim}")
        if self.d_conv % 2 == 0:
            raise ValueError(f"a centred convolution has an odd number of taps, not {self.d_conv}")

    @property
    def d_inner(self) -> int:
        return int(self.expand * self.d_model)

    @property
    def nheads(self) -> int:
        return self.d_inner // self.headdim


class Hydra(nn.Module):
    """The quasi-separable mixer: y = shift(SSD(x)) + reversed shift(SSD(x)) + (fc_D(x) + D) x.

    The shift by one token keeps a token out of its own scans, so that fc_D alone says how it sees itself. Each
    direction has its own dt, B and C; A, dt_bias, the convolution, the gate and the norm are shared. The norm runs over
    the whole width, before the gate.

    Departure: the reverse direction is scanned in place, where the official code stacks flipped copies along the batch.
    """

    def __init__(self, config: HydraConfig) -> None:
        super().__init__()
        self.config = config
        heads, taps = config.nheads, config.d_conv
        channels = config.d_inner + 4 * config.ngroups * config.d_state
        self.in_proj = nn.Linear(config.d_model, config.d_inner + channels + 2 * heads, bias=config.bias)
        self.conv1d = nn.Conv1d(channels, channels, taps, padding=taps // 2, groups=channels, bias=config.conv_bias)
        if config.conv_init is not None:
            nn.init.uniform_(self.conv1d.weight, -config.conv_init, config.conv_init)
        self.dt_bias = nn.Parameter(initial_dt_bias(heads, config.dt_min, config.dt_max, config.dt_init_floor))
        self.A_log = nn.Parameter(torch.zeros(heads))
        self.D = nn.Parameter(torch.ones(heads))
        self.fc_D = nn.Linear(config.d_inner, heads, bias=False)
        self.init_states: nn.Parameter | None = None
        if config.learnable_init_states:
            self.init_states = nn.Parameter(torch.zeros(heads, config.headdim, config.d_state))
        self.norm = GatedRMSNorm(config.d_inner, norm_before_gate=True)
        self.out_proj = nn.Linear(config.d_inner, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`, lengths `[B]` real tokens (all if None). Returns `[B, L, C]`; padding is never read."""
        return self.out_proj(self.mix(x, lengths))

    def mix(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The block up to its output projection: `[B, L, d_inner]`."""
        config = self.config
        x = zero_padding(x, lengths)
        z, xBC, dt = self.in_proj(x).split([config.d_inner, self.conv1d.in_channels, 2 * config.nheads], dim=-1)
        xBC = zero_padding(xBC, lengths)  # again: the bias of in_proj would reach real tokens through the convolution
        xBC = F.silu(self.conv1d(xBC.mT).mT)
        states = 2 * config.ngroups * config.d_state
        x, forward, backward = xBC.split([config.d_inner, states, states], dim=-1)
        dt_forward, dt_backward = dt.chunk(2, dim=-1)
        before = self._scan(x, dt_forward, forward, lengths, reverse=False)
        after = self._scan(x, dt_backward, backward, lengths, reverse=True)
        itself = F.linear(x, self.fc_D.weight, self.D.to(x.dtype))  # [B, L, H]
        y = F.pad(before[:, :-1], (0, 0, 0, 0, 1, 0)) + F.pad(after[:, 1:], (0, 0, 0, 0, 0, 1))
        y = y + itself[..., None] * x.unflatten(-1, (config.nheads, -1))
        return self.norm(y.flatten(2), z)

    def _scan(self, x: Tensor, dt: Tensor, BC: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
        config = self.config
        B, C = BC.unflatten(-1, (2, config.ngroups, config.d_state)).unbind(2)
        state = None if self.init_states is None else self.init_states.expand(x.shape[0], -1, -1, -1)
        y, _ = ssd_scan(
            *(x.unflatten(-1, (config.nheads, -1)), dt, decay_rates(self.A_log), B, C),
            dt_bias=self.dt_bias,
            dt_softplus=True,
            dt_limit=(float(config.dt_limit[0]), float(config.dt_limit[1])),
            chunk_size=config.chunk_size,
            initial_state=state,
            lengths=lengths,
            reverse=reverse,
        )
        return y
