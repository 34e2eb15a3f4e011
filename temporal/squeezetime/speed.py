"""SqueezeTime beside torchvision's video networks: clips a second on this machine, at equal input."""

from collections.abc import Callable, Sequence
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


def measure(device: str = "cpu", *, repeats: int = 1, peers: Sequence[str] = tuple(PEERS)) -> list[Timing]:
    """One clip of 16 frames of 224 x 224 pixels through SqueezeTime, fused and as trained, and through its peers.

    Weights are random: no time depends on them. Every ratio is against the fused network, in the first row: a peer
    with a ratio of 0.2 takes five times as long.
    Where other programs keep the cores busy, networks of many small layers suffer most, since OpenMP's threads spin
    while they wait for each other. OMP_WAIT_POLICY=PASSIVE and GOMP_SPINCOUNT=0 in the environment, or one thread, cost
    a third of the speed on two quiet cores, and save all but a thirtieth of the time on two busy ones.
    repeats: of a peer, after one call that is not timed; our own, which are short, are called five times as often.
    """
    clip = torch.randn(1, 3, 16, 224, 224, device=device)
    size = "1 x 3 x 16 x 224 x 224 float32"
    trained = SqueezeTimeClassifier().to(device).eval()
    ours = _timed("SqueezeTime, fused", fused(trained), clip, size, 5 * repeats)
    others = [_timed("SqueezeTime", trained, clip, size, 5 * repeats)]
    others += [_timed(name, PEERS[name]().to(device).eval(), clip, size, repeats) for name in peers]
    return [ours, *(replace(other, ratio=ours.seconds / other.seconds) for other in others)]


@torch.inference_mode()
def _timed(what: str, network: nn.Module, clip: torch.Tensor, size: str, repeats: int) -> Timing:
    device = clip.device.type
    return Timing(what, size, median_seconds(lambda: network(clip), repeats=repeats, device=device))
