"""Mamba looking both ways: the mixers of Vim (Zhu et al. 2024, arXiv 2401.09417, algorithm 1) and VideoMamba.

The backward direction is a scan and a convolution in place, from the last real token to the first: no sequence is
flipped. A gate is shared by the directions, so gating each and adding is gating the sum.
"""

import torch
from torch import Tensor, nn

from tvu.temporal.scan.conv import causal_conv_silu
from tvu.temporal.scan.mamba import (
    MambaConfig,
    initial_A_log,
    padding,
    scan_direction,
    short_convolution,
    step_projection,
)


class BidirectionalMamba(nn.Module):
    """Both directions share the projections into and out of the block; all else is there twice, once with `_b`.

    out_proj(forward + backward), as in VideoMamba and in Vim ("v2"). Parameter names and shapes are theirs; the initial
    step sizes of the backward direction are spread like the forward ones, where theirs are those of a plain Linear.

    mean:        halve the sum of the directions, as the published Vim models do (`if_divide_out`).
    layer_scale: what the weights of the output `gamma` `[d_model]` start as (`init_layer_scale`); None: no weights.
    """

    def __init__(self, config: MambaConfig, *, mean: bool = False, layer_scale: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.mean = mean
        self.in_proj = nn.Linear(config.d_model, 2 * config.d_inner, bias=config.bias)
        self.conv1d, self.conv1d_b = short_convolution(config), short_convolution(config)
        self.x_proj, self.x_proj_b = (
            nn.Linear(config.d_inner, config.rank + 2 * config.d_state, bias=False) for _ in range(2)
        )
        self.dt_proj, self.dt_proj_b = step_projection(config), step_projection(config)
        self.A_log, self.A_b_log = (nn.Parameter(initial_A_log(config)) for _ in range(2))
        self.D, self.D_b = (nn.Parameter(torch.ones(config.d_inner)) for _ in range(2))
        self.out_proj = nn.Linear(config.d_inner, config.d_model, bias=config.bias)
        self.gamma = _layer_scale(config, layer_scale)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x `[B, L, d_model]`, lengths `[B]` real tokens (all L if None). Returns `[B, L, d_model]`.

        Every row of a ragged batch is what it is alone; what the padding becomes means nothing.
        """
        return _scaled(self.out_proj(self.mix(x, lengths)), self.gamma)

    def mix(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The block up to its output projection: `[B, L, d_inner]`."""
        inner, gate, pad = _project_in(self.in_proj, x, lengths)
        forward = _convolve(inner, self.conv1d, pad)
        backward = _convolve(inner, self.conv1d_b, pad, reverse=True)
        y, _ = scan_direction(forward, gate, self.x_proj, self.dt_proj, self.A_log, self.D)
        y_b, _ = scan_direction(backward, gate, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b, reverse=True)
        y = (y + y_b).transpose(1, 2)
        return y / 2 if self.mean else y


class SharedBidirectionalMamba(nn.Module):
    """The first Vim mixer ("v1"): the directions share everything but A, one convolution in forward order included.

    The skip D therefore counts twice. `layer_scale` as in `BidirectionalMamba`.
    """

    def __init__(self, config: MambaConfig, *, layer_scale: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.in_proj = nn.Linear(config.d_model, 2 * config.d_inner, bias=config.bias)
        self.conv1d = short_convolution(config)
        self.x_proj = nn.Linear(config.d_inner, config.rank + 2 * config.d_state, bias=False)
        self.dt_proj = step_projection(config)
        self.A_log, self.A_b_log = (nn.Parameter(initial_A_log(config)) for _ in range(2))
        self.D = nn.Parameter(torch.ones(config.d_inner))
        self.out_proj = nn.Linear(config.d_inner, config.d_model, bias=config.bias)
        self.gamma = _layer_scale(config, layer_scale)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As `BidirectionalMamba.forward`."""
        inner, gate, pad = _project_in(self.in_proj, x, lengths)
        inner = _convolve(inner, self.conv1d, pad)
        y, _ = scan_direction(inner, gate, self.x_proj, self.dt_proj, self.A_log, self.D)
        y_b, _ = scan_direction(inner, gate, self.x_proj, self.dt_proj, self.A_b_log, self.D, reverse=True)
        return _scaled(self.out_proj((y + y_b).transpose(1, 2)), self.gamma)


def _project_in(in_proj: nn.Linear, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inner channels and gate `[B, d_inner, L]`, and where padding is, `[B, 1, L]` bool."""
    if lengths is None:
        inner, gate = in_proj(x).transpose(1, 2).chunk(2, dim=1)
        return inner, gate, None
    pad = padding(x, lengths)
    inner, gate = in_proj(x.masked_fill(pad, 0)).transpose(1, 2).chunk(2, dim=1)
    pad = pad.transpose(1, 2)
    return inner.masked_fill(pad, 0), gate, pad


def _convolve(x: Tensor, conv: nn.Conv1d, pad: Tensor | None, *, reverse: bool = False) -> Tensor:
    """Activated, and zero in the padding: a scan that comes from there starts with an empty state."""
    x = causal_conv_silu(x.mT, conv.weight[:, 0], conv.bias, reverse=reverse)[0].mT
    return x if pad is None else x.masked_fill(pad, 0)


def _layer_scale(config: MambaConfig, start: float | None) -> nn.Parameter | None:
    return None if start is None else nn.Parameter(torch.full((config.d_model,), start))


def _scaled(x: Tensor, gamma: Tensor | None) -> Tensor:
    return x if gamma is None else x * gamma
