"""The motion path: SqueezeTime over the two seconds around every half second."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

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
    found = []
    for some in torch.cat(snippets).split(batch_snippets):
        unit = normalise(some.transpose(1, 2), dtype).contiguous()
        if unit.is_cuda and len(unit) < batch_snippets:  # cuDNN plans anew for every size
            unit = functional.pad(unit, (0, 0, 0, 0, 0, 0, 0, 0, 0, batch_snippets - len(unit)))
        found.append(network.pooled(unit)[: len(some)])
    of_videos = torch.cat(found).split([len(each) for each in snippets])
    return [each.repeat_interleave(STEPS_PER_SNIPPET, 0)[:count] for each, count in zip(of_videos, steps, strict=True)]


class SnippetStream:
    """What `snippet_features` gives for one video of `num_steps` steps, of frames that come in pieces.

    It holds the frames of the snippets that are not complete yet, and of a video of any length no more.
    """

    def __init__(self, network: SqueezeTime, num_steps: int, *, batch_snippets: int = 8) -> None:
        self._network, self._steps, self._batch = network, num_steps, batch_snippets
        self._frames = snippet_frames(num_steps, network.config.num_frames)  # `[S, 16]`
        self._held = torch.empty(0, 3, SIDE, SIDE, dtype=torch.uint8)
        self._first = 0  # number of the first frame that is held
        self._done = 0  # snippets

    def take(self, frames: Tensor) -> Tensor:
        """The next frames uint8 `[n, 3, 112, 112]` of the video: features `[t, C]` of the steps that are known now."""
        self._held = torch.cat([self._held, frames])
        come = self._first + len(self._held)
        known = int((self._frames[:, -1] < come).sum())
        # A few snippets at a time cost more than many together, so they wait for each other until the last have come.
        if come < FRAMES_PER_STEP * self._steps:
            known = self._done + (known - self._done) // self._batch * self._batch
        dtype, device = self._network.conv1.weight.dtype, self._network.conv1.weight.device
        found = [torch.empty(0, self._network.config.num_channels, dtype=dtype, device=device)]
        for some in self._frames[self._done : known].split(self._batch):
            snippets = self._held[some - self._first].to(device)
            with torch.inference_mode():
                found.append(self._network.pooled(normalise(snippets.transpose(1, 2), dtype)))  # channels last
        first_step = self._done * STEPS_PER_SNIPPET
        self._done = known
        if known < len(self._frames):
            needed = int(self._frames[known, 0])
            self._held, self._first = self._held[needed - self._first :], needed
        steps = torch.cat(found).repeat_interleave(STEPS_PER_SNIPPET, 0)
        return steps[: self._steps - first_step]


def smaller(frames: Tensor) -> Tensor:
    """uint8 frames `[F, 3, H, W]` at the size that the network sees: means of the pixels that each pixel covers."""
    wide = frames.half() if frames.is_cuda else frames.float()
    return functional.interpolate(wide, size=(SIDE, SIDE), mode="area").round().to(torch.uint8)
