"""Shapes and textures that are drawn rather than gathered.

A shape is white with a soft shade and stands for any colour: what renders it multiplies it by one. A texture covers a
whole picture and is nearly grey, to be coloured the same way.
"""

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 128
FINER = 4
TEXTURE_SIZE = (240, 320)  # height, width

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.12, 0.12),
    "green": (0.15, 0.65, 0.22),
    "blue": (0.15, 0.35, 0.85),
    "yellow": (0.97, 0.85, 0.12),
    "orange": (0.97, 0.52, 0.08),
    "purple": (0.52, 0.18, 0.72),
    "pink": (0.97, 0.55, 0.74),
    "brown": (0.48, 0.29, 0.14),
    "black": (0.08, 0.08, 0.09),
    "white": (0.97, 0.97, 0.97),
    "gray": (0.52, 0.52, 0.54),
    "cyan": (0.25, 0.80, 0.86),
}
"""Colours by name, RGB in [0, 1]."""

Points = NDArray[np.float64]


def _round(corners: int, turn: float = 0.0, radii: tuple[float, ...] = (1.0,)) -> Points:
    """Corners around the middle; radii are taken in turn."""
    angles = np.pi * (2 * np.arange(corners) / corners - 0.5) + np.radians(turn)
    reach = np.resize(radii, corners)
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 90)
    x = np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 17
    return np.stack([x, y], axis=1)


def _crescent() -> Points:
    t = np.linspace(0.35 * np.pi, 1.65 * np.pi, 60)
    outer = np.stack([np.cos(t), np.sin(t)], axis=1)
    inner = np.stack([0.45 + 0.78 * np.cos(t[::-1]), 0.9 * np.sin(t[::-1])], axis=1)
    return np.concatenate([outer, inner]) + np.array([0.3, 0.0])


def _polygon(*points: tuple[float, float]) -> Points:
    return np.array(points, np.float64)


OUTLINES: dict[str, Callable[[], Points]] = {
    "circle": lambda: _round(72),
    "oval": lambda: _round(72) * (1.0, 0.62),
    "square": lambda: _round(4, 45.0) * 1.25,
    "rectangle": lambda: _polygon((-1, -0.55), (1, -0.55), (1, 0.55), (-1, 0.55)),
    "triangle": lambda: _round(3) + np.array([0.0, 0.2]),
    "diamond": lambda: _round(4) * (0.72, 1.0),
    "pentagon": lambda: _round(5),
    "hexagon": lambda: _round(6),
    "star": lambda: _round(10, 0.0, (1.0, 0.4)),
    "heart": _heart,
    "crescent": _crescent,
    "cross": lambda: _polygon(
        *((-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3)),
        *((0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)),
    ),
    "arrow": lambda: _polygon((-1, -0.28), (0.1, -0.28), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.28), (-1, 0.28)),
    "cup": lambda: _polygon((-0.62, -0.8), (0.62, -0.8), (0.9, 0.85), (-0.9, 0.85)),
    "flag": lambda: _polygon((-0.9, -1), (0.9, -0.55), (-0.75, -0.1), (-0.75, 1), (-0.9, 1)),
}
"""Shapes by name: corners around (0, 0), x to the right and y down, within about 1 of it."""

PLAIN = (
    *("circle", "square", "triangle", "star", "heart", "diamond"),
    *("cross", "ring", "hexagon", "arrow", "crescent", "pentagon"),
)
"""Shapes that stay what they are when a picture is squeezed to a square: an oval would not."""

LETTERS = tuple("ABCEFGHKLMNPRSTXYZ234579")
PARTS = ("bar", "ball", "block", "ring part")
"""Pieces that pictures are put together from; they have no name of their own."""

SHAPES = tuple(OUTLINES)
DRAWN = (*(name for name in SHAPES if name not in ("cup", "flag")), "ring", "cup", "flag")
"""Names of all shapes that are spoken of; letters follow as `letter A`."""
ALL_DRAWN = (*DRAWN, *(f"letter {letter}" for letter in LETTERS), *PARTS)


def draw_shape(name: str) -> Image.Image:
    """White RGBA of 128 x 128 with a soft shade and, for shapes, a dark rim."""
    size = SIDE * FINER
    mask = Image.new("L", (size, size))
    pen = ImageDraw.Draw(mask)
    middle, reach = size / 2, size * 0.46
    rim = 0.03 * size
    if name.startswith("letter "):
        font = ImageFont.load_default(size * 0.8)
        pen.text((middle, middle), name[-1], 255, font, anchor="mm", stroke_width=round(0.02 * size))
        rim = 0.0
    elif name == "ring":
        pen.ellipse([middle - reach, middle - reach, middle + reach, middle + reach], 255)
        pen.ellipse([middle - reach * 0.55] * 2 + [middle + reach * 0.55] * 2, 0)
    elif name in PARTS:
        rim = 0.0
        _draw_part(pen, name, size)
    else:
        pen.polygon([(middle + reach * x, middle + reach * y) for x, y in OUTLINES[name]()], 255)
    alpha = np.asarray(mask.reduce(FINER), np.float64) / 255
    shade = 1.0 - 0.16 * np.linspace(0, 1, SIDE)[:, None] - 0.06 * np.linspace(0, 1, SIDE)[None]
    if rim:
        inner = Image.fromarray(np.asarray(mask)).reduce(FINER).resize((SIDE, SIDE))
        shrunk = _eroded(np.asarray(inner, np.float64) / 255, round(rim / FINER))
        shade = shade * (0.25 + 0.75 * shrunk)
    value = np.clip(255 * shade, 0, 255)
    return Image.fromarray(np.dstack([value, value, value, 255 * alpha]).astype(np.uint8), "RGBA")


def _draw_part(pen: ImageDraw.ImageDraw, name: str, size: int) -> None:
    if name == "bar":  # a limb: round ends, all of the width, a sixth of the height
        pen.rounded_rectangle([0, size * 0.42, size, size * 0.58], size * 0.08, 255)
    elif name == "ball":
        pen.ellipse([size * 0.02, size * 0.02, size * 0.98, size * 0.98], 255)
    elif name == "block":
        pen.rectangle([0, 0, size, size], 255)
    else:
        pen.rounded_rectangle([size * 0.05, size * 0.05, size * 0.95, size * 0.95], size * 0.2, 255)


def _eroded(mask: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    out = mask
    for _ in range(max(width, 1)):
        padded = np.pad(out, 1)
        out = np.minimum.reduce(
            [padded[1:-1, 1:-1], padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]]
        )
    return out


TEXTURE_KINDS = ("plain", "gradient", "clouds", "grain", "stripes", "checks", "blobs", "planks", "weave", "horizon")
TEXTURES_OF_A_KIND = 6


def texture_names() -> tuple[str, ...]:
    """Names of all textures: kind and number."""
    return tuple(f"{kind} {i}" for kind in TEXTURE_KINDS for i in range(TEXTURES_OF_A_KIND))


def draw_texture(name: str) -> Image.Image:
    """RGB of 320 x 240, mostly light; the same name gives the same picture."""
    kind, _ = name.rsplit(" ", 1)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    height, width = TEXTURE_SIZE
    y, x = np.mgrid[0:height, 0:width] / height
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    if kind == "plain":
        value = np.full((height, width), 1.0)
    elif kind == "gradient":
        value = 0.55 + 0.45 * (along - along.min()) / np.ptp(along)
    elif kind == "clouds":
        value = 0.35 + 0.65 * _noise(rng, rng.uniform(1.2, 2.2))
    elif kind == "grain":
        value = 0.5 + 0.5 * _noise(rng, rng.uniform(0.2, 0.8))
    elif kind == "stripes":
        value = 0.72 + 0.25 * np.sin(2 * np.pi * along * rng.uniform(3, 16))
    elif kind == "checks":
        cells = rng.uniform(4, 12)
        value = 0.6 + 0.35 * ((np.floor(x * cells) + np.floor(y * cells)) % 2)
    elif kind == "blobs":
        noise = _noise(rng, 1.6)
        value = 0.55 + 0.4 * (noise > np.quantile(noise, rng.uniform(0.3, 0.7)))
    elif kind == "planks":
        value = 0.6 + 0.3 * _noise(rng, 1.2, (0.15, 4.0)) - 0.25 * ((y * rng.uniform(4, 8)) % 1 < 0.05)
    elif kind == "weave":
        lines = rng.uniform(20, 40)
        value = 0.7 + 0.15 * np.sin(2 * np.pi * x * lines) * np.sin(2 * np.pi * y * lines) + 0.1 * _noise(rng, 1.0)
    else:
        value = np.where(y + 0.03 * _noise(rng, 1.5) > rng.uniform(0.4, 0.7), 0.45, 0.95) - 0.12 * _noise(rng, 1.0)
    tint = 1.0 + 0.18 * (rng.uniform(-1, 1, 3)[None, None] * (1.6 - 1.6 * value[..., None]))
    shaded = value[..., None] * (0.94 + 0.06 * _noise(rng, 0.6)[..., None]) * tint
    return Image.fromarray(np.clip(255 * shaded, 0, 255).astype(np.uint8), "RGB")


def _noise(rng: np.random.Generator, falloff: float, stretch: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.float64]:
    """Noise whose amplitude falls with frequency to the power of `falloff`, in [0, 1]."""
    height, width = TEXTURE_SIZE
    fy, fx = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width
    frequency = np.sqrt((fy * stretch[1] ** -1) ** 2 + (fx * stretch[0] ** -1) ** 2)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**falloff
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(height, width))
    low, high = np.quantile(field, [0.01, 0.99])
    return np.clip((field - low) / (high - low), 0, 1)


LANDSCAPES = {
    "beach": "a beach by the sea",
    "forest": "a forest",
    "city": "a city at night",
    "mountains": "mountains",
    "desert": "a desert",
    "village": "a village",
}
"""What the drawn landscapes show, by their kind."""
LANDSCAPES_OF_A_KIND = 6


def landscape_names() -> tuple[str, ...]:
    """Names of all drawn landscapes: kind and number."""
    return tuple(f"{kind} {i}" for kind in LANDSCAPES for i in range(LANDSCAPES_OF_A_KIND))


def draw_landscape(name: str) -> Image.Image:
    """RGB of 320 x 240; the same name gives the same picture."""
    kind = name.rsplit(" ", 1)[0]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    height, width = TEXTURE_SIZE
    ground = int(height * rng.uniform(0.55, 0.75))
    picture = _sky(rng, night=kind == "city")
    pen = ImageDraw.Draw(picture)
    soils = {"beach": (232, 212, 150), "desert": (222, 184, 120), "city": (52, 54, 64), "mountains": (110, 130, 90)}
    soil = _varied(rng, soils.get(kind, (96, 140, 70)))
    pen.rectangle((0, ground, width, height), fill=soil)
    if kind == "beach":
        pen.rectangle((0, int(ground * rng.uniform(0.72, 0.85)), width, ground), fill=_varied(rng, (40, 110, 170)))
        for x in rng.uniform(0, width, rng.integers(1, 4)):
            _palm(pen, rng, float(x), float(rng.uniform(ground, height - 10)))
    elif kind == "forest":
        for y in np.sort(rng.uniform(ground - 20, height, rng.integers(12, 26))):
            _fir(pen, rng, float(rng.uniform(0, width)), float(y))
    elif kind in ("city", "village"):
        _houses(pen, rng, ground, is_city=kind == "city")
    else:
        for x in rng.uniform(-20, width + 20, rng.integers(3, 7)):
            _peak(pen, rng, float(x), ground, is_snowy=kind == "mountains")
    grain = rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture, np.float64) + grain, 0, 255).astype(np.uint8), "RGB")


def _varied(rng: np.random.Generator, color: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.array(color) * rng.uniform(0.8, 1.15) + rng.normal(0, 8, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _sky(rng: np.random.Generator, *, night: bool) -> Image.Image:
    height, width = TEXTURE_SIZE
    top, low = ((14, 18, 48), (50, 50, 90)) if night else ((110, 170, 230), (215, 230, 240))
    share = np.linspace(0, 1, height)[:, None, None]
    sky = np.array(_varied(rng, top)) * (1 - share) + np.array(_varied(rng, low)) * share
    picture = Image.fromarray(np.broadcast_to(sky, (height, width, 3)).astype(np.uint8), "RGB")
    if rng.random() < 0.6:
        x, y, r = rng.uniform(0.1, 0.9) * width, rng.uniform(0.08, 0.3) * height, rng.uniform(9, 20)
        ImageDraw.Draw(picture).ellipse(
            (x - r, y - r, x + r, y + r), fill=(240, 240, 225) if night else (255, 225, 110)
        )
    return picture


def _fir(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float) -> None:
    tall = rng.uniform(50, 110)
    green = _varied(rng, (40, 95, 55))
    pen.rectangle((x - 3, y - 12, x + 3, y), fill=_varied(rng, (95, 65, 40)))
    for level in range(3):
        low, wide = y - 8 - 0.25 * tall * level, tall * (0.3 - 0.07 * level)
        pen.polygon([(x - wide, low), (x + wide, low), (x, low - 0.45 * tall)], fill=green)


def _palm(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float) -> None:
    tall, bent = rng.uniform(60, 110), rng.uniform(-25, 25)
    pen.line([(x, y), (x + bent / 3, y - tall / 2), (x + bent, y - tall)], fill=_varied(rng, (120, 85, 50)), width=5)
    for angle in np.linspace(-0.3, np.pi + 0.3, 7):
        end = (x + bent + 34 * np.cos(angle), y - tall - 20 * np.sin(angle) + 12)
        pen.line([(x + bent, y - tall), end], fill=_varied(rng, (50, 130, 60)), width=5)


def _houses(pen: ImageDraw.ImageDraw, rng: np.random.Generator, ground: int, *, is_city: bool) -> None:
    x = float(rng.uniform(-20, 10))
    while x < TEXTURE_SIZE[1]:
        wide = rng.uniform(25, 55)
        tall = rng.uniform(60, 150) if is_city else rng.uniform(25, 45)
        wall = _varied(rng, (70, 74, 96) if is_city else (215, 195, 165))
        pen.rectangle((x, ground - tall, x + wide, ground), fill=wall)
        if not is_city:
            roof = [(x - 5, ground - tall), (x + wide + 5, ground - tall), (x + wide / 2, ground - tall - 24)]
            pen.polygon(roof, fill=_varied(rng, (165, 70, 55)))
        for wy in np.arange(ground - tall + 8, ground - 12, 16):
            for wx in np.arange(x + 5, x + wide - 9, 12):
                lit = rng.random() < 0.6
                pen.rectangle((wx, wy, wx + 6, wy + 8), fill=(250, 220, 130) if is_city and lit else (60, 70, 85))
        x += wide + rng.uniform(0, 6 if is_city else 40)


def _peak(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, ground: int, *, is_snowy: bool) -> None:
    tall = rng.uniform(70, 130) if is_snowy else rng.uniform(15, 45)
    wide = tall * (rng.uniform(0.6, 1.0) if is_snowy else rng.uniform(2.5, 4))
    color = _varied(rng, (115, 115, 125) if is_snowy else (205, 160, 100))
    pen.polygon([(x - wide, ground), (x + wide, ground), (x, ground - tall)], fill=color)
    if is_snowy:
        share = 0.3
        cap = [(x - share * wide, ground - (1 - share) * tall), (x, ground - tall)]
        pen.polygon([*cap, (x + share * wide, ground - (1 - share) * tall)], fill=(240, 243, 248))
