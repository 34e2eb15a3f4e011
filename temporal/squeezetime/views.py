"""Which pixels the published test protocol looks at, and how its views become one answer.

Everything here is what the published configurations ask of mmaction2 1.x; frames are counted, not timed, so who reads
them takes the time of every frame from the file's clock.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

MEAN = (123.675, 116.28, 103.53)  # of R, G and B in 0..255
STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Protocol:
    """A test protocol: `num_clips` stretches of a video, each cut out of its frames `num_crops` times.

    num_frames, interval: T frames in a clip, every `interval`-th of the video.
    short_side: of the resized frames, pixels; crop_side: of the square crops, at most that.
    num_crops: 1, the centre, or 3 along the longer side, for which crop_side must be short_side.

    Raises ValueError if the numbers do not fit together.
    """

    num_clips: int
    num_crops: int
    short_side: int
    crop_side: int
    num_frames: int = 16
    interval: int = 4

    def __post_init__(self) -> None:
        if min(self.num_clips, self.crop_side, self.num_frames, self.interval) < 1:
            raise ValueError(f"all numbers of a protocol are at least 1: {self}")
        if self.crop_side > self.short_side:
            raise ValueError(f"no crop of {self.crop_side} fits a side of {self.short_side} pixels")
        if self.num_crops not in (1, 3) or (self.num_crops == 3 and self.crop_side != self.short_side):
            raise ValueError("a protocol takes the centre crop, or three of the full short side")

    @property
    def num_views(self) -> int:
        return self.num_clips * self.num_crops


KINETICS_TEST = Protocol(num_clips=10, num_crops=3, short_side=224, crop_side=224)
KINETICS_VALIDATION = Protocol(num_clips=1, num_crops=1, short_side=256, crop_side=224)
HMDB51_TEST = Protocol(num_clips=2, num_crops=3, short_side=286, crop_side=286)
HMDB51_VALIDATION = Protocol(num_clips=2, num_crops=3, short_side=224, crop_side=224)


def clip_indices(num_frames: int, protocol: Protocol) -> NDArray[np.int64]:
    """`[num_clips, T]` int64: which of a video's `num_frames` frames each clip holds.

    Clips start at even steps from the first frame to the last one that leaves room, halves rounded to even; a single
    clip is in the middle. In a video shorter than a clip the count starts again at its first frame.
    """
    if num_frames < 1:
        raise ValueError(f"a video has at least 1 frame, not {num_frames}")
    reach = (protocol.num_frames - 1) * protocol.interval + 1
    room = max(num_frames - reach, 0)
    if protocol.num_clips == 1:
        starts = np.array([room // 2])
    else:
        step = room / (protocol.num_clips - 1)
        starts = np.round(np.arange(protocol.num_clips) * step).astype(np.int64)
    indices = starts[:, None] + np.arange(protocol.num_frames) * protocol.interval
    return (indices % num_frames).astype(np.int64)


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """`(height, width)` in pixels once the shorter of them is `short_side` and the shape is kept."""
    scale = short_side / min(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """uint8 `[F, 3, H, W]` to uint8 `[F, 3, height, width]`, bilinear without anti-aliasing, as OpenCV's default.

    At most one level of 255 away from OpenCV: both round their weights to integers, and not the same way.
    """
    if frames.shape[-2:] == (height, width):
        return frames
    return functional.interpolate(frames, (height, width), mode="bilinear", align_corners=False)


def crop_corners(height: int, width: int, protocol: Protocol) -> list[tuple[int, int]]:
    """`(top, left)` of every crop of a frame, in the published order: first, last, middle along the longer side."""
    side = protocol.crop_side
    down, right = (height - side) // 2, (width - side) // 2
    if protocol.num_crops == 1:
        return [(down, right)]
    return [(0, 0), (2 * down, 2 * right), (down, right)]


def views_of(frames: Tensor, protocol: Protocol) -> Tensor:
    """uint8 `[V, 3, T, S, S]`: every view of the frames of all clips, crop after crop, and in each clip after clip.

    frames: uint8 `[num_clips * T, 3, H, W]`, clip after clip, already resized.
    Raises ValueError if their number or size does not fit the protocol.
    """
    count, _, height, width = frames.shape
    if count != protocol.num_clips * protocol.num_frames or min(height, width) != protocol.short_side:
        raise ValueError(f"{count} frames of {width}x{height} do not fit {protocol}")
    side = protocol.crop_side
    crops = [frames[:, :, top : top + side, left : left + side] for top, left in crop_corners(height, width, protocol)]
    return torch.cat(crops).unflatten(0, (-1, protocol.num_frames)).transpose(1, 2)


def normalise(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """RGB levels 0..255, `[N, 3, T, H, W]`, to what the networks were trained on: `(x - mean) / std` a colour.

    The answer lies in memory as `[N, H, W, 3, T]`, which becomes channels-last without a copy when time is squeezed.
    """
    mean, std = (torch.tensor(values, device=pixels.device).view(3, 1) for values in (MEAN, STD))
    levels = pixels.permute(0, 3, 4, 1, 2).to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    return levels.sub_(mean).div_(std).to(dtype).permute(0, 3, 4, 1, 2)


def mean_probabilities(logits: Tensor) -> Tensor:
    """`[K]` probabilities of a video from the logits of its views `[V, K]`: softmax of each, then their mean."""
    return logits.softmax(-1).mean(0)
