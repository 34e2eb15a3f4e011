"""Riddles about hands, cups, lamps, figures, landscapes, corridors and visitors."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tvu.video_llm.benchmarks.mini_drawing import COLOURS, Canvas, Film, progress
from tvu.video_llm.benchmarks.mini_riddles import Riddle, background, one_of, shuffled

TABLE = "#b08a5c"
SKIN = "#e0a982"


def _hand(canvas: Canvas, x: float, y: float) -> None:
    canvas.line([(x, -10), (x, y - 12)], 9, SKIN)
    canvas.shape("circle", SKIN, x, y - 10, 8)


def object_interaction() -> list[Riddle]:
    """Which of four things on a table a hand takes; it takes another one before the bounds."""
    things = ("square", "triangle", "star", "heart")

    def ask(question: str, taken: bool) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            places = rng.permutation([24.0, 61.0, 99.0, 136.0]).tolist()
            colours = shuffled(rng, tuple(COLOURS))
            decoy = (answer + 1 + int(rng.integers(3))) % 4
            acts = [(decoy, 0.1, not taken), (answer, 3.0, taken)]

            def draw(canvas: Canvas, now: float) -> None:
                canvas.box(0, 84, 160, 120, TABLE)
                for i, name in enumerate(things):
                    x, y = places[i], 72.0
                    for who, start, is_taken in acts:
                        if who != i:
                            continue
                        gone = progress(now, start + 1.0, start + 2.0)
                        y = 72.0 - 110 * gone if is_taken else -38.0 + 110 * progress(now, start, start + 1.0)
                    canvas.shape(name, colours[i], x, y, 12)
                for who, start, _ in acts:
                    down, up = progress(now, start, start + 1.0), progress(now, start + 1.0, start + 2.0)
                    if down > 0 and up < 1:
                        _hand(canvas, places[who], -50 + 110 * (down - up))

            return Film(5.4, draw, background(rng), (2.6, 5.3))

        return Riddle(question, tuple(f"The {name}." for name in things), film)

    return [
        ask("Which object did the hand take away?", taken=True),
        ask("Which object did the hand put on the table?", taken=False),
    ]


def object_shuffle() -> list[Riddle]:
    """Under which of three cups a ball is, after they were moved."""
    places = (32.0, 80.0, 128.0)

    def ask(question: str, thing: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            swaps = [((0, 1), (1, 2), (0, 2))[int(rng.integers(3))] for _ in range(3)]
            start = answer
            for a, b in reversed(swaps):
                start = {a: b, b: a}.get(start, start)
            colour = one_of(rng, tuple(COLOURS))

            def draw(canvas: Canvas, now: float) -> None:
                where = list(places)  # of each cup
                slots = [0, 1, 2]  # the cup at each place
                lift = np.zeros(3)
                for i, (a, b) in enumerate(swaps):
                    done = progress(now, 1.8 + i, 2.6 + i)
                    left, right = slots[a], slots[b]
                    where[left] = places[a] + (places[b] - places[a]) * done
                    where[right] = places[b] + (places[a] - places[b]) * done
                    lift[left], lift[right] = 14 * np.sin(np.pi * done), -14 * np.sin(np.pi * done)
                    if done < 1:
                        break
                    slots[a], slots[b] = right, left
                raised = 34 * (1 - progress(now, 0.8, 1.5))
                canvas.box(0, 96, 160, 120, TABLE)
                if raised > 0:
                    canvas.shape(thing, colour, places[start], 84, 10)
                for cup in range(3):
                    x, y = where[cup], 96 + float(lift[cup]) - (raised if cup == start else 0)
                    canvas.polygon([(x - 18, y), (x - 12, y - 38), (x + 12, y - 38), (x + 18, y)], "#4b7fa8", "#303030")

            return Film(5.4, draw, background(rng))

        options = ("Under the cup on the left.", "Under the cup in the middle.", "Under the cup on the right.")
        return Riddle(question, options, film)

    return [
        ask("Where is the hidden circle at the end, after the cups were moved?", "circle"),
        ask("Where is the hidden star once the cups stand still?", "star"),
    ]


def state_change() -> list[Riddle]:
    """A lamp that is switched, and a glass that is filled or emptied."""

    def lamp(answer: int, rng: Generator) -> Film:
        switch = float(rng.uniform(1.8, 3.2))

        def draw(canvas: Canvas, now: float) -> None:
            is_on = (now >= switch, now < switch, True)[answer]
            canvas.box(0, 0, 160, 120, "#f7efcf" if is_on else "#3a3a48")
            canvas.line([(80, 108), (80, 60)], 4, "#6a5a4a")
            canvas.box(60, 104, 100, 110, "#6a5a4a")
            canvas.polygon([(66, 30), (94, 30), (108, 62), (52, 62)], "#ffd84a" if is_on else "#77705c", "#303030")

        return Film(5.0, draw, background(rng))

    def glass(answer: int, rng: Generator) -> Film:
        tint = one_of(rng, ("blue", "red", "orange", "green"))
        start, end = ((0.1, 0.9), (0.9, 0.1), (0.5, 0.5))[answer]

        def draw(canvas: Canvas, now: float) -> None:
            level = start + (end - start) * progress(now, 0.8, 4.2)
            canvas.box(0, 102, 160, 120, TABLE)
            canvas.box(58, 100 - 70 * level, 102, 100, tint)
            canvas.line([(56, 24), (56, 101), (104, 101), (104, 24)], 3)

        return Film(5.0, draw, background(rng))

    return [
        Riddle(
            "What happens to the lamp?",
            ("It is switched on.", "It is switched off.", "It is on all the time."),
            lamp,
        ),
        Riddle(
            "What happens to the glass?",
            ("It is filled.", "It is emptied.", "It stays half full."),
            glass,
        ),
    ]


def _landscape(canvas: Canvas, name: str, x: float, now: float) -> None:
    """One of four landscapes, its left edge at `x`."""
    if name == "beach":
        canvas.box(x, 0, x + 160, 120, "#9fd4f0")
        canvas.box(x, 52, x + 160, 80, "#2f7fc0")
        canvas.box(x, 80, x + 160, 120, "#ecd79a")
        canvas.shape("circle", "#ffd84a", x + 128, 24, 14)
    elif name == "forest":
        canvas.box(x, 0, x + 160, 120, "#bfe0d0")
        canvas.box(x, 92, x + 160, 120, "#4d7a3a")
        for i, left in enumerate((12, 44, 80, 112, 146)):
            canvas.box(x + left - 3, 72, x + left + 3, 100, "#6b4a2b")
            canvas.shape("triangle", "#2c7a3f", x + left, 56 + 6 * (i % 2), 26)
    elif name == "city":
        canvas.box(x, 0, x + 160, 120, "#20264a")
        for i, left in enumerate((4, 36, 70, 98, 130)):
            top = (44, 22, 58, 30, 50)[i]
            canvas.box(x + left, top, x + left + 26, 120, "#4a4f66")
            for row in range(3):
                canvas.box(x + left + 6, top + 8 + 18 * row, x + left + 18, top + 16 + 18 * row, "#ffe08a")
    else:
        canvas.box(x, 0, x + 160, 120, "#8fb8e0")
        canvas.polygon([(x, 120), (x + 50, 26), (x + 92, 120)], "#7a8088")
        canvas.polygon([(x + 60, 120), (x + 114, 38), (x + 160, 120)], "#8d939c")
        canvas.polygon([(x + 36, 52), (x + 50, 26), (x + 60, 50)], "#ffffff")
        canvas.polygon([(x + 100, 60), (x + 114, 38), (x + 127, 60)], "#ffffff")
    canvas.shape("circle", "#ffffff", x + 20 + 8 * now, 18, 5)


def scene_transition() -> list[Riddle]:
    """From which landscape to which one the film cuts."""

    def ask(pairs: tuple[tuple[str, str], ...], question: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            cut = float(rng.uniform(1.8, 3.0))
            return Film(5.0, lambda canvas, now: _landscape(canvas, pairs[answer][now >= cut], 0.0, now))

        return Riddle(question, tuple(f"From the {a} to the {b}." for a, b in pairs), film)

    return [
        ask(
            (("beach", "forest"), ("forest", "beach"), ("city", "beach"), ("forest", "city")),
            "Which option describes how the scene changes?",
        ),
        ask(
            (("city", "mountains"), ("mountains", "city"), ("beach", "mountains"), ("mountains", "beach")),
            "How does the place in the video change?",
        ),
    ]


_STANDING: dict[str, NDArray[np.float64]] = {
    "head": np.array([80, 28.0]),
    "neck": np.array([80, 40.0]),
    "hips": np.array([80, 70.0]),
    "left hand": np.array([66, 68.0]),
    "right hand": np.array([94, 68.0]),
    "left knee": np.array([75, 90.0]),
    "right knee": np.array([85, 90.0]),
    "left foot": np.array([72, 112.0]),
    "right foot": np.array([88, 112.0]),
}
_POSES: dict[str, dict[str, tuple[float, float]]] = {
    "Raising both arms.": {"left hand": (62, 12), "right hand": (98, 12)},
    "Bowing.": {"head": (112, 58), "neck": (103, 52), "left hand": (100, 82), "right hand": (108, 82)},
    "Kicking.": {"right knee": (100, 78), "right foot": (122, 72)},
    "Squatting down.": {
        "head": (80, 54),
        "neck": (80, 66),
        "hips": (80, 96),
        "left hand": (60, 88),
        "right hand": (100, 88),
        "left knee": (62, 92),
        "right knee": (98, 92),
    },
    "Raising one arm.": {"right hand": (98, 12)},
    "Spreading both arms.": {"left hand": (48, 44), "right hand": (112, 44)},
    "Lifting one knee.": {"right knee": (100, 68), "right foot": (100, 90)},
    "Standing with the legs wide apart.": {
        "left knee": (66, 92),
        "right knee": (94, 92),
        "left foot": (52, 112),
        "right foot": (108, 112),
    },
}


def fine_grained_pose() -> list[Riddle]:
    """What a stick figure does."""

    def ask(poses: Sequence[str], question: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            shirt = one_of(rng, tuple(COLOURS))
            shift = float(rng.uniform(-25, 25))

            def draw(canvas: Canvas, now: float) -> None:
                much = progress(now, 0.6, 1.6) - progress(now, 3.6, 4.6)
                goal = _POSES[poses[answer]]
                at = {name: p + much * (np.array(goal.get(name, p)) - p) for name, p in _STANDING.items()}
                j = {name: (float(p[0]) + shift, float(p[1])) for name, p in at.items()}
                canvas.box(0, 112, 160, 120, "#a9b7a0")
                for side in ("left", "right"):
                    canvas.line([j["hips"], j[f"{side} knee"], j[f"{side} foot"]], 5, "#3b4a6b")
                    canvas.line([j["neck"], j[f"{side} hand"]], 4, SKIN)
                canvas.line([j["neck"], j["hips"]], 9, shirt)
                canvas.shape("circle", SKIN, *j["head"], 10)

            return Film(5.0, draw, background(rng))

        return Riddle(question, tuple(poses), film)

    names = tuple(_POSES)
    return [ask(names[:4], "What is the person doing?"), ask(names[4:], "Which pose does the person take?")]


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
