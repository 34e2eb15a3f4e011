"""Riddles about ways: through a building, seen with the eyes of who goes there, and to a house that others visit."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tvu.video_llm.benchmarks.mini_drawing import Canvas, Film
from tvu.video_llm.benchmarks.mini_riddles import Riddle

WALLS = np.array([[150, 90, 70], [90, 120, 160], [110, 140, 90], [160, 130, 80], [130, 90, 140]], np.float64)


def corridor_view(x: float, y: float, heading: float) -> NDArray[np.uint8]:
    """What is seen in an endless building of square pillars and straight corridors, uint8 `[60, 80, 3]`.

    Pillars stand where both coordinates, rounded down, are odd. heading: degrees, 0 along x, growing to the right.
    """
    columns = np.linspace(-0.75, 0.75, 80)
    forward = np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading))])
    rays = forward[:, None] + np.array([-forward[1], forward[0]])[:, None] * columns  # [2, 80]
    depths = np.arange(0.05, 9.0, 0.03)
    points = np.array([x, y])[:, None, None] + rays[:, :, None] * depths  # [2, 80, depths]
    cells = np.floor(points).astype(np.int64)
    is_wall = (cells % 2 == 1).all(0)
    first = np.where(is_wall.any(1), is_wall.argmax(1), len(depths) - 1)
    rows = np.arange(80)
    depth = depths[first]
    hit, cell = points[:, rows, first], cells[:, rows, first]
    inside = hit - cell  # where on the pillar, to tell its sides apart
    is_front = np.minimum(inside[0], 1 - inside[0]) < np.minimum(inside[1], 1 - inside[1])
    colour = WALLS[(3 * cell[0] + 5 * cell[1]) // 2 % len(WALLS)] * np.where(is_front, 1.0, 0.75)[:, None]
    colour *= np.clip(1.25 - 0.13 * depth, 0.2, 1.0)[:, None]
    half = 30 / np.maximum(depth, 0.2)
    height = np.arange(60)[:, None]
    view = np.where((height < 30)[..., None], np.array([205, 215, 225.0]), np.array([120, 112, 104.0]))
    view = np.broadcast_to(view, (60, 80, 3)).copy()
    is_seen = (abs(height - 29.5) < half) & is_wall.any(1)
    view[is_seen] = np.broadcast_to(colour, (60, 80, 3))[is_seen]
    return view.astype(np.uint8)


def _walk(turns: Sequence[int], last_steps: bool) -> Sequence[tuple[float, float, float]]:
    """Places and headings at whole steps: two cells onward before each turn, and after the last one if so wanted."""
    x, y, heading = 0.5, 0.5, 0.0
    way = [(x, y, heading)]
    for turn in (*turns, None) if last_steps else turns:
        x, y = x + 2 * round(np.cos(np.radians(heading))), y + 2 * round(np.sin(np.radians(heading)))
        way.append((x, y, heading))
        if turn is not None:
            heading += 90.0 * turn
            way.append((x, y, heading))
    return way


def egocentric_navigation() -> list[Riddle]:
    """Which way someone goes through a building, seen through their eyes."""

    def film(ways: Sequence[Sequence[tuple[float, float, float]]], answer: int, rng: Generator) -> Film:
        way = np.array(ways[answer])
        start = 2.0 * rng.integers(0, 5, 2)  # the same corridors, other colours
        times = 0.4 + np.arange(len(way)) * 5.2 / (len(way) - 1)

        def draw(canvas: Canvas, now: float) -> None:
            x, y, heading = (float(np.interp(now, times, way[:, i])) for i in range(3))
            canvas.paste(corridor_view(x + float(start[0]), y + float(start[1]), heading))

        return Film(6.0, draw)

    once = (_walk((1,), False), _walk((-1,), False), _walk((1,), True)[1:], _walk((-1,), True)[1:])
    twice = [_walk(turns, False) for turns in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    first = (
        "Walk on, then turn right.",
        "Walk on, then turn left.",
        "Turn right, then walk on.",
        "Turn left, then walk on.",
    )
    second = ("Right and right again.", "Right, then left.", "Left, then right.", "Left and left again.")
    return [
        Riddle("Which instruction does the camera follow?", first, lambda a, rng: film(once, a, rng)),
        Riddle("Which turns does the camera take?", second, lambda a, rng: film(twice, a, rng)),
    ]


VISITORS = (("circle", "red"), ("square", "blue"), ("triangle", "green"), ("star", "orange"), ("heart", "purple"))


def _visitor(canvas: Canvas, shape: str, colour: str, x: float) -> None:
    canvas.shape(shape, colour, x, 88, 18)
    for dx in (-5, 5):
        canvas.shape("circle", "#ffffff", x + dx, 85, 4)
        canvas.shape("circle", "#202020", x + dx, 85, 1.5)


def episodic_reasoning() -> list[Riddle]:
    """Who comes to a house after a certain visitor; before the bounds, that one is followed by another."""

    def film(answer: int, rng: Generator) -> Film:
        anchor = ("square", "brown")
        others = [VISITORS[i] for i in rng.permutation(5) if i != answer]
        place = int(rng.integers(1, 4))
        inside = [*others[:3][:place], anchor, VISITORS[answer], *others[:3][place:]]
        guests = [anchor, others[3], *inside]

        def draw(canvas: Canvas, now: float) -> None:
            canvas.box(0, 100, 160, 120, "#7fae6a")
            canvas.box(100, 44, 156, 104, "#d9b38c")
            canvas.polygon([(92, 46), (128, 16), (164, 46)], "#a8483c")
            canvas.box(118, 68, 138, 104, "#5a3a24")
            for i, (shape, colour) in enumerate(guests):
                since = now - 1.4 * i
                if 0 <= since < 1.3:
                    _visitor(canvas, shape, colour, -20 + 140 * since / 1.3)

        return Film(10.0, draw, "#bfe0f2", (2.9, 9.7))

    options = tuple(f"The {colour} {shape}." for shape, colour in VISITORS)
    return [Riddle("Who comes to the house right after the brown square?", options, film)]
