"""Drawn films: shapes, cups, figures and corridors that move as they are told, written as small videos.

Coordinates are pixels of the finished picture, x to the right and y down; angles are degrees, counter-clockwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, HEIGHT, FPS = 160, 120, 10
FINER = 2  # pictures are drawn larger and reduced, which smooths their edges

COLOURS = {
    "red": "#d8322f",
    "blue": "#2f6fd8",
    "green": "#2fa34a",
    "yellow": "#f0c92b",
    "purple": "#8c3fc0",
    "orange": "#ef8a21",
    "pink": "#f29ac0",
    "brown": "#8a5a33",
}
BACKGROUNDS = ("#f4f1e8", "#e3ecf4", "#e6f1e3", "#f3e6ea", "#ece8f5")
INK = "#303030"

_TURNS = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_STAR_RADII = np.where(np.arange(10) % 2, 0.42, 1.1)
_HEART = np.stack([16 * np.sin(_TURNS) ** 3, -13 * np.cos(_TURNS) + 5 * np.cos(2 * _TURNS) + 2 * np.cos(3 * _TURNS)], 1)


def _polygon(corners: int, turn: float = -90.0) -> NDArray[np.float64]:
    angles = np.radians(turn + 360 * np.arange(corners) / corners)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


SHAPES: dict[str, NDArray[np.float64]] = {
    "circle": _polygon(40),
    "square": _polygon(4, 45.0) * 1.2,
    "triangle": _polygon(3) * 1.2,
    "star": _polygon(10) * _STAR_RADII[:, None],
    "heart": _HEART / 15,
}


class Canvas:
    """One picture while it is drawn."""

    def __init__(self, background: str) -> None:
        self._image = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), background)
        self._pen = ImageDraw.Draw(self._image)

    def shape(self, name: str, colour: str, x: float, y: float, radius: float = 13.0, angle: float = 0.0) -> None:
        """A shape around its centre. colour: a name of COLOURS, or `#rrggbb`."""
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        points = radius * SHAPES[name] @ np.array([[cos, -sin], [sin, cos]]) + (x, y)
        self.polygon(points, colour, outline=INK)

    def polygon(self, points: NDArray[np.float64] | list[tuple[float, float]], colour: str, outline: str = "") -> None:
        """A filled polygon of `[P, 2]` points."""
        scaled = [(float(x) * FINER, float(y) * FINER) for x, y in points]
        self._pen.polygon(scaled, COLOURS.get(colour, colour), COLOURS.get(outline, outline) or None, FINER)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """A filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def line(self, points: list[tuple[float, float]], width: float = 5.0, colour: str = INK) -> None:
        """A stroke through all points."""
        scaled = [(x * FINER, y * FINER) for x, y in points]
        self._pen.line(scaled, COLOURS.get(colour, colour), round(width * FINER), joint="curve")

    def picture(self) -> Image.Image:
        """RGB, `WIDTH` x `HEIGHT`."""
        return self._image.reduce(FINER)

    def paste(self, pixels: NDArray[np.uint8]) -> None:
        """Cover everything with uint8 `[H, W, 3]` of any size."""
        self._image.paste(Image.fromarray(pixels).resize(self._image.size, Image.Resampling.NEAREST))


Drawing = Callable[[Canvas, float], None]
"""Draws a moving picture as it is at a time, seconds from its start."""


@dataclass(frozen=True)
class Film:
    """A drawing that moves.

    seconds:    how long it lasts.
    draw:       draws it.
    background: the colour that it is drawn on.
    bounds:     the part of it that is asked about, seconds; None: all of it.
    """

    seconds: float
    draw: Drawing
    background: str = BACKGROUNDS[0]
    bounds: tuple[float, float] | None = None

    def at(self, seconds: float) -> Image.Image:
        """The picture at a time."""
        canvas = Canvas(self.background)
        self.draw(canvas, seconds)
        return canvas.picture()

    def times(self, fps: float = FPS) -> NDArray[np.float64]:
        """float64 `[T]`, when its pictures appear at a steady rate."""
        return np.arange(round(self.seconds * fps)) / fps


_CODECS = {
    ".mp4": ("libx264", {"crf": "27", "preset": "veryfast", "threads": "1"}),
    ".mkv": ("libx264", {"crf": "27", "preset": "veryfast", "threads": "1"}),
    ".avi": ("mpeg4", {"qscale": "5", "threads": "1"}),
    ".webm": ("libvpx", {"crf": "12", "b": "1M", "deadline": "realtime", "cpu-used": "8", "threads": "1"}),
}
_TICKS = 1000  # a second: what Matroska can hold


def write_film(film: Film, out: Path, times: NDArray[np.float64] | None = None, starts_at: float = 0.0) -> None:
    """Write a film as H.264 in .mp4 or .mkv, MPEG-4 in .avi, VP8 in .webm.

    times:     float64 `[T]`, increasing, the moments of the film that get a picture, for a variable rate; steady where
               None. The last picture stays until the film ends.
    starts_at: the time stamp of the film's start, seconds: broadcasts and cut files do not start at zero.
    """
    codec, options = _CODECS[out.suffix]
    steady = times is None
    moments = film.times() if times is None else times
    with av.open(str(out), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=FPS, options=options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        tick = Fraction(1, FPS) if steady else Fraction(1, _TICKS)
        stream.codec_context.time_base = tick
        ends = np.append(moments[1:], film.seconds)
        for start, end in zip(moments, ends, strict=True):
            frame = av.VideoFrame.from_image(film.at(float(start)))
            frame.time_base = tick
            frame.pts = round((float(start) + starts_at) / tick)
            frame.duration = round(float(end - start) / tick)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_pictures(film: Film, folder: Path, fps: float) -> None:
    """Write a film as `00001.jpg`, `00002.jpg`, … into a new folder."""
    folder.mkdir(parents=True)
    for number, seconds in enumerate(film.times(fps), start=1):
        film.at(float(seconds)).save(folder / f"{number:05d}.jpg", quality=80)


def moving(points: Sequence[tuple[float, float]], start: float, end: float) -> Callable[[float], tuple[float, float]]:
    """Where something is that goes through `points` at a steady pace from `start` to `end` seconds, and stays there."""
    path = np.array(points, np.float64)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])

    def where(seconds: float) -> tuple[float, float]:
        along = np.clip((seconds - start) / (end - start), 0, 1) * travelled[-1]
        return float(np.interp(along, travelled, path[:, 0])), float(np.interp(along, travelled, path[:, 1]))

    return where


def progress(seconds: float, start: float, end: float) -> float:
    """How much of the time from `start` to `end` has passed, in [0, 1]."""
    return float(np.clip((seconds - start) / (end - start), 0.0, 1.0))
