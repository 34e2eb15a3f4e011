"""Riddles about which shapes there are, which and how many move, how often, and in which order they come."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from tvu.video_llm.benchmarks.mini_drawing import COLOURS, SHAPES, Canvas, Film, moving, progress
from tvu.video_llm.benchmarks.mini_riddles import (
    PLAIN,
    Actor,
    Riddle,
    background,
    one_after_another,
    one_of,
    performance,
    shuffled,
)


def object_existence() -> list[Riddle]:
    """Whether a shape of one colour is there all the time, for a while, or never; others have its colour or shape."""

    def ask(colour: str, shape: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            others = [(shape, one_of(rng, [c for c in PLAIN if c != colour]))]
            others += [(one_of(rng, [s for s in SHAPES if s != shape]), colour)]
            rows = rng.permutation([25.0, 60.0, 95.0]).tolist()
            ways = [
                moving([(20 + 20 * i, y), (130 - 15 * i, y)][:: 1 - 2 * int(rng.integers(2))], 0, 5)
                for i, y in enumerate(rows)
            ]

            def draw(canvas: Canvas, now: float) -> None:
                for (name, tint), way in zip(others, ways, strict=False):
                    canvas.shape(name, tint, *way(now))
                if answer == 0 or (answer == 1 and 1.5 <= now < 3.2):
                    canvas.shape(shape, colour, *ways[2](now))

            return Film(5.0, draw, background(rng))

        options = ("Yes, all the time.", "Yes, but only for a while.", "No.")
        return Riddle(f"Is there a {colour} {shape} in the video?", options, film)

    return [ask("red", "star"), ask("blue", "triangle")]


def moving_count() -> list[Riddle]:
    """How many of four shapes move; or how many of the three circles, while a square may move as well."""

    def film(answer: int, rng: Generator, shapes: Sequence[str], countable: int) -> Film:
        rows = rng.permutation([18.0, 46.0, 74.0, 102.0]).tolist()
        moves = set(rng.permutation(countable)[:answer].tolist())
        if countable < len(shapes) and rng.integers(2):
            moves.add(countable)
        colours = shuffled(rng, tuple(COLOURS))
        starts = rng.uniform(25, 60, 4).tolist()
        paths = [moving([(x, y), (x + 75, y)], 0.6, 4.4) for x, y in zip(starts, rows, strict=True)]

        def draw(canvas: Canvas, now: float) -> None:
            for i, name in enumerate(shapes):
                canvas.shape(name, colours[i], *paths[i](now if i in moves else 0.0), 11)

        return Film(5.0, draw, background(rng))

    return [
        Riddle(
            "How many objects are moving?",
            ("0", "1", "2", "3"),
            lambda answer, rng: film(answer, rng, shuffled(rng, ("circle", "square", "star", "heart")), 4),
        ),
        Riddle(
            "How many circles are moving?",
            ("None.", "One.", "Two.", "Three."),
            lambda answer, rng: film(answer, rng, ("circle", "circle", "circle", "square"), 3),
        ),
    ]


def moving_attribute() -> list[Riddle]:
    """The colour, or the shape, of the only one of four that moves."""

    def film(answer: int, rng: Generator, by_colour: bool) -> Film:
        shapes = ["square", "triangle", "star", "heart"]
        given = shuffled(rng, shapes if by_colour else PLAIN)
        cast = list(zip(given, PLAIN, strict=True) if by_colour else zip(shapes, given, strict=True))
        rows = rng.permutation([18.0, 46.0, 74.0, 102.0]).tolist()
        starts = rng.uniform(30, 55, 4).tolist()

        def draw(canvas: Canvas, now: float) -> None:
            for i, (name, tint) in enumerate(cast):
                x = starts[i] + (70 * progress(now, 0.6, 4.4) if i == answer else 0)
                canvas.shape(name, tint, x, rows[i], 11)

        return Film(5.0, draw, background(rng))

    return [
        Riddle(
            "What is the colour of the object that moves?",
            tuple(f"{colour.capitalize()}." for colour in PLAIN),
            lambda answer, rng: film(answer, rng, by_colour=True),
        ),
        Riddle(
            "What is the shape of the object that moves?",
            ("Square.", "Triangle.", "Star.", "Heart."),
            lambda answer, rng: film(answer, rng, by_colour=False),
        ),
    ]


def action_count() -> list[Riddle]:
    """How often something jumps, or a light blinks."""

    def jumps(answer: int, rng: Generator) -> Film:
        times = 2 + answer
        script = one_after_another(["jump"] * times, 0.4 + float(rng.uniform(0, 0.8)), 1.2)
        actor = Actor(one_of(rng, tuple(SHAPES)), one_of(rng, PLAIN), y=80)
        return replace(performance(actor, script, 6.4, background(rng), (0, 6.4)), bounds=None)

    def blinks(answer: int, rng: Generator) -> Film:
        starts = 0.5 + float(rng.uniform(0, 0.5)) + 1.2 * np.arange(2 + answer)

        def draw(canvas: Canvas, now: float) -> None:
            is_lit = bool(((starts <= now) & (now < starts + 0.6)).any())
            canvas.box(74, 74, 86, 112, "#707070")
            canvas.shape("circle", "#ffe14a" if is_lit else "#4a4a52", 80, 52, 26)

        return Film(6.4, draw, one_of(rng, ("#23283c", "#2c2436", "#1f2e2a")))

    return [
        Riddle("How many times does the object jump?", ("Two times.", "Three times.", "Four times."), jumps),
        Riddle("How many times does the light come on?", ("2", "3", "4"), blinks),
    ]


def character_order() -> list[Riddle]:
    """In which order three shapes are put on a table."""

    def ask(orders: tuple[tuple[str, ...], ...], question: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            order = orders[answer]
            places, colours = rng.permutation([38.0, 80.0, 122.0]).tolist(), shuffled(rng, tuple(COLOURS))
            ways = [moving([(places[i], -15), (places[i], 68)], 0.3 + 1.4 * i, 1.3 + 1.4 * i) for i in range(3)]

            def draw(canvas: Canvas, now: float) -> None:
                canvas.box(0, 82, 160, 120, "#b08a5c")
                for i, name in enumerate(order):
                    canvas.shape(name, colours[i], *ways[i](now))

            return Film(5.2, draw, background(rng))

        return Riddle(question, tuple(f"{a}, {b}, {c}.".capitalize() for a, b, c in orders), film)

    first = (("star", "heart", "circle"), ("circle", "star", "heart"), ("heart", "circle", "star"))
    second = (("square", "triangle", "star"), ("triangle", "square", "star"), ("star", "triangle", "square"))
    return [
        ask(first, "In what order were the shapes put on the table?"),
        ask(second, "In which order did the three shapes come down to the table?"),
    ]
