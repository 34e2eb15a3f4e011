"""Draws small videos with PyAV: frame n is a gradient that has moved n steps, so that no two look alike."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """uint8 `[H, W, 3]`."""
    x, y = np.arange(width, dtype=np.uint8)[None, :], np.arange(height, dtype=np.uint8)[:, None]
    red, green, blue = x * 2 + np.uint8(number * 5 % 256), y * 3 + np.uint8(number % 256), x + y
    return np.stack(np.broadcast_arrays(red, green, blue + np.uint8(number * 9 % 256)), -1)


def draw_video(
    path: Path, num_frames: int = 100, size: tuple[int, int] = (160, 90), options: Sequence[tuple[str, str]] = ()
) -> Path:
    """H.264 at 25 frames a second with B-frames, a key picture every 50 frames."""
    with av.open(str(path), "w") as container:
        settings = {"preset": "ultrafast", "g": "50", "bf": "3", "sc_threshold": "0", **dict(options)}
        stream = container.add_stream("libx264", rate=25, options=settings)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
