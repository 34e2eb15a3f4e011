"""Which times to look at."""

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span


def times_at_fps(span: Span, fps: float) -> NDArray[np.float64]:
    """`[T]` float64 seconds, `fps` a second, each in the middle of its 1 / fps slot; never empty.

    The middle of a slot, not its edge: an edge is often the exact start of a frame, where rounding picks the neighbour.
    """
    if fps <= 0:
        raise ValueError(f"fps must be positive, not {fps}")
    count = max(1, int(np.floor(span.seconds * fps + 1e-6)))
    if count == 1:
        return np.array([span.start_seconds + min(span.seconds, 1 / fps) / 2])
    return span.start_seconds + (np.arange(count, dtype=np.float64) + 0.5) / fps


def times_evenly(span: Span, num_frames: int) -> NDArray[np.float64]:
    """`[num_frames]` float64 seconds: the middles of `num_frames` equal slots."""
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, not {num_frames}")
    return span.start_seconds + span.seconds * (np.arange(num_frames, dtype=np.float64) + 0.5) / num_frames
