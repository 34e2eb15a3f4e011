"""A long video in overlapping windows: which frames and texts meet, and how their scores become one matrix."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tvu.temporal.alignment.similarity import MASKED


@dataclass(frozen=True)
class Window:
    """Frames and texts that a model sees together; both ranges have step 1."""

    frames: range
    texts: range


def sliding_windows(num_frames: int, num_texts: int, length: int, hop: int) -> list[Window]:
    """Windows of `length` frames every `hop`, as long as one starts before the last half length; all texts in each.

    The rule of TAN's evaluation (length 64, hop 16), which covers every frame. A video of half a length or less gets
    one window, where the official code has none and so no answer.
    """
    return [
        Window(range(start, min(start + length, num_frames)), range(num_texts))
        for start in range(0, max(num_frames - length // 2, 1), hop)
    ]


def windows_by_time(num_frames: int, mid_frames: Tensor, trusted: Tensor, length: int = 64) -> list[Window]:
    """Sliding windows (hop a quarter) in which each meets only the texts said around it (TAN's evaluation).

    mid_frames: `[S]`, the middle of each text in frames (seconds, at one vector per second).
    trusted:    `[S]` bool: the texts whose times may be looked at. On HTM-Align these are the texts that are not
                alignable: the times of the others are the ground truth.

    A window meets the contiguous texts from the first to the last trusted one whose middle lies in
    `[start - length, start + 2 * length]`, both ends included; none, and the window is left out. The first four windows
    reach back to the first text; of the others, the last four reach on to the last text.
    """
    windows = sliding_windows(num_frames, len(mid_frames), length, length // 4)
    kept = []
    for i, window in enumerate(windows):
        start = window.frames.start
        near = (start - length <= mid_frames) & (mid_frames <= start + 2 * length) & trusted
        found = near.nonzero().flatten().tolist()
        if not found:
            continue
        first, last = found[0], found[-1]
        if i < 4:
            first = 0
        elif i >= len(windows) - 4:
            last = len(mid_frames) - 1
        kept.append(Window(window.frames, range(first, last + 1)))
    return kept


def stitch(
    windows: Sequence[Window], scores: Iterable[Tensor], num_texts: int, num_frames: int, uncovered: float = MASKED
) -> Tensor:
    """`[..., S, T]`: the mean of what the windows say of each text and frame; `uncovered` where none says anything.

    scores: one `[..., s, t]` for each window, asked for one after the other. Raises ValueError without a window.
    """
    total: Tensor | None = None
    for window, score in zip(windows, scores, strict=True):
        if total is None:
            total = score.new_zeros(*score.shape[:-2], num_texts, num_frames)
            count = score.new_zeros(num_texts, num_frames)
        texts, frames = _slice(window.texts), _slice(window.frames)
        total[..., texts, frames] += score
        count[texts, frames] += 1
    if total is None:
        raise ValueError("no window covers the video")
    return torch.where(count > 0, total / count.clamp(min=1), uncovered)


def _slice(indices: range) -> slice:
    return slice(indices.start, indices.stop)
