"""Composed videos that were rendered and looked at once, so that every question about them costs no pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite.inputs import GRID, STEPS_PER_SECOND
from tvu.video_llm.lite.motion import FRAMES_PER_STEP, smaller, snippet_features
from tvu.video_llm.training.scenes import Scene

if TYPE_CHECKING:
    from tvu.video_llm.training.composed import ComposedWorld
    from tvu.video_llm.training.skeletons import SkeletonPlan


@dataclass(frozen=True)
class Bank:
    """Entries one after the other: slow `[N, 4, 1280]` and motion `[N, M]` float16, starts int `[entries + 1]`.

    bodies: the plan of the drawn person whom an entry is about, None where it is about none.
    """

    scenes: tuple[Scene, ...]
    bodies: tuple["SkeletonPlan | None", ...]
    slow: Tensor
    motion: Tensor
    starts: tuple[int, ...]

    def places(self, number: int, steps: int) -> NDArray[np.int64]:
        """Rows of one entry, repeated or cut to `steps`."""
        first, last = self.starts[number], self.starts[number + 1]
        return first + np.arange(steps) % (last - first)


def joined(banks: Sequence[Bank]) -> Bank:
    """Entries of some banks, one bank after the other."""
    if len(banks) == 1:
        return banks[0]
    firsts = np.cumsum([0, *(bank.starts[-1] for bank in banks)]).tolist()
    starts = [first + start for first, bank in zip(firsts, banks, strict=False) for start in bank.starts[:-1]]
    return Bank(
        tuple(scene for bank in banks for scene in bank.scenes),
        tuple(body for bank in banks for body in bank.bodies),
        torch.cat([bank.slow for bank in banks]),
        torch.cat([bank.motion for bank in banks]),
        (*starts, firsts[-1]),
    )


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
            if unit.is_cuda and len(unit) < batch:  # cuDNN plans anew for every size, which takes longer than a batch
                unit = functional.pad(unit, (0, 0, 0, 0, 0, 0, 0, batch - len(unit)))
            # The head is a convolution, a norm and an activation for each place; the mean over places comes last.
            last = self._net.forward_features(unit)[: len(some)]
            found.append(functional.adaptive_avg_pool2d(last, GRID).flatten(2).transpose(1, 2).half())
        return torch.cat(found)


class _Plans(IterableDataset[Any]):
    """Plans 0 .. entries - 1 of a world, dealt out to processes; each is drawn from its own number."""

    def __init__(self, world: "ComposedWorld", entries: int, seed: Sequence[int], longest: float) -> None:
        self.world, self.entries, self.seed, self.longest = world, entries, tuple(seed), longest

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        worker = get_worker_info()
        first, every = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number in range(first, self.entries, every):
            rng = np.random.default_rng((*self.seed, number))
            plan = self.world.draw(rng)
            while plan.scene.seconds > self.longest:
                plan = self.world.draw(rng)
            yield number, replace(plan, assets=None)  # type: ignore[arg-type]  # sent to another process


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
    workers: int = 0,
) -> Bank:
    """`entries` videos of `world`, the same for the same seed. workers: processes that draw them."""
    from tvu.video_llm.training.composed import render

    network = network.eval()
    scenes: list[Any] = [None] * entries
    bodies: list[Any] = [None] * entries
    slow: list[Tensor] = [torch.empty(0)] * entries
    motion: list[Tensor] = [torch.empty(0)] * entries
    drawn = iter(DataLoader(_Plans(world, entries, seed, longest), batch_size=None, num_workers=workers))
    while many := list(islice(drawn, 32 * together)):
        by_length = sorted(many, key=lambda each: each[1].scene.seconds)  # little padding
        for first in range(0, len(by_length), together):
            some = by_length[first : first + together]
            plans = [replace(plan, assets=world.assets) for _, plan in some]
            frames = render(plans, device)
            counts = [max(1, round(plan.scene.seconds * STEPS_PER_SECOND)) for plan in plans]
            videos = [_of_steps(frames[row], steps) for row, steps in enumerate(counts)]
            seen = tower(torch.cat([video[::FRAMES_PER_STEP] for video in videos])).split(counts)
            moved = snippet_features([smaller(video) for video in videos], network)
            for (number, plan), appearance, movement in zip(some, seen, moved, strict=True):
                scenes[number], bodies[number] = plan.scene, plan.skeleton
                slow[number], motion[number] = appearance, movement.half()
    starts = np.concatenate([[0], np.cumsum([len(each) for each in slow])]).tolist()
    return Bank(tuple(scenes), tuple(bodies), torch.cat(slow), torch.cat(motion), tuple(starts))


def _of_steps(frames: Tensor, steps: int) -> Tensor:
    """So many steps of frames; the last frame stays where there are too few."""
    wanted = torch.arange(steps * FRAMES_PER_STEP, device=frames.device).clamp(max=len(frames) - 1)
    return frames[wanted]
