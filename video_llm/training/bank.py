"""Composed videos that were rendered and looked at once, so that every question about them costs no pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite.inputs import GRID, STEPS_PER_SECOND
from tvu.video_llm.lite.motion import FRAMES_PER_STEP, SIDE, snippet_features
from tvu.video_llm.training.scenes import Scene

if TYPE_CHECKING:
    from tvu.video_llm.training.composed import ComposedWorld


@dataclass(frozen=True)
class Bank:
    """Entries one after the other: slow `[N, 4, 1280]` and motion `[N, M]` float16, starts int `[entries + 1]`."""

    scenes: tuple[Scene, ...]
    slow: Tensor
    motion: Tensor
    starts: tuple[int, ...]

    def entry(self, number: int, steps: int) -> tuple[Tensor, Tensor]:
        """The paths of one entry, repeated or cut to `steps`."""
        first, last = self.starts[number], self.starts[number + 1]
        place = first + torch.arange(steps, device=self.slow.device) % (last - first)
        return self.slow[place], self.motion[place]


class SlowTower:
    """EfficientNet-Lite0's last map as 2 x 2 cells, on any device."""

    def __init__(self, lite0: Path, device: torch.device) -> None:
        import timm
        from safetensors.torch import load_file

        net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        net.load_state_dict(load_file(lite0 / "model.safetensors"))
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        self._net = net.eval().to(device, dtype, memory_format=torch.channels_last)
        self._dtype = dtype

    @torch.inference_mode()
    def __call__(self, frames: Tensor, batch: int = 256) -> Tensor:
        """uint8 `[F, 3, 224, 224]` to float16 `[F, 4, 1280]`."""
        found = []
        for some in frames.split(batch):
            unit = ((some.to(self._dtype) - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)
            # The head is a convolution, a norm and an activation for each place; the mean over places comes last.
            last = self._net.forward_features(unit)
            found.append(functional.adaptive_avg_pool2d(last, GRID).flatten(2).transpose(1, 2).half())
        return torch.cat(found)


@torch.inference_mode()
def build_bank(
    world: "ComposedWorld",
    entries: int,
    tower: SlowTower,
    network: SqueezeTime,
    device: torch.device,
    *,
    seed: Sequence[int],
    longest: float,
    together: int = 8,
    report: Callable[[int], None] = lambda done: None,
) -> Bank:
    """`entries` videos of `world`, the same for the same seed."""
    from tvu.video_llm.training.composed import render

    rng = np.random.default_rng(seed)
    plans: list[Any] = []
    while len(plans) < entries:
        plan = world.draw(rng)
        if plan.scene.seconds <= longest:
            plans.append(plan)
    order = sorted(range(entries), key=lambda i: plans[i].scene.seconds)  # little padding
    network = network.eval()
    slow: list[Tensor] = [torch.empty(0)] * entries
    motion: list[Tensor] = [torch.empty(0)] * entries
    for first in range(0, entries, together):
        some = order[first : first + together]
        frames = render([plans[i] for i in some], device)
        counts = [max(1, round(plans[i].scene.seconds * STEPS_PER_SECOND)) for i in some]
        videos = [_of_steps(frames[row], steps) for row, steps in enumerate(counts)]
        seen = tower(torch.cat([video[::FRAMES_PER_STEP] for video in videos])).split(counts)
        moved = snippet_features([smaller(video) for video in videos], network)
        for i, appearance, movement in zip(some, seen, moved, strict=True):
            slow[i], motion[i] = appearance, movement.half()
        report(first + len(some))
    starts = np.concatenate([[0], np.cumsum([len(each) for each in slow])]).tolist()
    return Bank(tuple(plan.scene for plan in plans), torch.cat(slow), torch.cat(motion), tuple(starts))


def smaller(video: Tensor) -> Tensor:
    """uint8 frames at the size that the motion network sees, means of the pixels that each covers."""
    wide = video.half() if video.is_cuda else video.float()
    return functional.interpolate(wide, size=(SIDE, SIDE), mode="area").round().to(torch.uint8)


def _of_steps(frames: Tensor, steps: int) -> Tensor:
    """So many steps of frames; the last frame stays where there are too few."""
    wanted = torch.arange(steps * FRAMES_PER_STEP, device=frames.device).clamp(max=len(frames) - 1)
    return frames[wanted]
