"""The blocks of Mamba-2 (Dao and Gu 2024, "Transformers are SSMs", section 7), under the official key names.

z, x, B, C, dt = in_proj(u);  x, B, C = silu(conv(x, B, C));  y = SSD(x, dt, A, B, C) + D x;  out_proj(norm(y silu(z)))
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.reduction.means import mean_over_blocks
from tvu.temporal.scan.conv import causal_conv_silu
from tvu.temporal.scan.norm import GatedRMSNorm
from tvu.temporal.scan.ssd import NO_LIMIT, ssd_bidirectional, ssd_scan


class Mamba2State(NamedTuple):
    """What a block keeps of the tokens it has seen, laid out as in the official decoding code.

    conv: `[B, d_ssm + 2 G N, d_conv]`, the last inputs of the convolution.
    ssm:  `[B, H, P, N]`, float32 (float64 for a float64 block).
    """

    conv: Tensor
    ssm: Tensor


@dataclass(frozen=True)
class Mamba2Config:
    """The sizes and settings of a Mamba-2 block, under the names and with the defaults of the official constructor.

    d_model:   channels in and out. expand: inner channels per channel; `d_inner` is their product, rounded down.
    d_state:   N. headdim: P. ngroups: G, how many B and C the heads share.
    d_conv:    taps of the convolution; conv_init: its weights start within +-conv_init (None: as nn.Conv1d).
    d_ssm:     how many of the inner channels are scanned (None: all); the rest are a gated MLP.
    A_init_range: -A starts uniform in it.
    D_has_hdim: a skip weight for each channel instead of each head.
    rmsnorm:   a norm before the output projection; without it y is gated only.
    norm_before_gate: norm(y) silu(z) instead of norm(y silu(z)).
    dt_min, dt_max, dt_init_floor: step sizes start log-uniform in [dt_min, dt_max], and at least dt_init_floor.
    dt_limit:  step sizes are clamped to it.
    learnable_init_states: the state before the first token is a parameter `init_states` `[H, P, N]`, at first zeros.
    bias, conv_bias: whether the two projections and the convolution have one.
    chunk_size: tokens scanned at a time; changes speed, not results.

    Raises ValueError if heads do not fill the scanned channels or groups do not divide the heads.
    """

    d_model: int
    d_state: int = 128
    d_conv: int = 4
    conv_init: float | None = None
    expand: float = 2
    headdim: int = 64
    d_ssm: int | None = None
    ngroups: int = 1
    A_init_range: tuple[float, float] = (1, 16)
    D_has_hdim: bool = False
    rmsnorm: bool = True
    norm_before_gate: bool = False
    dt_min: float = 0.001
    dt_max: float = 0.1
    dt_init_floor: float = 1e-4
    dt_limit: tuple[float, float] = NO_LIMIT
    learnable_init_states: bool = False
    bias: bool = False
    conv_bias: bool = True
    chunk_size: int = 256

    def __post_init__(self) -> None:
        sizes = (self.d_model, self.d_state, self.d_conv, self.headdim, self.ngroups, self.chunk_size, self.d_scanned)
        if min(sizes) < 1:
            raise ValueError(f"every size of a Mamba-2 block is at least 1: {self}")
        if self.d_scanned % self.headdim or self.nheads % self.ngroups or self.d_scanned > self.d_inner:
            raise ValueError(
                f"{self.d_scanned} of {self.d_inner} channels are not {self.ngroups} groups of heads of {self.headdim}"
            )

    @property
    def d_inner(self) -> int:
        return int(self.expand * self.d_model)

    @property
    def d_scanned(self) -> int:
        return self.d_inner if self.d_ssm is None else self.d_ssm

    @property
    def nheads(self) -> int:
        return self.d_scanned // self.headdim

    @property
    def norm_group(self) -> int:
        """Over how many channels the norm takes its mean: those whose heads share B and C."""
        return self.d_scanned // self.ngroups


@dataclass(frozen=True)
class Mamba2SimpleConfig(Mamba2Config):
    """The official `Mamba2Simple`: other defaults, and one mean over the whole width whatever `ngroups`."""

    d_state: int = 64
    headdim: int = 128

    @property
    def norm_group(self) -> int:
        return self.d_scanned


class Mamba2(nn.Module):
    """The Mamba-2 block; given a `Mamba2SimpleConfig`, the official `Mamba2Simple`.

    Departure: the official decoding step ignores dt_limit, so its stream leaves its own forward pass; ours does not.
    """

    def __init__(self, config: Mamba2Config) -> None:
        super().__init__()
        self.config = config
        heads, channels = config.nheads, config.d_scanned + 2 * config.ngroups * config.d_state
        projected = 2 * config.d_inner - config.d_scanned + channels + heads
        self.in_proj = nn.Linear(config.d_model, projected, bias=config.bias)
        self.conv1d = nn.Conv1d(channels, channels, config.d_conv, groups=channels, bias=config.conv_bias)
        if config.conv_init is not None:
            nn.init.uniform_(self.conv1d.weight, -config.conv_init, config.conv_init)
        self.dt_bias = nn.Parameter(initial_dt_bias(heads, config.dt_min, config.dt_max, config.dt_init_floor))
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(*config.A_init_range).log())
        self.D = nn.Parameter(torch.ones(config.d_scanned if config.D_has_hdim else heads))
        self.init_states: nn.Parameter | None = None
        if config.learnable_init_states:
            self.init_states = nn.Parameter(torch.zeros(heads, config.headdim, config.d_state))
        self.norm: GatedRMSNorm | None = None
        if config.rmsnorm:
            self.norm = GatedRMSNorm(config.d_scanned, 1e-5, config.norm_group, config.norm_before_gate)
        self.out_proj = nn.Linear(config.d_inner, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x `[B, L, C]`, lengths `[B]` real tokens (all if None). Returns `[B, L, C]`; padding is never read."""
        return self.out_proj(self.mix(x, lengths))

    def mix(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The block up to its output projection: `[B, L, d_inner]`."""
        return self._mix(zero_padding(x, lengths), None, lengths)[0]

    def mix_and_pool(
        self, x: Tensor, lengths: Tensor, grid: tuple[int, int], *, frames: int = 1, cells: int = 1, every: int = 1
    ) -> Tensor:
        """`mean_over_blocks` of what `mix` gives; where the norm ends the block, what it gives is never written.

        x `[B, T, N, C]`, lengths `[B]` real frames, grid (rows, columns) of N. Returns `[B, T', N', d_inner]`.
        """
        blocks = {"frames": frames, "cells": cells, "every": every}
        flat, tokens = x.flatten(1, 2), lengths * x.shape[2]
        if self.norm is None or self.config.d_inner > self.config.d_scanned:
            mixed = self.mix(flat, tokens).unflatten(1, x.shape[1:3])
            return mean_over_blocks(mixed, lengths, grid, **blocks)
        y, z, _, _ = self._before_norm(zero_padding(flat, tokens), None, tokens)
        y, z = (each.unflatten(1, (x.shape[1], *grid)) for each in (y, z))
        return self.norm.and_pool(y, z, lengths, **blocks).flatten(2, 3)

    def step(self, x: Tensor, state: Mamba2State | None = None) -> tuple[Tensor, Mamba2State]:
        """The next tokens of a stream, x `[B, L, C]` with L >= 1, state as the last call gave it, None at the start.

        Any cut of a sequence into steps gives what one call on the whole gives.
        """
        y, state = self._mix(x, state, None)
        return self.out_proj(y), state

    def _mix(self, x: Tensor, state: Mamba2State | None, lengths: Tensor | None) -> tuple[Tensor, Mamba2State]:
        y, z, mlp, state = self._before_norm(x, state, lengths)
        if self.norm is not None:
            y = self.norm(y, z)
        return (y if mlp is None else torch.cat([mlp, y], dim=-1)), state

    def _before_norm(
        self, x: Tensor, state: Mamba2State | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None, Mamba2State]:
        """What the scan gives, its gate, what the MLP beside it gives (None without one), and the state after."""
        config = self.config
        d_mlp = config.d_inner - config.d_scanned
        widths = [d_mlp, d_mlp, config.d_scanned, self.conv1d.in_channels, config.nheads]
        mlp_gate, mlp, z, xBC, dt = self.in_proj(x).split(widths, dim=-1)
        weight, bias = self.conv1d.weight[:, 0], self.conv1d.bias
        xBC, window = causal_conv_silu(xBC, weight, bias, state=None if state is None else state.conv)
        y, ssm = self._scan(xBC, dt, z, None if state is None else state.ssm, lengths)
        return y, z, F.silu(mlp_gate) * mlp if d_mlp else None, Mamba2State(window, ssm)

    def _scan(
        self, xBC: Tensor, dt: Tensor, z: Tensor, state: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if state is None and self.init_states is not None:
            state = self.init_states.expand(xBC.shape[0], -1, -1, -1)
        y, state = ssd_scan(**self._operands(xBC, dt, z), initial_state=state, lengths=lengths)
        return y.flatten(2), state

    def _operands(self, xBC: Tensor, dt: Tensor, z: Tensor) -> dict[str, Any]:
        """What the scans of `temporal/scan/ssd.py` want of this block."""
        config = self.config
        states = config.ngroups * config.d_state
        x, B, C = xBC.split([config.d_scanned, states, states], dim=-1)
        return {
            "x": x.unflatten(-1, (config.nheads, -1)),
            "dt": dt,
            "A": decay_rates(self.A_log),
            "B": B.unflatten(-1, (config.ngroups, -1)),
            "C": C.unflatten(-1, (config.ngroups, -1)),
            "D": self.D.unflatten(0, (config.nheads, -1)) if config.D_has_hdim else self.D,
            "z": z.unflatten(-1, (config.nheads, -1)) if self.norm is None else None,
            "dt_bias": self.dt_bias,
            "dt_softplus": True,
            "dt_limit": (float(config.dt_limit[0]), float(config.dt_limit[1])),
            "chunk_size": config.chunk_size,
        }


class BidirectionalMamba2(Mamba2):
    """Mamba-2 scanned both ways with everything shared: y = SSD(x) + reversed SSD(x) + D x, gate and norm once.

    The keys are those of `Mamba2`, so a causal block can be turned into a bidirectional one. Nothing is flipped in
    memory, and one matrix C B^T serves both directions. The convolution stays causal, as the shared dt, B and C need
    a single one. There is no stream: `step` raises ValueError, and so do learnable initial states.
    """

    def __init__(self, config: Mamba2Config) -> None:
        if config.learnable_init_states:
            raise ValueError("scanned both ways, no state comes first")
        super().__init__(config)

    def step(self, x: Tensor, state: Mamba2State | None = None) -> tuple[Tensor, Mamba2State]:
        raise ValueError("a block that looks ahead has no stream")

    def _scan(
        self, xBC: Tensor, dt: Tensor, z: Tensor, state: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        y = ssd_bidirectional(**self._operands(xBC, dt, z), lengths=lengths)
        return y.flatten(2), y.new_zeros(())


def decay_rates(A_log: Tensor) -> Tensor:
    """A = -exp(A_log), in float32 at least: half precision would reach -inf."""
    return -A_log.to(torch.promote_types(A_log.dtype, torch.float32)).exp()


def initial_dt_bias(heads: int, dt_min: float, dt_max: float, floor: float) -> Tensor:
    """`[heads]`: softplus of it is log-uniform in [dt_min, dt_max] and at least `floor`."""
    dt = torch.empty(heads).uniform_(math.log(dt_min), math.log(dt_max)).exp().clamp(min=floor)
    return dt + torch.log(-torch.expm1(-dt))


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x `[B, L, C]` with zeros after the first lengths[b] tokens of row b, whatever stood there."""
    if lengths is None:
        return x
    padding = torch.arange(x.shape[1], device=x.device) >= lengths.to(x.device)[:, None]
    return x.masked_fill(padding[..., None], 0)
