"""SqueezeTime beside torchvision's video networks: clips a second on this machine, at equal input."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn
from torchvision.models import video

from tvu.temporal.speed import Timing, median_seconds
from tvu.temporal.squeezetime.fused import fused
from tvu.temporal.squeezetime.network import SqueezeTimeClassifier

PEERS: dict[str, Callable[[], nn.Module]] = {
    "r3d_18": video.r3d_18,
    "mc3_18": video.mc3_18,
    "r2plus1d_18": video.r2plus1d_18,
    "s3d": video.s3d,
    "mvit_v2_s": video.mvit_v2_s,
    "swin3d_t": video.swin3d_t,
}


def measure(device: str = "cpu", *, repeats: int = 1, side: int = 224) -> list[Timing]:
    """One clip of 16 frames of side x side pixels through SqueezeTime, fused and as trained, and through its peers.

    Weights are random: no time depends on them. Every ratio is against the fused network, in the first row: a peer
    with a ratio of 0.2 takes five times as long.
    repeats: of a peer, after one call that is not timed; our own, which are short, are called five times as often.
    """
    clip = torch.randn(1, 3, 16, side, side, device=device)
    size = f"1 x 3 x 16 x {side} x {side} float32"
    trained = SqueezeTimeClassifier().to(device).eval()
    ours = _timed("SqueezeTime, fused", fused(trained), clip, size, 5 * repeats)
    others = [_timed("SqueezeTime", trained, clip, size, 5 * repeats)]
    others += [_timed(name, build().to(device).eval(), clip, size, repeats) for name, build in PEERS.items()]
    return [ours, *(replace(other, ratio=ours.seconds / other.seconds) for other in others)]


@torch.inference_mode()
def _timed(what: str, network: nn.Module, clip: torch.Tensor, size: str, repeats: int) -> Timing:
    device = clip.device.type
    return Timing(what, size, median_seconds(lambda: network(clip), repeats=repeats, device=device))
