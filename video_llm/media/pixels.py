"""A decoded frame as the picture on the screen: turned, in shape, 8-bit RGB."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.media.hdr import ToneMapper, is_hdr

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

THUMBNAIL_WIDTH = 64
BT709 = 1  # FFmpeg's number of this colour matrix


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
    except ValueError:  # PyAV cannot list side data of a kind it does not know, such as a photograph's EXIF
        turn = np.deg2rad(-frame.rotation)
        matrix = [np.cos(turn), np.sin(turn), 0, -np.sin(turn), np.cos(turn), 0, 0, 0, 1]
        return (np.array(matrix) * (1 << 16)).round().astype(np.int32)


class Converter:
    """Turns decoded frames into displayed 8-bit RGB pictures of one size; keeps the scaler between frames."""

    def __init__(self, geometry: Geometry) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._geometry = geometry
        self._reformatter = VideoReformatter()
        self._interpolation = Interpolation.AREA
        self._tone_mapper: ToneMapper | None = None

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """uint8 `[H, W, 3]`, averaged over the area that each new pixel covers."""
        if not is_hdr(frame.color_trc):
            return self._geometry.turned(self._scaled(frame, "rgb24", np.dtype(np.uint8)))
        if self._tone_mapper is None:
            self._tone_mapper = ToneMapper(frame.color_trc, frame.color_primaries)
        return self._geometry.turned(self._tone_mapper.srgb(self._scaled(frame, "rgb48le", np.dtype("<u2"))))

    def _scaled(self, frame: VideoFrame, pixel_format: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """`[h, w, 3]`, as stored: not turned yet."""
        width, height = self._geometry.stored_width, self._geometry.stored_height
        small = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=_color_matrix(frame),
            interpolation=self._interpolation,
            threads=1,
        )
        rows: NDArray[Any] = np.frombuffer(memoryview(small.planes[0]), dtype)
        return rows.reshape(-1, small.planes[0].line_size // dtype.itemsize)[:height, : width * 3].reshape(
            height, width, 3
        )


def _color_matrix(frame: VideoFrame) -> int | None:
    """What a silent file means by its colours: players take BT.709 from 720 lines on, as the standards for those do."""
    is_silent = frame.colorspace == 2 and not frame.format.is_rgb
    return BT709 if is_silent and (frame.width >= 1280 or frame.height > 576) else None


class ThumbnailMaker:
    """Picks one pixel in many of each decoded frame: enough to see that the scene changed, at almost no cost."""

    def __init__(self, geometry: Geometry) -> None:
        self._turned = geometry.turned
        self._converter = Converter(geometry.fitted(THUMBNAIL_WIDTH))

    def thumbnail(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """uint8 `[h, w, 3]` BGR, about THUMBNAIL_WIDTH pixels wide, turned as displayed."""
        step = 2 * max(1, round(frame.width / THUMBNAIL_WIDTH / 2))
        plain = _PLAIN_YUV.fullmatch(frame.format.name)
        if plain is None or min(frame.width, frame.height) < 2 * step:
            return self._converter.rgb(frame)[..., ::-1]
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
