"""SqueezeTime for answering only: batch norms folded into convolutions, channels last in memory."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tvu.temporal.squeezetime.block import BasicBlock, Bottleneck, ChannelTime
from tvu.temporal.squeezetime.network import SqueezeTime, SqueezeTimeClassifier

Network = TypeVar("Network", SqueezeTime, SqueezeTimeClassifier)


@torch.no_grad()
def fused(network: Network) -> Network:
    """A copy of `network` in `eval()` that gives the same numbers to rounding (1e-5 of the largest) in less time.

    Every batch norm becomes part of the convolution before it, and that after a channel-time module part of both its
    branches; the copy cannot be trained, and its state dict is no longer the published one.
    """
    copy = deepcopy(network).eval()
    for module in list(copy.modules()):
        if isinstance(module, nn.Sequential):
            for before, after in zip(range(len(module)), range(1, len(module)), strict=False):
                _fold(module, str(before), str(after))
        elif isinstance(module, SqueezeTime | BasicBlock | Bottleneck):
            for number in (1, 2, 3):
                _fold(module, f"conv{number}", f"bn{number}")
    return copy.requires_grad_(False).to(memory_format=torch.channels_last)


def _fold(parent: nn.Module, before: str, after: str) -> None:
    """Fold the batch norm `after` of `parent` into what stands `before` it, where the two are such a pair."""
    source, norm = getattr(parent, before, None), getattr(parent, after, None)
    if not isinstance(norm, nn.BatchNorm2d):
        return
    if isinstance(source, nn.Conv2d):
        setattr(parent, before, fuse_conv_bn_eval(source, norm))
    elif isinstance(source, ChannelTime):
        # BN(f + a * b) = BN(f) + (scale * a) * b
        source.temporal_conv = fuse_conv_bn_eval(source.temporal_conv, norm)
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        short = source.spatial_conv.short_conv
        short.weight.mul_(scale[:, None, None, None])
        assert short.bias is not None
        short.bias.mul_(scale)
    else:
        return
    setattr(parent, after, nn.Identity())
