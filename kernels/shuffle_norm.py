"""Four neighbouring tokens as one wide token, normalised."""

import torch
from torch import Tensor
from torch.nn import functional

from tvu.kernels.dispatch import runs_on_triton


def shuffle_norm(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    """2 x 2 space-to-depth, then LayerNorm over the 4 C channels: the down-sampling before STORM's projector.

    x: `[F, H, W, C]`, floating; weight, bias: `[4 C]`. An odd side is padded with zeros, which take part in the norm as
    they do in VILA. Channels are ordered (dy, dx, c).
    Returns `[F, ceil(H / 2), ceil(W / 2), 4 C]` in the dtype of x; statistics in float32 (float64 for float64).
    """
    if x.ndim != 4 or weight.shape != (4 * x.shape[-1],) or bias.shape != weight.shape:
        raise ValueError(f"x is [F, H, W, C] and the weights are [4 C], not {tuple(x.shape)}, {tuple(weight.shape)}")
    if runs_on_triton(x, weight, bias):
        from tvu.kernels.shuffle_norm_triton import ShuffleNorm

        return ShuffleNorm.apply(x, weight, bias, eps)
    return shuffle_norm_plain(x, weight, bias, eps=eps)


def shuffle_norm_plain(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    """The specification of `shuffle_norm`."""
    frames, height, width, channels = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    padded = functional.pad(x, [0, 0, 0, 2 * columns - width, 0, 2 * rows - height])
    cells = padded.reshape(frames, rows, 2, columns, 2, channels).transpose(2, 3).flatten(3)
    wide = torch.promote_types(x.dtype, torch.float32)
    return functional.layer_norm(cells.to(wide), weight.shape, weight.to(wide), bias.to(wide), eps).to(x.dtype)
