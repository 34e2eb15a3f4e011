"""Riddles about hands, cups, lamps, landscapes and figures."""

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


def landscape(canvas: Canvas, name: str, now: float) -> None:
    """One of four landscapes, a white ball passing above it."""
    if name == "beach":
        canvas.box(0, 0, 160, 120, "#9fd4f0")
        canvas.box(0, 52, 160, 80, "#2f7fc0")
        canvas.box(0, 80, 160, 120, "#ecd79a")
        canvas.shape("circle", "#ffd84a", 128, 24, 14)
    elif name == "forest":
        canvas.box(0, 0, 160, 120, "#bfe0d0")
        canvas.box(0, 92, 160, 120, "#4d7a3a")
        for i, left in enumerate((12, 44, 80, 112, 146)):
            canvas.box(left - 3, 72, left + 3, 100, "#6b4a2b")
            canvas.shape("triangle", "#2c7a3f", left, 56 + 6 * (i % 2), 26)
    elif name == "city":
        canvas.box(0, 0, 160, 120, "#20264a")
        for i, left in enumerate((4, 36, 70, 98, 130)):
            top = (44, 22, 58, 30, 50)[i]
            canvas.box(left, top, left + 26, 120, "#4a4f66")
            for row in range(3):
                canvas.box(left + 6, top + 8 + 18 * row, left + 18, top + 16 + 18 * row, "#ffe08a")
    else:
        canvas.box(0, 0, 160, 120, "#8fb8e0")
        canvas.polygon([(0, 120), (50, 26), (92, 120)], "#7a8088")
        canvas.polygon([(60, 120), (114, 38), (160, 120)], "#8d939c")
        canvas.polygon([(36, 52), (50, 26), (60, 50)], "#ffffff")
        canvas.polygon([(100, 60), (114, 38), (127, 60)], "#ffffff")
    canvas.shape("circle", "#ffffff", 20 + 8 * now, 18, 5)


def scene_transition() -> list[Riddle]:
    """From which landscape to which one the film cuts."""

    def ask(pairs: tuple[tuple[str, str], ...], question: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            cut = float(rng.uniform(1.8, 3.0))
            return Film(5.0, lambda canvas, now: landscape(canvas, pairs[answer][now >= cut], now))

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
