"""Fixed sine and cosine positions of a vision tower, resized to another number of frames (UMT, used by VideoChat-T)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def sinusoid_table(num_positions: int, channels: int, base: float = 10_000.0) -> Tensor:
    """Sines on even channels and cosines on odd ones (Vaswani et al. 2017, section 3.5).

    Returns `[num_positions, channels]` float32, computed in float64.
    """
    channel = torch.arange(channels, dtype=torch.float64)
    angles = torch.arange(num_positions, dtype=torch.float64)[:, None] / base ** (2 * (channel // 2) / channels)
    return torch.where(channel % 2 == 0, angles.sin(), angles.cos()).float()


def resize_in_time(table: Tensor, from_frames: int, to_frames: int) -> Tensor:
    """A table of `from_frames` frames, frame-major `[from_frames * P, C]`, for `to_frames`: `[to_frames * P, C]`.

    Each patch is interpolated linearly between its frames, frame centres aligned (not the corners). Raises ValueError
    if the rows do not fall into `from_frames` frames.
    """
    if table.shape[0] % from_frames:
        raise ValueError(f"{table.shape[0]} positions are not {from_frames} frames of the same size")
    by_frame = table.unflatten(0, (from_frames, -1)).permute(1, 2, 0)  # [P, C, from_frames]
    resized = F.interpolate(by_frame, size=to_frames, mode="linear", align_corners=False)
    return resized.permute(2, 0, 1).flatten(0, 1)
