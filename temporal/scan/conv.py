"""The short convolution that stands before a scan."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tvu.kernels import causal_conv as kernels


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, state: Tensor | None = None, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Depthwise convolution in which a position sees itself and the K - 1 before it.

    y_i = bias + sum_k weight_(K-1-k) x_(i-k), and with `reverse` x_(i+k) in place of x_(i-k): what flipping, convolving
    and flipping back gives, without moving memory.

    x:       `[B, D, L]`, L >= 1. Fastest on a CPU as the transposed view of a `[B, L, D]` tensor.
    weight:  `[D, K]`, the last tap for the position itself; bias `[D]`. Both are cast to the dtype of x.
    state:   the inputs before x, `[B, D, K - 1]`, or the window that the piece before returned; zeros if None. With
             `reverse` the inputs after x, or the window of the piece after.

    Returns y as x, and the last K inputs `[B, D, K]` (with `reverse` the first K), state included and zeros where there
    were none: the layout in which the official decoding code keeps them. No activation.
    Raises ValueError for an empty sequence or a state of another shape.
    """
    batch, channels, length = x.shape
    taps = weight.shape[-1]
    if length == 0:
        raise ValueError("a convolution needs at least one position")
    if state is not None and (state.shape[:-1] != x.shape[:-1] or state.shape[-1] not in (taps - 1, taps)):
        raise ValueError(f"the state of x {tuple(x.shape)} under {taps} taps is not {tuple(state.shape)}")

    kernel = (weight.flip(-1) if reverse else weight).to(x.dtype)[:, None, None]  # [D, 1, 1, K]
    bias = None if bias is None else bias.to(x.dtype)
    # As an image of one row: the 2-D convolution takes channels-last memory as it is, the 1-D one copies it.
    if state is None:
        y = F.conv2d(x[:, :, None], kernel, bias, padding=(0, taps - 1), groups=channels)[:, :, 0]
        y = y[..., taps - 1 :] if reverse else y[..., :length]
        seen = x.new_zeros(batch, channels, taps)
    else:
        seen = state.to(x.dtype)
        reach = [x, seen[..., : taps - 1]] if reverse else [seen[..., seen.shape[-1] - (taps - 1) :], x]
        y = F.conv2d(torch.cat(reach, dim=-1)[:, :, None], kernel, bias, groups=channels)[:, :, 0]
    if reverse:
        return y, torch.cat([x[..., :taps], seen], dim=-1)[..., :taps]
    return y, torch.cat([seen, x[..., -taps:]], dim=-1)[..., -taps:]


def causal_conv_silu(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, state: Tensor | None = None, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """silu of `causal_conv1d`, and the same window, for x `[B, L, D]`; returns y as x, in one pass on CUDA."""
    taps = weight.shape[-1]
    if state is None and x.shape[1] and kernels.causal_conv_runs_on_triton(x, weight, bias):
        missing = max(0, taps - x.shape[1])
        window = F.pad(x[:, :taps], (0, 0, 0, missing)) if reverse else F.pad(x[:, -taps:], (0, 0, missing, 0))
        return kernels.causal_conv_silu(x, weight, bias, reverse=reverse), window.mT
    y, window = causal_conv1d(x.mT, weight, bias, state=state, reverse=reverse)
    return F.silu(y.mT), window
