"""The motion path: SqueezeTime over the two seconds around every half second."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.squeezetime.views import normalise
from tvu.video_llm.lite.inputs import MOTION_FPS, STEPS_PER_SECOND

SIDE = 112  # pixels
FRAMES_PER_STEP = MOTION_FPS // STEPS_PER_SECOND
STEPS_PER_SNIPPET = 2  # steps that share a snippet's feature


def snippet_frames(num_steps: int, length: int = 16) -> Tensor:
    """int64 `[S, length]`: frames of the snippet around each half second of a video of `num_steps` steps.

    The video has 2 frames a step; a snippet that would begin before it or end after it sees its first or last frame
    again.
    """
    snippets = -(-num_steps // STEPS_PER_SNIPPET)
    middle = (torch.arange(snippets) * STEPS_PER_SNIPPET + STEPS_PER_SNIPPET / 2) * FRAMES_PER_STEP
    frames = middle[:, None].long() - length // 2 + torch.arange(length)
    return frames.clamp(0, num_steps * FRAMES_PER_STEP - 1)


def snippet_features(videos: Sequence[Tensor], network: SqueezeTime, *, batch_snippets: int = 64) -> list[Tensor]:
    """Videos uint8 `[F, 3, 112, 112]`, 8 frames a second, to features `[T, C]` each, T = F / 2 steps, in the network's
    dtype."""
    dtype = network.conv1.weight.dtype
    steps = [len(frames) // FRAMES_PER_STEP for frames in videos]
    snippets = [
        frames[snippet_frames(count, network.config.num_frames).to(frames.device)]
        for frames, count in zip(videos, steps, strict=True)
    ]
    found = torch.cat(
        [
            network.pooled(normalise(some.transpose(1, 2), dtype).contiguous())
            for some in torch.cat(snippets).split(batch_snippets)
        ]
    ).split([len(each) for each in snippets])
    return [each.repeat_interleave(STEPS_PER_SNIPPET, 0)[:count] for each, count in zip(found, steps, strict=True)]
