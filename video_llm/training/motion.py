"""The motion network alone: SqueezeTime learns what happens in two seconds of composed videos.

Every snippet gets the tags of the events that it holds: their kind and what is true of them (direction, side, ...).
What is learned is kept; the last layer, which names tags, is not.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tvu.temporal.squeezetime.views import normalise
from tvu.video_llm.lite.inputs import MOTION_FPS, STEPS_PER_SECOND
from tvu.video_llm.lite.motion import FRAMES_PER_STEP, SIDE, STEPS_PER_SNIPPET, snippet_frames
from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.scenes import Event, Scene, Split

SNIPPETS = 24  # of each video
BUSY_SHARE = 0.75  # of them hold an event, where there is one
LONGEST = 20.0  # seconds of a video that snippets are cut from
TAUGHT_SCENES = 1500  # scenes whose tags are counted, to know which there are
LEAST_SHARE = 0.004  # of those scenes; rarer tags are not learned
STILL_FACTS = frozenset({"color", "count"})
SLOW_KINDS = frozenset({"shown"})  # says nothing of motion


def tags_of(event: Event) -> list[str]:
    """`move`, `move direction=left`, ...: what a snippet that holds the event is taught."""
    if event.kind in SLOW_KINDS:
        return []
    told = {name: value for name, value in event.facts.items() if name not in STILL_FACTS}
    return [event.kind, *(f"{event.kind} {name}={value}" for name, value in told.items())]


def known_tags(scenes: Sequence[Scene]) -> list[str]:
    """Tags that occur in enough of the scenes."""
    counts = Counter(tag for scene in scenes for tag in {t for event in scene.events for t in tags_of(event)})
    return sorted(tag for tag, count in counts.items() if count >= LEAST_SHARE * len(scenes))


def snippet_tags(scene: Scene, steps: int, tags: Sequence[str]) -> NDArray[np.float32]:
    """float32 `[S, K]`: whether the snippet around each half second holds half an event, or half is of an event."""
    number = {tag: i for i, tag in enumerate(tags)}
    snippets = -(-steps // STEPS_PER_SNIPPET)
    middles = (np.arange(snippets) * STEPS_PER_SNIPPET + STEPS_PER_SNIPPET / 2) / STEPS_PER_SECOND
    reach = 8 / MOTION_FPS  # seconds to either side
    truth = np.zeros((snippets, len(tags)), np.float32)
    for event in scene.events:
        start, end = event.span.start_seconds, event.span.end_seconds
        shared = np.minimum(middles + reach, end) - np.maximum(middles - reach, start)
        holds = shared >= 0.5 * min(2 * reach, max(end - start, 1e-3))
        for tag in tags_of(event):
            if tag in number:
                truth[holds, number[tag]] = 1.0
    return truth


@dataclass(frozen=True)
class _Drawn:
    """Plans with the snippets to look at in each, and their tags `[V * SNIPPETS, K]`."""

    plans: tuple[Any, ...]
    snippets: NDArray[np.int64]
    tags: NDArray[np.float32]


class _Snippets(IterableDataset[_Drawn]):
    def __init__(self, assets: Any, split: Split, tags: Sequence[str], videos: int, seed: tuple[int, ...]) -> None:
        self.assets, self.split, self.tags, self.videos, self.seed = assets, split, tags, videos, seed

    def __iter__(self) -> Iterator[_Drawn]:
        from dataclasses import replace

        from tvu.video_llm.training.composed import ComposedWorld

        worker = get_worker_info()
        if worker is not None:
            torch.set_num_threads(1)
        world = ComposedWorld(self.assets, self.split)
        number = 0
        while True:
            rng = np.random.default_rng((*self.seed, 0 if worker is None else worker.id, number))
            number += 1
            plans: list[Any] = []
            while len(plans) < self.videos:
                plan = world.draw(rng)
                if plan.scene.seconds <= LONGEST:
                    plans.append(plan)
            snippets, tags = [], []
            for plan in plans:
                truth = snippet_tags(plan.scene, steps_in(plan.scene), self.tags)
                chosen = rng.integers(0, len(truth), SNIPPETS)
                busy = np.flatnonzero(truth.any(axis=1))
                if len(busy):
                    chosen = np.where(rng.random(SNIPPETS) < BUSY_SHARE, rng.choice(busy, SNIPPETS), chosen)
                snippets.append(chosen)
                tags.append(truth[chosen])
            bare = tuple(replace(plan, assets=None) for plan in plans) if worker is not None else tuple(plans)
            yield _Drawn(bare, np.stack(snippets), np.concatenate(tags))


def steps_in(scene: Scene) -> int:
    """Quarter seconds of a scene."""
    return max(1, round(scene.seconds * STEPS_PER_SECOND))


def train_motion(config: TrainConfig, group: Any, log: Callable[[dict[str, Any]], None]) -> None:
    """Trains the motion network of `config.model` and writes `motion.safetensors` into `config.out`."""
    from dataclasses import replace

    from tvu.video_llm.training.assets import Assets
    from tvu.video_llm.training.composed import ComposedWorld, render
    from tvu.video_llm.training.loop import learning_rate, motion_network

    device = group.device
    assets = Assets.load(Path(config.data.assets)) if config.data.assets else Assets.drawn()
    rng = np.random.default_rng(0)
    world = ComposedWorld(assets, "train")
    tags = known_tags([world.draw(rng).scene for _ in range(TAUGHT_SCENES)])
    torch.manual_seed(config.seed)
    network = motion_network(config, device).requires_grad_(True)
    head = nn.Linear(network.config.num_channels, len(tags)).to(device)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.lr, weight_decay=config.weight_decay, fused=device.type == "cuda"
    )
    log({"tags": len(tags)})

    def batches(split: Split, seed: int, workers: int) -> Iterator[_Drawn]:
        drawn = _Snippets(assets, split, tags, config.videos, (config.seed, seed, group.rank))
        if workers == 0:
            return iter(drawn)
        return iter(DataLoader(drawn, batch_size=None, num_workers=workers, prefetch_factor=4))

    def logits(drawn: _Drawn) -> tuple[Tensor, Tensor]:
        plans = [replace(plan, assets=assets) for plan in drawn.plans]
        pixels = render(plans, device, SIDE)
        clips = []
        for row, plan in enumerate(plans):
            frames = snippet_frames(steps_in(plan.scene), network.config.num_frames)[drawn.snippets[row]]
            last = min(pixels.shape[1], steps_in(plan.scene) * FRAMES_PER_STEP) - 1
            clips.append(pixels[row, frames.clamp(max=last).to(device)])
        video = torch.cat(clips).transpose(1, 2)
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            scores = head(network.pooled(normalise(video, torch.float32).contiguous()))
        return scores.float(), torch.from_numpy(drawn.tags).to(device)

    source, started, recent = batches("train", 5, config.workers), time.perf_counter(), 0.0
    step = 0
    while step < config.steps:
        for each in optimizer.param_groups:
            each["lr"] = config.lr * learning_rate(step, config)
        network.train()
        scores, truth = logits(next(source))
        loss = functional.binary_cross_entropy_with_logits(scores, truth, reduction="none").sum(-1).mean()
        loss.backward()
        group.average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        recent += float(loss.detach())
        if step % config.log_every == 0:
            rate = step * config.videos * SNIPPETS * group.size / (time.perf_counter() - started)
            log({"step": step, "loss": round(recent / config.log_every, 4), "snippets_per_s": round(rate)})
            recent = 0.0
        taken = group.of_first(time.perf_counter() - started)
        if config.max_seconds and taken > config.max_seconds:
            break
    if group.rank == 0:
        network.eval()
        found, true = [], []
        with torch.inference_mode():
            held_out = batches("held-out", 6, 0)
            for _ in range(max(1, config.evaluate // config.videos)):
                scores, truth = logits(next(held_out))
                found.append(scores.cpu())
                true.append(truth.cpu())
        log({"held_out_mean_average_precision": round(mean_average_precision(torch.cat(found), torch.cat(true)), 4)})
        out = Path(config.out)
        state = {name: each.cpu().contiguous() for name, each in network.state_dict().items()}
        save_file(state, out / "motion.part")
        (out / "motion.part").rename(out / "motion.safetensors")


def mean_average_precision(scores: Tensor, truth: Tensor) -> float:
    """Mean over tags that occur of the average precision; a tag at random has its own share."""
    precisions = []
    for tag in range(scores.shape[1]):
        right = truth[:, tag][scores[:, tag].argsort(descending=True)]
        if right.any():
            hits = right.cumsum(0)
            precisions.append(float(((hits / torch.arange(1, len(right) + 1)) * right).sum() / right.sum()))
    return float(np.mean(precisions)) if precisions else 0.0
