"""Hydra, a bidirectional mixer on the scan of Mamba-2 (Hwang et al. 2024, section 4), under its official key names."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.scan.mamba2 import decay_rates, initial_dt_bias, zero_padding
from tvu.temporal.scan.norm import GatedRMSNorm
from tvu.temporal.scan.ssd import NO_LIMIT, ssd_scan


class Hydra(nn.Module):
    """The quasi-separable mixer: y = shift(SSD(x)) + reversed shift(SSD(x)) + (x fc_D^T + D) x (equation 4).

    The shift by one token keeps the diagonal out of both scans, so it is free: fc_D gives it. Each direction has its
    own dt, B and C; A, dt_bias, the convolution, the gate and the norm are shared. The convolution is centred.
    Arguments carry the official names and defaults and mean what they mean in `Mamba2`; the norm runs over the whole
    width and before the gate.

    Departure: the reverse direction is scanned in place, where the official code stacks flipped copies along the batch.
    Raises ValueError if heads do not fill d_inner, groups do not divide the heads, or d_conv is even.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        d_conv: int = 7,
        conv_init: float | None = None,
        expand: int = 2,
        headdim: int = 64,
        ngroups: int = 1,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_limit: tuple[float, float] = NO_LIMIT,
        learnable_init_states: bool = False,
        bias: bool = False,
        conv_bias: bool = True,
        chunk_size: int = 256,
    ) -> None:
        super().__init__()
        self.d_inner, self.d_state, self.ngroups = expand * d_model, d_state, ngroups
        if self.d_inner % headdim or (self.d_inner // headdim) % ngroups:
            raise ValueError(f"{self.d_inner} channels are not {ngroups} groups of heads of {headdim}")
        if d_conv % 2 == 0:
            raise ValueError(f"a centred convolution has an odd number of taps, not {d_conv}")
        self.nheads = self.d_inner // headdim
        self.dt_limit = (float(dt_limit[0]), float(dt_limit[1]))
        self.chunk_size = chunk_size

        conv_dim = self.d_inner + 4 * ngroups * d_state
        self.in_proj = nn.Linear(d_model, self.d_inner + conv_dim + 2 * self.nheads, bias=bias)
        self.conv1d = nn.Conv1d(conv_dim, conv_dim, d_conv, padding=d_conv // 2, groups=conv_dim, bias=conv_bias)
        if conv_init is not None:
            nn.init.uniform_(self.conv1d.weight, -conv_init, conv_init)
        self.init_states: nn.Parameter | None = None
        if learnable_init_states:
            self.init_states = nn.Parameter(torch.zeros(self.nheads, headdim, d_state))
        self.dt_bias = nn.Parameter(initial_dt_bias(self.nheads, dt_min, dt_max, dt_init_floor))
        self.A_log = nn.Parameter(torch.zeros(self.nheads))
        self.D = nn.Parameter(torch.ones(self.nheads))
        self.fc_D = nn.Linear(self.d_inner, self.nheads, bias=False)
        self.norm = GatedRMSNorm(self.d_inner, norm_before_gate=True)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`, lengths `[B]` real tokens (all if None). Returns `[B, L, C]`; padding is never read."""
        return self.out_proj(self.mix(x, lengths))

    def mix(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The block up to its output projection: `[B, L, d_inner]`."""
        x = zero_padding(x, lengths)
        z, xBC, dt = self.in_proj(x).split([self.d_inner, self.conv1d.in_channels, 2 * self.nheads], dim=-1)
        xBC = zero_padding(xBC, lengths)  # again: the bias of in_proj would reach real tokens through the convolution
        xBC = F.silu(self.conv1d(xBC.mT).mT)
        x, forward, backward = xBC.split([self.d_inner, *[2 * self.ngroups * self.d_state] * 2], dim=-1)
        dt_forward, dt_backward = dt.chunk(2, dim=-1)
        before = self._scan(x, dt_forward, forward, lengths, reverse=False)
        after = self._scan(x, dt_backward, backward, lengths, reverse=True)
        itself = F.linear(x, self.fc_D.weight, self.D.to(x.dtype))  # [B, L, H]
        y = F.pad(before[:, :-1], (0, 0, 0, 0, 1, 0)) + F.pad(after[:, 1:], (0, 0, 0, 0, 0, 1))
        y = y + itself[..., None] * x.unflatten(-1, (self.nheads, -1))
        return self.norm(y.flatten(2), z)

    def _scan(self, x: Tensor, dt: Tensor, BC: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
        B, C = BC.unflatten(-1, (2, self.ngroups, self.d_state)).unbind(2)
        state = None if self.init_states is None else self.init_states.expand(x.shape[0], -1, -1, -1)
        y, _ = ssd_scan(
            *(x.unflatten(-1, (self.nheads, -1)), dt, decay_rates(self.A_log), B, C),
            dt_bias=self.dt_bias,
            dt_softplus=True,
            dt_limit=self.dt_limit,
            chunk_size=self.chunk_size,
            initial_state=state,
            lengths=lengths,
            reverse=reverse,
        )
        return y
