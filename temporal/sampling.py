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


def lita_frame_indices(num_frames: int, count: int = 100) -> NDArray[np.int64]:
    """`[count]` int64: the frames that LITA looks at in a video of `num_frames` frames.

    Evenly from the first frame to the last, rounded half to even; a frame comes twice where there are fewer than
    `count`. Raises ValueError if either number is below 1.
    """
    _check_counts(num_frames, count)
    return np.round(np.linspace(0, num_frames - 1, count)).astype(np.int64)


def vtg_llm_frame_indices(num_frames: int, max_count: int = 96) -> NDArray[np.int64]:
    """`[T]` int64, T = min(max_count, num_frames): the frames that VTG-LLM looks at when it is evaluated.

    The left edges of T equal slots, cut to whole frames, so the first frame is always there and the last one seldom.
    Raises ValueError if either number is below 1.
    """
    _check_counts(num_frames, max_count)
    return np.arange(0, num_frames, num_frames / min(max_count, num_frames)).astype(np.int64)


def videochat_t_frame_indices(num_frames: int, count: int = 128) -> NDArray[np.int64]:
    """`[count]` int64: the frames that VideoChat-T looks at when it is evaluated.

    The video without its last frame is cut in `count` segments; frame i is half a segment, cut to whole frames, plus i
    segments, rounded half to even. Raises ValueError if either number is below 1.
    """
    _check_counts(num_frames, count)
    segment = (num_frames - 1) / count
    return int(segment / 2) + np.round(segment * np.arange(count)).astype(np.int64)


def _check_counts(num_frames: int, count: int) -> None:
    if num_frames < 1 or count < 1:
        raise ValueError(f"a video has at least one frame and one is looked at, not {num_frames} and {count}")
