"""A decoded frame as the picture on the screen: turned, in shape, 8-bit RGB."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

THUMBNAIL_WIDTH = 64


@dataclass(frozen=True)
class Geometry:
    """How stored pictures become displayed ones: transposed first, then flipped; sizes are of the displayed picture."""

    height: int
    width: int
    is_transposed: bool = False
    is_flipped_x: bool = False
    is_flipped_y: bool = False

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a picture needs a size, not {self.width}x{self.height}")

    @property
    def stored_height(self) -> int:
        return self.width if self.is_transposed else self.height

    @property
    def stored_width(self) -> int:
        return self.height if self.is_transposed else self.width

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn that the display applies; a mirrored picture counts as its turn after the mirror."""
        if self.is_transposed:
            return 90 if self.is_flipped_x else 270
        return 180 if self.is_flipped_x and self.is_flipped_y else 0

    @property
    def is_mirrored(self) -> bool:
        return (self.is_transposed + self.is_flipped_x + self.is_flipped_y) % 2 == 1

    def fitted(self, max_side: int | None) -> Geometry:
        """The same, with the longer side at most `max_side`; never enlarged."""
        longer = max(self.height, self.width)
        if max_side is None or longer <= max_side:
            return self
        scale = max_side / longer
        return replace(self, height=max(1, round(self.height * scale)), width=max(1, round(self.width * scale)))

    def turned(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of stored pixels `[..., h, w, 3]` as they are displayed."""
        if self.is_transposed:
            pixels = pixels.swapaxes(-3, -2)
        if self.is_flipped_x:
            pixels = pixels[..., ::-1, :]
        if self.is_flipped_y:
            pixels = pixels[..., ::-1, :, :]
        return pixels


def geometry_of(width: int, height: int, sample_aspect: float, matrix: NDArray[np.int32] | None) -> Geometry:
    """The display geometry of stored `width` x `height` pictures.

    sample_aspect: width of a stored pixel over its height.
    matrix: int32 `[9]`, the container's display matrix, of which the nearest of the eight upright orientations is
    taken.
    """
    if 0.01 < sample_aspect < 100:  # anything else is damage
        width = max(1, round(width * sample_aspect))
    if matrix is None:
        return Geometry(height, width)
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))  # x' = a x + c y, y' = b x + d y
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Geometry(height, width, False, a < 0, d < 0)
    return Geometry(width, height, True, c < 0, b < 0)


def display_matrix(frame: VideoFrame) -> NDArray[np.int32] | None:
    """int32 `[9]` from the frame's side data, if it has one."""
    try:
        return np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32, count=9)  # type: ignore[typeddict-item]
    except KeyError:
        return None


class Converter:
    """Turns decoded frames into displayed pictures of one size; keeps the scaler between frames.

    pixel_format: "rgb24" or "bgr24".
    """

    def __init__(self, geometry: Geometry, pixel_format: str = "rgb24") -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._geometry = geometry
        self._pixel_format = pixel_format
        self._reformatter = VideoReformatter()
        self._interpolation = Interpolation.AREA

    def convert(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """uint8 `[H, W, 3]`, averaged over the area that each new pixel covers."""
        width, height = self._geometry.stored_width, self._geometry.stored_height
        small = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=self._pixel_format,
            interpolation=self._interpolation,
            threads=1,
        )
        rows = np.frombuffer(memoryview(small.planes[0]), np.uint8).reshape(-1, small.planes[0].line_size)
        return self._geometry.turned(rows[:height, : width * 3].reshape(height, width, 3))


class ThumbnailMaker:
    """Picks one pixel in many of each decoded frame: enough to see that the scene changed, at almost no cost."""

    def __init__(self, geometry: Geometry) -> None:
        self._turned = geometry.turned
        self._converter = Converter(geometry.fitted(THUMBNAIL_WIDTH), "bgr24")

    def thumbnail(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """uint8 `[h, w, 3]` BGR, about THUMBNAIL_WIDTH pixels wide, turned as displayed."""
        step = 2 * max(1, round(frame.width / THUMBNAIL_WIDTH / 2))
        plain = _PLAIN_YUV.fullmatch(frame.format.name)
        if plain is None or min(frame.width, frame.height) < 2 * step:
            return self._converter.convert(frame)
        step_x = step if plain["chroma"] == "444" else step // 2
        step_y = step // 2 if plain["chroma"] == "420" else step
        y = _sparse(frame, 0, step, step)
        u = _sparse(frame, 1, step_y, step_x)
        v = _sparse(frame, 2, step_y, step_x)
        height, width = min(len(y), len(u)), min(y.shape[1], u.shape[1])
        return self._turned(_bgr(y[:height, :width], u[:height, :width], v[:height, :width]))


_PLAIN_YUV = re.compile(r"yuvj?(?P<chroma>420|422|444)p(?:\d+le)?")


def _sparse(frame: VideoFrame, plane_index: int, step_y: int, step_x: int) -> NDArray[np.int16]:
    """Every `step`-th sample of one plane, as 8-bit values."""
    plane, component = frame.planes[plane_index], frame.format.components[plane_index]
    dtype = np.dtype(np.uint8 if component.bits == 8 else "<u2")
    samples: NDArray[Any] = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)
    samples = samples[: component.height, : component.width][step_y // 2 :: step_y, step_x // 2 :: step_x]
    return (samples >> (component.bits - 8)).astype(np.int16)


def _bgr(y: NDArray[np.int16], u: NDArray[np.int16], v: NDArray[np.int16]) -> NDArray[np.uint8]:
    """ITU-R BT.601, studio range, in 1/64 steps: a thumbnail's colours need no more."""
    luma, u, v = 74 * (y - 16), u - 128, v - 128
    bgr = np.stack([luma + 129 * u, luma - 25 * u - 52 * v, luma + 102 * v], axis=-1)
    return np.clip(bgr >> 6, 0, 255).astype(np.uint8)
