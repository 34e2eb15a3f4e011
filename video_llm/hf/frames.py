"""Frames for a processor of transformers: the pictures of our clock, with the times that it gives them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tvu.temporal.reduction.changed import KeepChanged
from tvu.temporal.types import Span, VisualTokens
from tvu.video_llm.frame_features import Seen, spans_of
from tvu.video_llm.types import FrameBatch

THUMBNAIL = 16  # pixels on a side of what frames are compared by
MILLISECONDS = 1000


@dataclass(frozen=True, eq=False)
class Look(Seen):
    """A stretch of a file as a model of transformers gets it.

    tokens: thumbnails of the frames that stay, `[1, T, 1, C]`, with the span of each: what they are compared by.
    pixels: uint8 `[T, 3, H, W]` of the same frames.
    dropped: how many frames were left out, because they were like the one before.
    apart:  seconds from one look to the next.
    """

    pixels: NDArray[np.uint8] | None = None
    dropped: int = 0
    apart: float = 1.0

    @property
    def relative_seconds(self) -> NDArray[np.float64]:
        """float64 `[T]`, when each frame begins to be seen, from the start of the part: what the model is told."""
        return np.array(self.frame_seconds) - self.part.start_seconds


def look_at(batches: Iterator[FrameBatch], part: Span, apart: float, dropped: float) -> Look:
    """Decode, and leave out the share `dropped` of the frames, those that changed least."""
    read = list(batches)
    pixels = np.ascontiguousarray(np.concatenate([batch.pixels[0] for batch in read]))
    spans = spans_of(np.concatenate([batch.pts_seconds[0] for batch in read]), part)
    tokens = VisualTokens.from_frames(thumbnails(pixels)[None, :, None], spans[None], (1, 1))
    kept = KeepChanged(dropped)(tokens) if dropped else tokens
    stays = np.isin(spans[:, 0].numpy(), kept.spans[0, :, 0].numpy())
    return Look(part, kept, None, pixels[stays], int((~stays).sum()), apart)


def thumbnails(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """float32 `[T, C]` of `[T, 3, H, W]`: small pictures without their mean, for a cosine that tells them apart."""
    small = [torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(p).float(), THUMBNAIL).flatten() for p in pixels]
    stacked = torch.stack(small)
    return stacked - stacked.mean(dim=1, keepdim=True)


def shared_steps(seconds: NDArray[np.float64], size: int, apart: float) -> NDArray[np.int64]:
    """Which frames to hand over where `size` of them become one step of time, int64 `[T']`, T' a multiple of `size`.

    seconds: float64 `[T]`, increasing. Frames are taken together in their order; one that is followed by a gap of more
    than 1.5 times `apart`, or by nothing, fills its step alone: two pictures that lie far apart have no common time.
    """
    order: list[int] = []
    for number in range(len(seconds)):
        if len(order) % size and seconds[number] - seconds[number - 1] > 1.5 * apart + 1e-6:
            order += [order[-1]] * (-len(order) % size)
        order.append(number)
    order += [order[-1]] * (-len(order) % size)
    return np.array(order)


def step_seconds(seconds: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """When each step of `size` frames is: the middle of its first and its last frame, as Qwen3-VL's processor tells."""
    steps = seconds.reshape(-1, size)
    return (steps[:, 0] + steps[:, -1]) / 2


def metadata_of(seconds: NDArray[np.float64], duration: float, *, whole: bool = False) -> dict[str, Any]:
    """What a processor is told of its frames: a thousand pictures a second, each numbered with its millisecond.

    So `index / fps` is the time itself, whatever the frame rate of the file. `total_num_frames` is such that the mean
    rate that processors make of it is that of these frames.
    seconds: float64 `[T]`, from the start of the part; whole: rounded, for a processor that cuts them to whole seconds.
    """
    told = np.round(seconds) if whole else seconds
    indices = np.round(told * MILLISECONDS).astype(int).tolist()
    gap = float(np.diff(seconds).mean()) if len(seconds) > 1 else duration
    total = max(1, round(len(seconds) * max(gap, 1 / MILLISECONDS) * MILLISECONDS))
    return {
        "fps": float(MILLISECONDS),
        "frames_indices": indices,
        "total_num_frames": total,
        "duration": float(round(duration)) if whole else duration,
    }
