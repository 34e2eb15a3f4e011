"""Frames brought to the square that a vision tower was trained on."""

import numpy as np
from PIL import Image

from tvu.video_llm.encode import Pixels

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the source


def squashed_bicubic(pixels: Pixels, side: int) -> Pixels:
    """The whole frame at `side` x `side`, its shape given up: uint8 `[T, 3, H, W]` to `[T, 3, side, side]`."""
    return _bicubic(pixels, side, None)


def centre_cropped(pixels: Pixels, side: int) -> Pixels:
    """The shortest edge at `side`, the middle of the other: uint8 `[T, 3, H, W]` to `[T, 3, side, side]`.

    The longer edge becomes int(side * longer / shorter), as CLIP's preprocessing has it. Only the crop is computed: the
    filter still sees the pixels around it, so it equals the crop of the whole frame resized.
    """
    height, width = pixels.shape[2:]
    shortest = min(height, width)
    rows, columns = (int(side * edge / shortest) for edge in (height, width))
    top, left = (rows - side) // 2, (columns - side) // 2
    tall, wide = height / rows, width / columns  # source pixels a result pixel
    return _bicubic(pixels, side, (left * wide, top * tall, (left + side) * wide, (top + side) * tall))


def _bicubic(pixels: Pixels, side: int, box: Box | None) -> Pixels:
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 [T, 3, H, W], not {pixels.dtype} {pixels.shape}")
    if pixels.shape[2:] == (side, side):
        return pixels
    small = np.empty((len(pixels), 3, side, side), np.uint8)
    for frame, out in zip(pixels, small, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        out[:] = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box)).transpose(2, 0, 1)
    return small
