"""Collects pictures in the reader process and sends them in batches of bounded size."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.media.limits import MAX_BATCH_BYTES
from tvu.video_llm.media.wire import Message

MAX_THUMBNAILS = 512  # sent even where no wanted picture came meanwhile


class BatchSender:
    """Sends `batch` messages: `wanted` and `shown` int64 `[T]` ticks asked for and delivered, `pixels` uint8 `[T, H,
    W, 3]`.

    With them go `thumbnails` uint8 `[K, h, w, 3]` and `thumbnail_ticks` int64 `[K]` of all that was decoded meanwhile.
    """

    def __init__(self, send: Callable[[Message], None], height: int, width: int, batch_frames: int) -> None:
        self._send = send
        room = max(1, min(batch_frames, MAX_BATCH_BYTES // (height * width * 3)))
        self._pixels: NDArray[np.uint8] = np.empty((room, height, width, 3), np.uint8)
        self._ticks: list[tuple[int, int]] = []
        self._thumbnails: list[NDArray[np.uint8]] = []
        self._thumbnail_ticks: list[int] = []

    def add(self, wanted: int, shown: int, rgb: NDArray[np.uint8]) -> None:
        """One picture that was asked for, `[H, W, 3]`; it is copied."""
        self._pixels[len(self._ticks)] = rgb
        self._ticks.append((wanted, shown))
        if len(self._ticks) == len(self._pixels):
            self.flush()

    def add_thumbnail(self, tick: int, thumbnail: NDArray[np.uint8]) -> None:
        """A tiny picture, `[h, w, 3]`, of any decoded frame; all of one size."""
        self._thumbnails.append(thumbnail)
        self._thumbnail_ticks.append(tick)
        if len(self._thumbnails) >= MAX_THUMBNAILS:
            self.flush()

    def flush(self) -> None:
        """Send what is there, if anything is."""
        if not self._ticks and not self._thumbnails:
            return
        ticks = np.array(self._ticks, np.int64).reshape(-1, 2)
        thumbnails = np.stack(self._thumbnails) if self._thumbnails else np.empty((0, 1, 1, 3), np.uint8)
        arrays: dict[str, NDArray[Any]] = {
            "wanted": ticks[:, 0],
            "shown": ticks[:, 1],
            "pixels": self._pixels[: len(ticks)],
            "thumbnails": thumbnails,
            "thumbnail_ticks": np.array(self._thumbnail_ticks, np.int64),
        }
        self._send(Message("batch", arrays=arrays))
        self._ticks, self._thumbnails, self._thumbnail_ticks = [], [], []
